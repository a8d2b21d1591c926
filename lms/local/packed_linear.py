"""Linear layers with weights pre-packed for the CPU's matrix instructions (oneDNN).

PyTorch multiplies by a weight as it was stored; oneDNN, which comes with PyTorch, is faster with a layout of its own,
most of all where few tokens pass (1.3 to 1.6 times for 8 to 128 tokens of a 135M model on an AVX-512 processor).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn, Tensor

_ROWS = 256
_STEP = 8


class PackedLinear(nn.Module):
    """A linear layer in oneDNN's layout, for inference on the CPU.

    Args:
        linear: The layer; its weight is not kept.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape (..., rows, in_features) to (..., rows, out_features)."""
        rows = inputs.shape[-2]
        more = padded_rows(rows) - rows
        padded = nn.functional.pad(inputs, (0, 0, 0, more)) if more else inputs
        found: Tensor = torch.ops.mkldnn._linear_pointwise(padded, self.packed, self.bias, "none", [], "")
        return found[..., :rows, :] if more else found

    def plain(self) -> nn.Linear:
        """The layer as it was."""
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        linear.weight = nn.Parameter(self.packed.to_dense(), requires_grad=False)
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias, requires_grad=False)
        return linear


def padded_rows(rows: int) -> int:
    """How many rows are multiplied for so many: oneDNN keeps code and scratch memory for each number of rows it has met.

    The layers of a 135M model take 600 MiB for all numbers up to 256, and 80 MiB for those up to which is rounded here.

    >>> [padded_rows(rows) for rows in (1, 7, 9, 256)]
    [1, 7, 16, 256]
    """
    return rows if rows < _STEP else -(-rows // _STEP) * _STEP


def operators_exist() -> bool:
    """Whether PyTorch was built with oneDNN and has the private operators by which weights are packed and multiplied."""
    needed = ("_reorder_linear_weight", "_linear_pointwise")
    return bool(torch.backends.mkldnn.is_available()) and all(hasattr(torch.ops.mkldnn, name) for name in needed)


def pack(model: Any) -> None:
    """Replace a model's float32 linear layers on the CPU by packed ones, in place; the output layer stays as it is.

    Nothing is done where this release of PyTorch lacks the operators.
    """
    if not operators_exist():
        return
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None

    def fits(layer: nn.Module) -> bool:
        return type(layer) is nn.Linear and layer is not output and _packable(layer.weight)

    _swap(model, fits, PackedLinear)


def _packable(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and not weight.requires_grad


@contextmanager
def unpacked(model: Any) -> Iterator[None]:
    """Let a model compute with PyTorch's own linear layers meanwhile; no batch may run."""
    changed = _swap(model, lambda layer: isinstance(layer, PackedLinear), lambda layer: layer.plain())
    try:
        yield
    finally:
        for parent, name, layer in changed:
            setattr(parent, name, layer)


def _swap(model: Any, wanted: Any, other: Any) -> list[tuple[nn.Module, str, nn.Module]]:
    """Replace layers; gives where and what they were."""
    found = [(parent, name, layer) for parent in model.modules() for name, layer in parent.named_children() if wanted(layer)]
    for parent, name, layer in found:
        setattr(parent, name, other(layer))
    return found
