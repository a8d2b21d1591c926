"""Strategies: the source of demonstrations and of context."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, Literal

from clinspan.corpora import check_number, Corpus, InputError, Sentence

Demonstrations = Literal["none", "fixed", "nearest"]
Context = Literal["none", "retrieved"]
Overflow = Literal["error", "drop"]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """
    Attributes:
        demonstrations: `none`, the same `fixed` ones for every sentence, or the `nearest` training sentences.
        context: `none`, or the `retrieved` chunks of the knowledge base.
        k: Number of demonstrations.
        pool: Number of train sentences, from the first on, that demonstrations come from; None: all.
        overflow: Handling of a prompt that does not fit the model's context: an `error`, or `drop` demonstrations until it
            fits. The first, and so the farthest, is dropped first. Each dropped demonstration is counted.
        votes: Number of sampled answers to each sentence, which vote (self-consistency): a span stands if more than half of
            them have it. 1: one answer, and a greedy one.
        temperature: Temperature of sampled answers.
    """

    demonstrations: Demonstrations = "none"
    context: Context = "none"
    k: int = 5
    pool: int | None = None
    overflow: Overflow = "drop"
    votes: int = 1
    temperature: float = 0.7

    def __post_init__(self) -> None:
        kinds = (("demonstrations", Demonstrations), ("context", Context), ("overflow", Overflow))
        for name, kind in kinds:
            if getattr(self, name) not in get_args(kind):
                remedy = f"Use one of {', '.join(get_args(kind))}."
                raise InputError(f"strategy.{name}={getattr(self, name)} is not known", remedy=remedy)
        if self.pool is not None:
            check_number("strategy.pool", self.pool, 1)
        check_number("strategy.k", self.k, 1)
        check_number("strategy.votes", self.votes, 1)
        if not 0 < self.temperature <= 2:
            remedy = "Sampled answers differ at temperatures above 0; one greedy answer is strategy.votes=1."
            raise InputError(f"strategy.temperature={self.temperature} is not above 0 and at most 2", remedy=remedy)

    @property
    def name(self) -> str:
        """
        >>> Strategy(demonstrations="nearest", k=3).name
        '3 nearest'
        """
        parts = [f"{self.k} {self.demonstrations}"] if self.demonstrations != "none" else []
        name = " + ".join(parts + ["context"] * (self.context == "retrieved")) or "zero-shot"
        return f"{name}, {self.votes} votes" if self.votes > 1 else name


def demonstration_pool(corpus: Corpus, strategy: Strategy) -> list[Sentence]:
    """The training sentences that demonstrations are taken from.

    Raises:
        InputError: The corpus has fewer sentences than the strategy needs.
    """
    pool = list(corpus.sentences("train"))[: strategy.pool]
    if len(pool) < strategy.k:
        remedy = "Give a train split, set strategy.k lower or strategy.pool higher, or use strategy=zero_shot."
        problem = f"the strategy needs {strategy.k} demonstrations, the train split of {corpus.name} gives {len(pool)} sentences"
        raise InputError(problem, remedy=remedy)
    return pool


def fixed_demonstrations(pool: Sequence[Sentence], k: int, seed: int) -> list[dict[str, Any]]:
    """`k` random sentences of the pool, the same for the same seed."""
    return [as_demonstration(sentence) for sentence in random.Random(seed).sample(list(pool), k)]


def as_demonstration(sentence: Sentence) -> dict[str, Any]:
    """Convert a training sentence to a DSPy demonstration."""
    return {"id": sentence.id, "tokens": list(sentence.words), "tags": list(sentence.tags)}
