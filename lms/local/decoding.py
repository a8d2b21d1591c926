"""Batched decoding under grammars, with a shared prompt prefix, forced tokens and speculative verification of drafts.

Every pass reads the tokens that are certain in each row (the last choice and whatever the grammar forces behind it)
and, where there is room, guessed ones; it gives the choices at all places where a token had to be chosen. An answer is
the one of plain constrained greedy decoding: tokens without alternative as the tokenizer splits their text, and at
every other place the allowed token with the highest logit, of equal ones the first in the vocabulary. Where a request asks
for sampling, the token is drawn among the allowed ones instead; a guess of the draft is then right if it is the drawn token.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clinspan.lms.errors import GrammarError, ModelError
from clinspan.lms.local.attention import Chunk, CURRENT, install
from clinspan.lms.local.choices import compare_choices, TokenTree
from clinspan.lms.local.encoding import end_ids, PlainTokens, spelt_controls
from clinspan.lms.local.kv_cache import BatchKVCache, EMPTY, Ids, LayerStates, Prefix, PrefixStore
from clinspan.lms.local.oom import token_bytes
from clinspan.lms.local.probe import PROBE, require_attention_interface, rounding, same_logits
from clinspan.lms.local.sequence import Answer, DecisionPoint, Done, Prompt, SequenceState
from clinspan.lms.weights.placement import is_spread

PASS = 256
"""Most tokens that one pass reads: enough to keep the matrix units busy, few enough to bound memory."""
_ROWS = 128
"""Most places whose logits of the whole vocabulary are in memory at once."""
_KEEP = 0.75
_OVERHEAD = {"cpu": 16.0, "cuda": 512.0}  # what a pass costs however short it is, in tokens (measured with 135M parameters on CPU)


class Decoder:
    """Decodes batches on one model. Not safe for threads: one batch at a time.

    Args:
        model: A transformers causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        prefix_bytes: Memory for the states of shared prefixes; 0 shares none.
    """

    def __init__(self, model: Any, tokenizer: Any, *, prefix_bytes: int = 1 << 29) -> None:
        self.model, self.tokenizer, self.sharing = model, tokenizer, prefix_bytes > 0
        require_attention_interface(model)
        self._head = _Head(model)
        install(model)
        self.ends = end_ids(model, tokenizer)
        self.plain = PlainTokens(tokenizer)
        self._special = spelt_controls(tokenizer, self.plain)
        self.overhead = _OVERHEAD.get(self.model.device.type, _OVERHEAD["cuda"])
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self._layers = int(model.config.get_text_config().num_hidden_layers)
        self.token_bytes = token_bytes(model)
        self.prefixes = PrefixStore(self._read_prefix, limit=prefix_bytes)
        self.passes = 0

    @torch.inference_mode()
    def check(self) -> None:
        """Read a few tokens in two rows and two passes, and compare with what the model computes with its own attention.

        Raises:
            ModelError: Logits differ, or a layer has no keys and values: then it does not know which row a token belongs to.
        """
        states = BatchKVCache(EMPTY, rows=2, layers=self._layers, device=self.model.device)
        size = len(PROBE)
        cut = 2 * size // 3
        self._forward([*PROBE[:cut], *PROBE[:cut]], states, [Chunk(row, 0, cut, row * cut) for row in range(2)], [])
        left = size - cut
        chunks = [Chunk(row, cut, left, row * left) for row in range(2)]
        hidden = self._forward([*PROBE[cut:], *PROBE[cut:]], states, chunks, [left - 1, 2 * left - 1])
        self.passes = 0
        rows = self._head.logits(hidden, None)
        tolerance = 3 * rounding(self.model)  # deep models round more; what is computed wrongly differs by the whole spread
        own = self._head.own[-1].to(rows.device)
        same = all(same_logits(row, own, tolerance) for row in rows)
        if not same or not all(layer.is_initialized for layer in states.layers):
            kind = type(self.model).__name__
            raise ModelError(f"{kind} has layers that do not compute packed passes: set model.engine=generate")

    def shared(self, prompts: Sequence[Prompt]) -> int:
        """How many leading tokens are read once for all prompts."""
        return shared_prefix(prompts) if self.sharing else 0

    def forget(self) -> None:
        """Free the states of shared prefixes; they are computed again when they are needed."""
        self.prefixes.clear()

    @torch.inference_mode()
    def decode(self, prompts: Sequence[Prompt], *, rows: int | None = None, done: Done | None = None) -> list[Answer | Exception]:
        """One answer a prompt, in order; what is wrong with one of them is its own result and harms no other.

        Args:
            prompts: They are begun in this order, the next one as soon as there is a row for it.
            rows: How many are in progress at once; None: all.
            done: Told of each result as soon as it is there: the prompt's number and the result.
        """
        shared = self.shared(prompts)
        prefix = self.prefixes.get(prompts[0].ids[:shared])
        size = min(rows or len(prompts), len(prompts))
        states = BatchKVCache(prefix, rows=size, layers=self._layers, device=self.model.device)
        results: dict[int, Answer | Exception] = {}
        waiting = deque(range(len(prompts)))
        active: dict[int, tuple[int, SequenceState]] = {}

        def end(number: int, result: Answer | Exception) -> None:
            results[number] = result
            if done is not None:
                done(number, result)

        while True:
            for row in [row for row in range(states.rows) if row not in active]:
                while waiting and row not in active:
                    number = waiting.popleft()
                    try:
                        active[row] = number, self.sequence(prompts[number], shared)
                    except GrammarError as error:
                        end(number, error)
            if not active:
                return [results[number] for number in range(len(prompts))]
            if not waiting and len(active) <= _KEEP * states.rows:
                states.keep(list(active))
                active = dict(enumerate(active.values()))
            failed = self._pass(states, {row: sequence for row, (_, sequence) in active.items()})
            for row, why in failed.items():
                end(active.pop(row)[0], why)
            for row in [row for row, (_, sequence) in active.items() if sequence.finish]:
                number, sequence = active.pop(row)
                end(number, sequence.answer())

    def compare(self, prompts: Sequence[Prompt], *, done: Done | None = None) -> list[Answer | Exception]:
        """The probabilities of the prompts' choices, in order; see `compare_choices`."""
        return compare_choices(self, prompts, done=done)

    @torch.inference_mode()
    def token_logprobs(self, prefix: Prefix, grown: Sequence[TokenTree]) -> list[list[float]]:
        """Read trees in one pass; gives the logarithms of the probabilities of each tree's `wanted` tokens."""
        states = BatchKVCache(prefix, rows=len(grown), layers=self._layers, device=self.model.device)
        starts = [0, *itertools.accumulate(len(tree.tokens) for tree in grown)]
        chunks = [Chunk(row, 0, len(tree.tokens), starts[row], tree.shape()) for row, tree in enumerate(grown)]
        hidden = self._forward([token for tree in grown for token in tree.tokens], states, chunks, range(starts[-1]))
        return [self._wanted(hidden[start:], tree.wanted()) for tree, start in zip(grown, starts, strict=False)]

    def _wanted(self, hidden: Tensor, wanted: Sequence[tuple[int, int]]) -> list[float]:
        """Logarithms of the probabilities of tokens behind nodes, in order."""
        found = [0.0] * len(wanted)
        by_node: dict[int, list[int]] = defaultdict(list)
        for place, (node, _) in enumerate(wanted):
            by_node[node].append(place)
        nodes = list(by_node)
        for begin in range(0, len(nodes), _ROWS):
            part = nodes[begin : begin + _ROWS]
            logprobs = self._head.logits(hidden[part], None).float().log_softmax(-1)
            places = [place for node in part for place in by_node[node]]
            rows = [row for row, node in enumerate(part) for _ in by_node[node]]
            for place, value in zip(places, logprobs[rows, [wanted[place][1] for place in places]].tolist(), strict=True):
                found[place] = value
        return found

    def sequence(self, prompt: Prompt, shared: int) -> SequenceState:
        """The row that answers a prompt whose first `shared` tokens are read already."""
        options = {"tokenizer": self.tokenizer, "vocabulary": self.vocabulary, "ends": self.ends, "special": self._special}
        return SequenceState(prompt, shared, **options)

    def _pass(self, states: BatchKVCache, sequences: Mapping[int, SequenceState]) -> dict[int, Exception]:
        """Read the next tokens of the rows and take in what is chosen; gives the errors of rows that cannot go on."""
        failed: dict[int, Exception] = {}
        ids: list[int] = []
        chunks: list[Chunk] = []
        decision_points: list[DecisionPoint] = []
        places: list[int] = []
        full = min(1.0, sum(sequence.unread for sequence in sequences.values()) / PASS)
        overhead = self.overhead * (1 - full) / len(sequences)  # a pass that is full anyway is not saved by guessing
        for row, sequence in sequences.items():
            if sequence.finish:
                continue
            with _failing(failed, row):
                if sequence.idle:
                    sequence.plan(overhead)
                start, at = sequence.kept + sequence.fed, len(ids)
                some, due = sequence.read(PASS - at)
                chunks += [Chunk(row, start, len(some), at)] if some else []
                decision_points += [decision_point for decision_point, _ in due]
                places += [at + place for _, place in due]
                ids += some
        if ids:
            self._choose(self._forward(ids, states, chunks, places), decision_points)
        for row, sequence in sequences.items():
            if row not in failed and sequence.idle and not sequence.finish:
                with _failing(failed, row):
                    sequence.resolve()
        return failed

    def _forward(self, ids: Sequence[int], states: BatchKVCache, chunks: Sequence[Chunk], places: Sequence[int]) -> Tensor:
        """Hidden states (or logits, see `_Head`) at these places of the packed tokens, shape (places, size)."""
        step = states.step(chunks)
        CURRENT.step = step
        self.passes += 1
        device = self.model.device
        try:
            return self._head.read(
                torch.tensor(places, dtype=torch.long, device=device),
                input_ids=torch.tensor([ids], device=device),
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),  # four dimensions: not looked at
                position_ids=step.positions[None],
                past_key_values=states.cache,
                use_cache=True,
            )
        finally:
            CURRENT.step = None

    def _choose(self, hidden: Tensor, decision_points: Sequence[DecisionPoint]) -> None:
        """Set the choice of each ask: the best allowed token and the logarithm of its probability among those allowed."""
        bound = [
            (place, decision_point, decision_point.allowed)
            for place, decision_point in enumerate(decision_points)
            if decision_point.allowed is not None
        ]
        if bound:
            union = np.unique(np.concatenate([allowed for _, _, allowed in bound]))
            logits = self._head.logits(hidden[[place for place, _, _ in bound]], torch.from_numpy(union)).float().cpu()
            masked = torch.full_like(logits, float("-inf"))
            for i, (_, _, allowed) in enumerate(bound):
                index = torch.from_numpy(np.searchsorted(union, allowed))
                masked[i, index] = logits[i, index]
            _set_choices([decision_point for _, decision_point, _ in bound], masked, union)
        free = [(place, decision_point) for place, decision_point in enumerate(decision_points) if decision_point.allowed is None]
        if free:
            logits = self._head.logits(hidden[[place for place, _ in free]], None).float().cpu()
            _set_choices([decision_point for _, decision_point in free], logits, np.arange(logits.shape[-1]))

    @torch.inference_mode()
    def _read_prefix(self, prefix: Prefix, ids: Ids) -> tuple[LayerStates, ...]:
        """The states of tokens behind a prefix."""
        states = BatchKVCache(prefix, rows=1, layers=self._layers, device=self.model.device)
        self._forward(ids, states, [Chunk(0, 0, len(ids), 0)], [])
        return states.taken(len(ids))


@contextmanager
def _failing(failed: dict[int, Exception], row: int) -> Iterator[None]:
    try:
        yield
    except GrammarError as error:
        failed[row] = error


def _set_choices(decision_points: Sequence[DecisionPoint], logits: Tensor, names: np.ndarray[Any, Any]) -> None:
    """Set the choice of each decision point: the best or the drawn token, and the logarithm of its probability.

    Args:
        decision_points: The decision points.
        logits: Shape (decision points, tokens); minus infinity where a token is not allowed.
        names: The token of each column.
    """
    indices = logits.argmax(dim=-1).tolist()
    for row, point in enumerate(decision_points):
        if point.sampling is not None and point.uniform is not None:
            indices[row] = point.sampling.draw(logits[row].numpy(), point.uniform)
    chosen = logits[torch.arange(len(indices)), indices]
    logprobs = (chosen - logits.logsumexp(-1)).tolist()
    for decision_point, index, logprob in zip(decision_points, indices, logprobs, strict=True):
        decision_point.chosen = (int(names[index]), float(logprob))


class _Head:
    """From tokens to logits of a few places, and of a few tokens where the model's last layer is plain.

    Args:
        model: The model, with its own attention still: the shortcut is held against it once.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._probe = torch.tensor([PROBE], device=model.device)
        with torch.inference_mode():
            self.own: Tensor = model(input_ids=self._probe, use_cache=False).logits[0]
            """Logits of the probe's tokens with the model's own attention."""
        self._base = getattr(model, getattr(model, "base_model_prefix", "") or "-", None)
        output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        self._output = output if isinstance(output, torch.nn.Linear) and not output.weight.is_meta else None
        self._spread = is_spread(model)
        self._plain = self._base is not None and self._output is not None and self._agrees()

    @torch.inference_mode()
    def _agrees(self) -> bool:
        """Whether the last layer alone gives the model's logits: not so where it caps or scales them."""
        assert self._base is not None and self._output is not None
        short = self._output(self._base(input_ids=self._probe, use_cache=False)[0][0])
        return bool(torch.allclose(self.own.float().cpu(), short.float().cpu(), rtol=1e-3, atol=1e-3))

    def read(self, places: Tensor, **inputs: Any) -> Tensor:
        """Run the model; gives what `logits` takes, one row a place."""
        if self._plain:
            assert self._base is not None
            hidden: Tensor = self._base(**inputs)[0][0]
            return hidden[places.to(hidden.device)]
        kept: Any = places.tolist() if self._spread else places  # a tensor would be moved away from the last layer's device
        logits: Tensor = self.model(**inputs, logits_to_keep=kept if len(places) else 1).logits[0]
        return logits

    def logits(self, rows: Tensor, tokens: Tensor | None) -> Tensor:
        """Logits of these tokens (None: all), shape (rows, tokens)."""
        if not self._plain:
            return rows if tokens is None else rows[:, tokens.to(rows.device)]
        assert self._output is not None
        if tokens is None:
            found: Tensor = self._output(rows)
            return found
        rows = rows.to(self._output.weight.device)
        index = tokens.to(rows.device)
        bias = None if self._output.bias is None else self._output.bias[index]
        return functional.linear(rows, self._output.weight[index], bias)


def shared_prefix(prompts: Sequence[Prompt]) -> int:
    """How many leading tokens all prompts share and none of them owes to its last message; a function of the batch alone."""
    first = prompts[0].ids
    length = min(min(p.fixed, len(p.ids) - 1) for p in prompts)
    for prompt in prompts[1:]:
        while prompt.ids[:length] != first[:length]:
            length = next((i for i in range(length) if prompt.ids[i] != first[i]), length)
    return length
