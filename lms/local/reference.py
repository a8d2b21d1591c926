"""The reference decoder: plain constrained greedy decoding by transformers alone.

One sequence, its whole prompt, transformers' own attention, no shared prefix, no batch, no draft. At every place that
the grammar leaves open the token has to be the allowed one with the highest logit; if it is at each place, given what
stands before, then the whole answer is the one that plain decoding would have said. Where the request asks for sampling, the
token has to be the one that is drawn by the same random number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from clinspan.lms.local.attention import NAME
from clinspan.lms.local.decoding import Decoder
from clinspan.lms.local.sequence import Answer, Prompt, SequenceState


@dataclass(frozen=True, slots=True)
class Departure:
    """A token of an answer that plain decoding would not have chosen: its place, and by how much another's logit is higher."""

    place: int
    output_ids: int
    best: int
    margin: float


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a model that a `Decoder` uses compute with transformers' own attention meanwhile; no batch may run."""
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)


@torch.inference_mode()
def departures(decoder: Decoder, prompt: Prompt, answer: Answer) -> list[Departure]:
    """Where an answer is not that of plain constrained greedy decoding; empty where it is.

    Raises:
        ValueError: The answer is not of the grammar.
    """
    ids = [*prompt.ids, *answer.ids]
    with plain_attention(decoder.model):
        inputs = torch.tensor([ids], device=decoder.model.device)
        out = decoder.model(input_ids=inputs, use_cache=False, logits_to_keep=len(answer.ids) + 1)
    logits = out.logits[0, :-1].float().cpu()
    sequence: SequenceState = decoder.sequence(prompt, 0)
    found: list[Departure] = []
    while len(sequence.output_ids) < len(answer.ids):
        place = len(sequence.output_ids)
        if tuple(sequence.output_ids) != answer.ids[:place]:
            raise ValueError(f"token {place} and those before are not what the grammar forces")
        sequence.plan()
        allowed = sequence.decision_points[0].allowed
        row = logits[place]
        choices = torch.arange(len(row)) if allowed is None else torch.from_numpy(allowed)
        point, output_ids = sequence.decision_points[0], answer.ids[place]
        if point.sampling is not None and point.uniform is not None:
            best = int(choices[point.sampling.draw(row[choices].numpy(), point.uniform)])
        else:
            best = int(choices[row[choices].argmax()])
        if output_ids not in choices.tolist():
            raise ValueError(f"token {place} is not allowed by the grammar")
        if best != output_ids:
            found.append(Departure(place, output_ids, best, float(row[best] - row[output_ids])))
        sequence.take(output_ids)
    return found
