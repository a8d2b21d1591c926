"""Attention over a KV cache with a shared prefix: packed tokens of many rows in one pass, without padding.

All tokens that a pass reads stand in one row, whoever's they are, so the linear layers compute no padding. Keys and
values of the prefix that the prompts have in common are kept once; each row's own are written in place behind it, and
a slot that a rejected guess has filled is simply written again. Positions decide what is seen: slot `s` of a row
holds position `prefix + s`, and a key is seen by the queries at its own and later positions.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.masking_utils import sdpa_mask

from clinspan.lms.errors import ModelError

NAME = "clinspan_packed"
_ALONE = 8
_GROWTH = 96


class RaggedLayer(DynamicLayer):
    """Keys and values of one layer: the prefix's, shape (1, key heads, prefix, head size), and the rows' own.

    Args:
        prefix: Keys and values of the shared prefix, or None where nothing is shared.
        rows: How many rows there are.
    """

    def __init__(self, prefix: tuple[Tensor, Tensor] | None, rows: int) -> None:
        super().__init__()
        self.prefix, self.rows = prefix, rows
        self.is_initialized: bool = False

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """What the model's layer calls; the attention below stores the states, since it knows whose they are."""
        return key_states, value_states

    def get_seq_length(self) -> int:
        return 0 if self.prefix is None else int(self.prefix[0].shape[-2])

    def store(self, key: Tensor, value: Tensor, step: Pass) -> None:
        """Write new states, shape (1, key heads, tokens, head size), into the slots of their rows."""
        if not self.is_initialized:
            shape = (self.rows, key.shape[1], step.room)
            self.keys, self.values = key.new_zeros(*shape, key.shape[-1]), value.new_zeros(*shape, value.shape[-1])
            self.is_initialized = True
        if (lack := step.room - self.keys.shape[2]) > 0:
            self.keys, self.values = (torch.nn.functional.pad(t, (0, 0, 0, lack + _GROWTH)) for t in (self.keys, self.values))
        self.keys[step.row_of, :, step.slot_of] = key[0].transpose(0, 1)
        self.values[step.row_of, :, step.slot_of] = value[0].transpose(0, 1)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        if self.is_initialized:
            rows = rows.to(self.keys.device)
            self.keys, self.values = self.keys[rows], self.values[rows]
        self.rows = len(rows)


@dataclass(frozen=True, slots=True)
class Tree:
    """The shape of a row whose tokens are the nodes of a tree: continuations of one text that do not see each other.

    Attributes:
        depths: Position of each token behind the prefix, shape (tokens,).
        visible: Whether a token sees another one, shape (tokens, tokens): its ancestors and itself.
    """

    depths: Tensor
    visible: Tensor


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one row that a pass reads: `length` of them from slot `start`, in the pass from place `at`.

    With a `tree` the chunk is all of its row, and the tree decides what is seen.
    """

    row: int
    start: int
    length: int
    at: int
    tree: Tree | None = None


@dataclass
class Pass:
    """One forward pass over chunks of rows.

    Attributes:
        cache: The layers' states, for the model.
        chunks: What is read, in the order of the packed tokens.
        prefix: Length of the shared prefix.
    """

    cache: Cache
    chunks: list[Chunk]
    prefix: int
    device: torch.device
    _biases: dict[Any, Tensor] = field(default_factory=dict)
    _copies: dict[torch.device, Pass] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows: list[int] = []
        slots: list[int] = []
        for chunk in self.chunks:
            rows += [chunk.row] * chunk.length
            slots += range(chunk.start, chunk.start + chunk.length)
        self.row_of, self.slot_of = (torch.tensor(x, device=self.device) for x in (rows, slots))
        self.positions = self._depths() + self.prefix
        self.room = max(chunk.start + chunk.length for chunk in self.chunks)
        small = [chunk for chunk in self.chunks if chunk.length <= _ALONE and chunk.tree is None]
        self.alone = [chunk for chunk in self.chunks if chunk.length > _ALONE or chunk.tree is not None]
        self.together = _Together.of(small, self.device) if small else None

    def on(self, device: torch.device) -> Pass:
        """The same pass with its tensors on another device, for the layers that are there."""
        if device == self.device:
            return self
        if device not in self._copies:
            self._copies[device] = Pass(self.cache, self.chunks, self.prefix, device)
        return self._copies[device]

    def _depths(self) -> Tensor:
        """Position of each token behind the prefix, shape (tokens,)."""
        depths = self.slot_of.clone()
        for chunk in self.chunks:
            if chunk.tree is not None:
                depths[chunk.at : chunk.at + chunk.length] = chunk.tree.depths.to(self.device)
        return depths

    def prefix_bias(self, window: int | None, groups: int, like: Tensor) -> Tensor | None:
        """What is added to scores of prefix keys, shape (1, 1, groups * tokens, prefix); None: every token sees all of them."""
        if window is None or self.prefix + self.room <= window:
            return None
        key = ("prefix", window)
        if key not in self._biases:
            distance = self.positions[:, None] - torch.arange(self.prefix, device=self.device)
            self._biases[key] = _bias((distance < window)[None], groups, like)
        return self._biases[key]

    def own_bias(self, part: Chunk | _Together, window: int | None, groups: int, like: Tensor) -> Tensor:
        """What is added to scores of a row's own keys, shape (rows, 1, groups * queries, keys)."""
        key = (id(part), window)
        if key in self._biases:
            return self._biases[key]
        if isinstance(part, Chunk) and part.tree is not None:
            depths, visible = part.tree.depths.to(self.device), part.tree.visible.to(self.device)
            near = True if window is None else depths[:, None] - depths < window
            self._biases[key] = _bias((visible & near)[None], groups, like)
            return self._biases[key]
        if isinstance(part, Chunk):
            query = torch.arange(part.start, part.start + part.length, device=self.device)[None]
            keys = part.start + part.length
        else:
            query, keys = part.slots, part.keys
        distance = query[:, :, None] - torch.arange(keys, device=self.device)
        seen = distance >= 0 if window is None else (distance >= 0) & (distance < window)
        self._biases[key] = _bias(seen, groups, like)
        return self._biases[key]


def _bias(seen: Tensor, groups: int, like: Tensor) -> Tensor:
    bias = torch.zeros(seen.shape, dtype=like.dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
    return bias.repeat(1, groups, 1).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class _Together:
    """Short chunks whose own attention is computed as one padded batch of all rows up to the last one named.

    Attributes:
        rows: How many rows the padded batch has.
        keys: Own keys that are looked at.
        queries: Queries of a padded row.
        packed: Places of the tokens in the pass, shape (tokens,).
        row_of, place_of: Where they stand in the padded batch.
        slots: Slots of the padded queries, shape (rows, queries).
    """

    rows: int
    keys: int
    queries: int
    packed: Tensor
    row_of: Tensor
    place_of: Tensor
    slots: Tensor

    @classmethod
    def of(cls, chunks: list[Chunk], device: torch.device) -> _Together:
        rows, queries = max(c.row for c in chunks) + 1, max(c.length for c in chunks)
        slots = torch.zeros(rows, queries, dtype=torch.long)
        for chunk in chunks:
            slots[chunk.row] = chunk.start + torch.arange(queries)  # behind the chunk: computed and not looked at
        spread = [(c.at + i, c.row, i) for c in chunks for i in range(c.length)]
        packed, row_of, place_of = (torch.tensor(column, device=device) for column in zip(*spread, strict=True))
        return cls(rows, max(c.start + c.length for c in chunks), queries, packed, row_of, place_of, slots.to(device))


class _Current(threading.local):
    """The pass that this thread's model is computing: engines in several threads do not meet here."""

    step: Pass | None = None


CURRENT = _Current()


@dataclass(frozen=True, slots=True)
class _How:
    """What a layer asks for: the factor of its scores, their soft cap, how far back a query sees."""

    scaling: float
    softcap: float | None
    window: int | None


def packed_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """The attention function that a model's layers call, by transformers' attention interface.

    Args:
        module: The attention layer.
        query: Shape (1, heads, tokens, head size): the packed tokens of the current pass.
        key: Shape (1, key heads, tokens, head size).
        value: The same shape.
        attention_mask: Not used: positions decide.

    Returns:
        Shape (1, tokens, heads, head size), and no weights.
    """
    if kwargs.get("s_aux") is not None:
        raise ModelError("models with attention sinks do not run in packed passes: set model.engine=generate")
    step = CURRENT.step
    assert step is not None, "the model is computed outside Decoder"
    step = step.on(query.device)
    scaling = kwargs.get("scaling")
    how = _How(query.shape[-1] ** -0.5 if scaling is None else scaling, kwargs.get("softcap"), kwargs.get("sliding_window"))
    layer = step.cache.layers[module.layer_idx]
    assert isinstance(layer, RaggedLayer)
    layer.store(key, value, step)
    result, weight = _own(query, layer, step, how)
    if layer.prefix is not None:
        groups = query.shape[1] // key.shape[1]
        bias = step.prefix_bias(how.window, groups, query)
        shared, strength = _attend(_fold(query, key.shape[1]), *layer.prefix, bias=bias, how=how, sighted=bias is None)
        shared, strength = _unfold(shared, query.shape[1]), strength.reshape(1, query.shape[1], -1)
        total = torch.logaddexp(weight, strength)
        result = result * (weight - total).exp().unsqueeze(-1).to(result.dtype)
        result = result + shared * (strength - total).exp().unsqueeze(-1).to(result.dtype)
    return result.transpose(1, 2), None


def _own(query: Tensor, layer: RaggedLayer, step: Pass, how: _How) -> tuple[Tensor, Tensor]:
    """Attention of each token over its row's own keys, and the logarithm of its weights' sum, shape (1, heads, tokens)."""
    heads, key_heads = query.shape[1], layer.keys.shape[1]
    groups = heads // key_heads
    result = torch.empty_like(query)
    weight = query.new_empty(1, heads, query.shape[2], dtype=torch.float32)
    for chunk in step.alone:
        span = slice(chunk.at, chunk.at + chunk.length)
        own = slice(0, chunk.start + chunk.length)
        bias = step.own_bias(chunk, how.window, groups, query)
        keys, values = (t[chunk.row : chunk.row + 1, :, own] for t in (layer.keys, layer.values))
        found, sums = _attend(_fold(query[:, :, span], key_heads), keys, values, bias=bias, how=how)
        result[:, :, span], weight[:, :, span] = _unfold(found, heads), sums.reshape(1, heads, -1)
    part = step.together
    if part is not None:
        padded = query.new_zeros(part.rows, part.queries, heads, query.shape[-1])
        padded[part.row_of, part.place_of] = query[0, :, part.packed].transpose(0, 1)
        bias = step.own_bias(part, how.window, groups, query)
        keys, values = (t[: part.rows, :, : part.keys] for t in (layer.keys, layer.values))
        found, sums = _attend(_fold(padded.transpose(1, 2), key_heads), keys, values, bias=bias, how=how)
        spread = _unfold(found, heads).transpose(1, 2)[part.row_of, part.place_of]
        result[0, :, part.packed] = spread.transpose(0, 1)
        weight[0, :, part.packed] = sums.reshape(part.rows, heads, -1).transpose(1, 2)[part.row_of, part.place_of].transpose(0, 1)
    return result, weight


def _fold(query: Tensor, key_heads: int) -> Tensor:
    """Queries that share a key head as one longer row of queries: (rows, key heads, groups * queries, head size)."""
    rows, _, _, size = query.shape
    return query.reshape(rows, key_heads, -1, size)


def _unfold(result: Tensor, heads: int) -> Tensor:
    rows, _, _, size = result.shape
    return result.reshape(rows, heads, -1, size)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, *, bias: Tensor | None, how: _How, sighted: bool = True
) -> tuple[Tensor, Tensor]:
    """Attention and the logarithms of the sums of its weights.

    Args:
        query: Shape (rows, heads, queries, head size).
        key: Shape (rows, heads, keys, head size).
        value: The same shape.
        bias: Added to the scores, shape (rows, 1, queries, keys): 0 where a key is seen, else minus infinity.
        how: Scaling, soft cap and window.
        sighted: Whether every query that will be looked at sees a key; one that does not gets zeros and minus infinity.

    Returns:
        Shape (rows, heads, queries, head size), and (rows, heads, queries) in float32.
    """
    fused = fused_attention()
    if fused is not None and query.device.type == "cpu" and how.softcap is None and sighted:
        found, sums = fused(query, key, value, 0.0, False, attn_mask=bias, scale=how.scaling)
        return found, sums
    scores = (query @ key.transpose(-1, -2)).float() * how.scaling
    if how.softcap is not None:
        scores = torch.tanh(scores / how.softcap) * how.softcap
    if bias is not None:
        scores = scores + bias
    sums = scores.logsumexp(-1)
    weights = (scores - sums.unsqueeze(-1)).exp().nan_to_num(0.0)
    return weights.to(value.dtype) @ value, sums


def fused_attention() -> Any:
    """PyTorch's fused attention for the CPU, a private operator: the public function does not give the sums of the weights.

    None where this release of PyTorch has none; attention is then computed by public operators, more slowly.
    """
    return getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)


def install(model: Any) -> None:
    """Make a model compute with this attention; its code has to use transformers' attention interface."""
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
