"""Greedy decoding of a batch on transformers, the states of what all prompts begin with computed once.

Rows are padded on the left of what differs; positions decide what is seen, so a row's answer does not depend on the
padding. Rows that are done leave the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from lms.attention import Batch, CURRENT, install


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of one prompt; `fixed` is how many of them do not depend on the last message.

    An answer ends at one of `stops`, after `budget` tokens, or with its line number `lines` (0: any number).
    """

    ids: tuple[int, ...]
    fixed: int
    budget: int
    stops: tuple[str, ...]
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The text up to the stop, its tokens (the stop's included), and why it ended: `stop` or `length`."""

    text: str
    tokens: int
    finish: str


class Decoder:
    """Decodes batches on one model. Not safe for threads: one batch at a time.

    Args:
        model: A transformers causal language model in evaluation mode.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        install(model)
        self._ends = _end_ids(model, tokenizer)
        self._prefix: tuple[int, ...] = ()
        self._prefix_cache: Any = None

    @torch.inference_mode()
    def decode(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """One answer a prompt, in order."""
        prefix = shared_prefix(prompts)
        cache = self._cache_of(prompts[0].ids[:prefix])
        ids, positions = self._padded([p.ids[prefix:] for p in prompts], prefix)
        batch = Batch.begin(cache, positions, ids.shape[1] + max(p.budget for p in prompts))
        rows = _Rows(prompts, self.tokenizer, self._ends)
        CURRENT.batch = batch
        try:
            while True:
                chosen = self._step(ids, batch)
                keep = rows.advance(chosen)
                if not rows.active:
                    return rows.answers()
                ids = torch.tensor([[chosen[i]] for i in keep], device=ids.device)
                after = batch.queries[:, -1:] + 1
                if len(keep) < len(chosen):
                    index = torch.tensor(keep, device=ids.device)
                    batch.keep(index)
                    after = after[index]
                batch.step(after)
        finally:
            CURRENT.batch = None

    def _step(self, ids: torch.Tensor, batch: Batch) -> list[int]:
        out = self.model(
            input_ids=ids,
            attention_mask=ids.new_ones(ids.shape[0], 1, 1, 1, dtype=torch.bool),  # four dimensions: not looked at
            position_ids=batch.queries.clamp(min=0),
            past_key_values=batch.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chosen: list[int] = out.logits[:, -1].argmax(-1).tolist()
        return chosen

    def _padded(self, suffixes: Sequence[Sequence[int]], prefix: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids padded on the left, and their positions with -1 for padding."""
        width = max(map(len, suffixes))
        ids = torch.zeros(len(suffixes), width, dtype=torch.long)
        positions = torch.full((len(suffixes), width), -1, dtype=torch.long)
        for row, suffix in enumerate(suffixes):
            ids[row, width - len(suffix) :] = torch.tensor(suffix)
            positions[row, width - len(suffix) :] = torch.arange(prefix, prefix + len(suffix))
        return ids.to(self.model.device), positions.to(self.model.device)

    def _cache_of(self, prefix: tuple[int, ...]) -> Any:
        """The states of the prefix, of the last one asked for at no cost."""
        if prefix != self._prefix:
            self._prefix, self._prefix_cache = (), None
            ids = torch.tensor([prefix], device=self.model.device)
            out = self.model(input_ids=ids, use_cache=True, past_key_values=DynamicCache(), logits_to_keep=1)
            self._prefix, self._prefix_cache = prefix, out.past_key_values
        return self._prefix_cache


class _Rows:
    """What each row of a batch has said so far, and which rows still speak."""

    def __init__(self, prompts: Sequence[Prompt], tokenizer: Any, ends: frozenset[int]) -> None:
        self.prompts, self.tokenizer, self.ends = prompts, tokenizer, ends
        self.said: list[list[int]] = [[] for _ in prompts]
        self.finish: list[str] = [""] * len(prompts)
        self.active = list(range(len(prompts)))

    def advance(self, chosen: Sequence[int]) -> list[int]:
        """Add one token to each active row; gives the places, among them, of the rows that go on."""
        keep = []
        for place, row in enumerate(self.active):
            self.said[row].append(chosen[place])
            self.finish[row] = self._finish_of(row)
            if not self.finish[row]:
                keep.append(place)
        self.active = [self.active[place] for place in keep]
        return keep

    def _finish_of(self, row: int) -> str:
        prompt, said = self.prompts[row], self.said[row]
        if said[-1] in self.ends:
            return "stop"
        if prompt.stops:
            tail = self.tokenizer.decode(said[-12:], skip_special_tokens=False)
            if any(stop in tail for stop in prompt.stops):
                return "stop"
        newline = prompt.lines and "\n" in self.tokenizer.decode(said[-1:])
        if newline and self.tokenizer.decode(said).count("\n") >= prompt.lines:
            return "stop"
        return "length" if len(said) >= prompt.budget else ""

    def answers(self) -> list[Answer]:
        return [self._answer(row) for row in range(len(self.prompts))]

    def _answer(self, row: int) -> Answer:
        said = self.said[row]
        body = said[:-1] if said and said[-1] in self.ends else said
        text = self.tokenizer.decode(body, skip_special_tokens=True)
        for stop in self.prompts[row].stops:
            text = text.split(stop, 1)[0]
        return Answer(text, len(said), self.finish[row])


def shared_prefix(prompts: Sequence[Prompt]) -> int:
    """How many leading tokens all prompts share and none of them owes to its last message.

    A function of the batch alone: what ran before never changes how a batch is computed. At least one token: the
    first is every sequence's own beginning, whatever follows.
    """
    first = prompts[0].ids
    length = min(min(p.fixed, len(p.ids) - 1) for p in prompts)
    for prompt in prompts[1:]:
        while prompt.ids[:length] != first[:length]:
            length = next((i for i in range(length) if prompt.ids[i] != first[i]), length)
    return length


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = getattr(model.generation_config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(int(i) for i in [*listed, tokenizer.eos_token_id] if i is not None)
