"""Several devices on a machine with one: tensors compute on the CPU and are refused where they would be on different devices.

`torch` gives a CPU-only build no second device. In `VirtualDevices` every tensor has a device that its `.device` shows and that
`.to(...)` changes; an operation on tensors of two devices raises, as CUDA does. Tensors without a mark are on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DEVICE = Tensor.device.__get__  # type: ignore[attr-defined]
_ALLOWED_TO_MIX = {Tensor.copy_, Tensor.__repr__}


def mark(tensor: Tensor, device: str) -> Tensor:
    """Put a tensor on a virtual device."""
    tensor.virtual = torch.device(device)  # type: ignore[attr-defined]
    return tensor


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors(one)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def place(tensor: Tensor) -> torch.device:
    found: torch.device = getattr(tensor, "virtual", torch.device("cpu"))
    return found


class VirtualDevices(TorchFunctionMode):
    """See the module."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func == _DEVICE:
            return place(args[0])
        asked = kwargs.pop("device", None)
        if func is Tensor.to:
            asked = asked or next((one for one in args[1:] if isinstance(one, (str, torch.device))), None)
            args = (args[0], *(one for one in args[1:] if not isinstance(one, (str, torch.device))))
            if asked is not None and torch.device(asked) != place(args[0]):
                args = (args[0].clone(), *args[1:])
            if len(args) == 1 and not kwargs:
                return mark(args[0], str(asked)) if asked is not None else args[0]
        if func is Tensor.cpu:
            return mark(args[0].clone(), "cpu")
        given = {place(tensor) for tensor in tensors([args, kwargs]) if tensor.dim()}
        if len(given) > 1 and func not in _ALLOWED_TO_MIX and not self._indexes(func, args, given):
            raise RuntimeError(f"{getattr(func, '__name__', func)}: tensors on {sorted(map(str, given))}")
        result = func(*args, **kwargs)
        target = torch.device(asked) if asked is not None else place(next(tensors([args, kwargs]), torch.empty(0)))
        for tensor in tensors(result):
            mark(tensor, str(target))
        return result

    @staticmethod
    def _indexes(func: Any, args: tuple[Any, ...], given: set[torch.device]) -> bool:
        """CUDA allows indices on the CPU."""
        indexing = func in (Tensor.__getitem__, Tensor.__setitem__)
        return indexing and {place(tensor) for tensor in tensors(args[1])} == {torch.device("cpu")}
