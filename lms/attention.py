"""Attention over states that a whole batch shares and states of its rows, without copying either.

Transformers grows a batch's states by copying them at each token, repeats a shared prefix for each row, and repeats
key heads for grouped queries. Here the prefix is kept once, rows are written in place, and grouped queries are
multiplied as groups. Positions decide what is seen, so padding, sliding windows and rows of unlike length need no
special case: a key is seen by the queries at its own and later positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.masking_utils import sdpa_mask

from lms.errors import ModelError

NAME = "clinspan_shared_prefix"
_HIDDEN = -1
_MOST_SCORES = 1 << 26


class RowsLayer(DynamicLayer):
    """States of the rows of a batch, of one layer, behind a prefix that they share.

    Args:
        prefix_keys: Shape (1, key heads, prefix, head size).
        prefix_values: The same shape.
        room: Tokens of a row that can be held.
    """

    def __init__(self, prefix_keys: Tensor, prefix_values: Tensor, room: int) -> None:
        super().__init__()
        self.prefix_keys, self.prefix_values, self.room = prefix_keys, prefix_values, room
        self.length = 0
        self.is_initialized: bool = False

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            shape = (*key_states.shape[:2], self.room)
            self.keys = key_states.new_empty(*shape, key_states.shape[-1])
            self.values = value_states.new_empty(*shape, value_states.shape[-1])
            self.is_initialized = True
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return int(self.prefix_keys.shape[-2]) + self.length

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.keys, self.values = self.keys[rows], self.values[rows]


@dataclass
class Batch:
    """The states of one batch and where its tokens stand.

    Attributes:
        cache: The layers, for the model.
        prefix: Number of shared tokens, at the positions from 0.
        positions: Positions of the rows' tokens, shape (rows, tokens so far); -1 for padding.
    """

    cache: Cache
    prefix: int
    positions: Tensor
    queries: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def begin(cls, prefix: Any, positions: Tensor, room: int) -> Batch:
        """A batch behind the states of a prefix (a transformers cache of one row)."""
        layers = [RowsLayer(layer.keys, layer.values, room) for layer in prefix.layers]
        length = int(prefix.layers[0].keys.shape[-2])
        return cls(Cache(layers=layers), length, positions, positions)

    def step(self, positions: Tensor) -> None:
        """Each row gets one more token, at these positions, shape (rows, 1)."""
        self.positions = torch.cat([self.positions, positions], dim=1)
        self.queries = positions

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        for layer in self.cache.layers:
            assert isinstance(layer, RowsLayer)
            layer.keep(rows)
        self.positions = self.positions[rows]

    def seen(self, window: int | None) -> tuple[Tensor | None, Tensor]:
        """Which shared and which own keys each query sees: None (all) or (rows, queries, prefix), and (rows, queries, own)."""
        query = self.queries.clamp(min=0).unsqueeze(-1)
        own = self.positions.unsqueeze(1)
        visible = (own != _HIDDEN) & (own <= query)
        visible |= (self.queries == _HIDDEN).unsqueeze(-1)  # what padding computes is never looked at, but must not be nan
        if window is None or self.prefix + self.positions.shape[1] <= window:
            return None, visible
        shared = torch.arange(self.prefix, device=query.device)
        return query - shared < window, visible & (query - own < window)


class _Current:
    """The batch that the model's layers are computing for; one at a time."""

    batch: Batch | None = None


CURRENT = _Current()


def shared_prefix_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """The attention function that a model's layers call, by transformers' attention interface.

    Args:
        module: The attention layer.
        query: Shape (rows, heads, queries, head size).
        key: Shape (rows, key heads, keys, head size): the rows' own, without the prefix.
        value: The same shape.
        attention_mask: Not used: positions decide.

    Returns:
        Shape (rows, queries, heads, head size), and no weights.
    """
    if kwargs.get("s_aux") is not None:
        raise ModelError("models with attention sinks are not supported: use a server and model=openai")
    scaling = kwargs.get("scaling")
    how = _How(query.shape[-1] ** -0.5 if scaling is None else scaling, kwargs.get("softcap"), kwargs.get("sliding_window"))
    batch = CURRENT.batch
    if batch is None:
        return _alone(query, key, value, how).transpose(1, 2), None
    layer = batch.cache.layers[module.layer_idx]
    shared, own = batch.seen(how.window)
    rows, heads, length, _ = query.shape
    step = max(1, _MOST_SCORES // (heads * length * (batch.prefix + own.shape[-1])))
    parts = []
    for some in (slice(i, i + step) for i in range(0, rows, step)):
        masks = (None if shared is None else shared[some], own[some])
        parts.append(_together(query[some], key[some], value[some], layer=layer, masks=masks, how=how))
    return torch.cat(parts).transpose(1, 2), None


@dataclass(frozen=True, slots=True)
class _How:
    """What a layer asks for: the factor of its scores, their soft cap, how far back a query sees."""

    scaling: float
    softcap: float | None
    window: int | None

    def scores(self, products: Tensor) -> Tensor:
        scores = products * self.scaling
        return scores if self.softcap is None else torch.tanh(scores / self.softcap) * self.softcap


def _together(query: Tensor, key: Tensor, value: Tensor, *, layer: Any, masks: tuple[Tensor | None, Tensor], how: _How) -> Tensor:
    """Attention of rows over the shared prefix and their own keys, in one softmax."""
    rows, heads, length, size = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    grouped = query.reshape(rows, key_heads, group * length, size)
    flat = grouped.transpose(0, 1).reshape(key_heads, rows * group * length, size)
    before = (flat @ layer.prefix_keys[0].transpose(-1, -2)).view(key_heads, rows, group, length, -1).transpose(0, 1)
    here = (grouped @ key.transpose(-1, -2)).view(rows, key_heads, group, length, -1)
    scores = how.scores(torch.cat([before, here], dim=-1))
    prefix = before.shape[-1]
    shared, own = masks
    if shared is not None:
        scores[..., :prefix].masked_fill_(~shared[:, None, None], float("-inf"))
    scores[..., prefix:].masked_fill_(~own[:, None, None], float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    ahead = weights[..., :prefix].transpose(0, 1).reshape(key_heads, rows * group * length, prefix) @ layer.prefix_values[0]
    result = weights[..., prefix:].reshape(rows, key_heads, group * length, -1) @ value
    result = result + ahead.view(key_heads, rows, group * length, size).transpose(0, 1)
    return result.reshape(rows, heads, length, size)


def _alone(query: Tensor, key: Tensor, value: Tensor, how: _How) -> Tensor:
    """Plain causal attention of one sequence: how the prefix itself is read."""
    length = query.shape[-2]
    if how.softcap is None and (how.window is None or length <= how.window):
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=how.scaling, enable_gqa=True)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    place = torch.arange(length, device=query.device)
    distance = place[:, None] - place[None, :]
    visible = (distance >= 0) & (distance < (how.window or length + 1))
    scores = how.scores(query @ key.transpose(-1, -2)).masked_fill(~visible, float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return weights @ value


def install(model: Any) -> None:
    """Make a model compute with this attention.

    Raises:
        ModelError: The model's code does not use transformers' attention interface.
    """
    AttentionInterface.register(NAME, shared_prefix_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    if not getattr(model, "_supports_attention_backend", False):
        kind = type(model).__name__
        raise ModelError(f"{kind} does not use transformers' attention interface: serve it and use model=openai")
    model.set_attn_implementation(NAME)
