"""The KV cache: shared prompt prefixes, and the rows of a batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from clinspan.lms.local.attention import Chunk, Pass, RaggedLayer

Ids = tuple[int, ...]
LayerStates = tuple[Tensor, Tensor]
BLOCK = 256
"""Tokens of a stored block, but for the last of a prefix."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The states of a token sequence, layer by layer: keys and values of shape (1, key heads, tokens, head size)."""

    ids: Ids
    layers: tuple[LayerStates, ...]


EMPTY = Prefix((), ())


class BatchKVCache:
    """The states of the rows of a batch behind their shared prefix.

    Args:
        prefix: What all rows share; its `ids` may be empty.
        rows: How many rows there are.
        layers: How many layers the model has.
        device: Where it computes.
    """

    def __init__(self, prefix: Prefix, *, rows: int, layers: int, device: torch.device) -> None:
        self.prefix, self.device = prefix, device
        before = prefix.layers if prefix.ids else (None,) * layers
        self.rows = rows
        self.layers = [RaggedLayer(states, rows) for states in before]
        self.cache = Cache(layers=self.layers)

    def step(self, chunks: Sequence[Chunk]) -> Pass:
        """A pass over these chunks."""
        return Pass(self.cache, list(chunks), len(self.prefix.ids), self.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        self.rows = len(rows)
        index = torch.tensor(rows, device=self.device)
        for layer in self.layers:
            layer.keep(index)

    def taken(self, length: int) -> tuple[LayerStates, ...]:
        """The first `length` own states of row 0."""
        return tuple((layer.keys[:1, :, :length].clone(), layer.values[:1, :, :length].clone()) for layer in self.layers)


class PrefixStore:
    """States of prefixes by blocks of tokens, the least recently used dropped first.

    A block's states are always computed behind the same tokens in the same pass, so they do not depend on what was
    asked for before, and two prefixes that begin alike share their blocks.

    Args:
        compute: Gives the states of tokens that come behind a prefix.
        limit: Bytes that may be kept; what one prefix takes is kept whatever it is.
    """

    def __init__(self, compute: Callable[[Prefix, Ids], tuple[LayerStates, ...]], *, limit: int) -> None:
        self._compute, self._limit = compute, limit
        self._kept: OrderedDict[Ids, tuple[LayerStates, ...]] = OrderedDict()
        self._last = EMPTY

    def get(self, ids: Ids) -> Prefix:
        """The states of these tokens."""
        if ids == self._last.ids:
            return self._last
        prefix = EMPTY
        for start in range(0, len(ids), BLOCK):
            key = ids[: start + BLOCK]
            if key not in self._kept:
                self._kept[key] = self._compute(prefix, ids[start : start + BLOCK])
            self._kept.move_to_end(key)
            prefix = Prefix(key, _joined(prefix.layers, self._kept[key]))
        while len(self._kept) > len(range(0, len(ids), BLOCK)) and self.bytes > self._limit:
            self._kept.popitem(last=False)
        self._last = prefix
        return prefix

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._last = EMPTY

    @property
    def bytes(self) -> int:
        """Bytes that the kept blocks take."""
        return sum(_bytes(block) for block in self._kept.values())


def _joined(before: tuple[LayerStates, ...], block: tuple[LayerStates, ...]) -> tuple[LayerStates, ...]:
    if not before:
        return block
    pairs = zip(before, block, strict=True)
    return tuple((torch.cat([a[0], b[0]], dim=2), torch.cat([a[1], b[1]], dim=2)) for a, b in pairs)


def _bytes(layers: tuple[LayerStates, ...]) -> int:
    return sum(t.numel() * t.element_size() for layer in layers for t in layer)
