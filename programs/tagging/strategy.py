"""Strategies: the source of demonstrations and of context."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, Literal

from clinspan.corpora import check_number, Corpus, InputError, Sentence
from clinspan.programs.tagging.note_context import NoteContext, Title

Demonstrations = Literal["none", "fixed", "nearest"]
Context = Literal["none", "retrieved"]
Overflow = Literal["error", "drop"]
Draw = Literal["auto", "random", "covering", "balanced"]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """
    Attributes:
        demonstrations: `none`, the same `fixed` ones for every sentence, or the `nearest` training sentences.
        context: `none`, or the `retrieved` chunks of the knowledge base.
        neighbours: Number of sentences before and of sentences after the sentence, of the same document, that the prompt shows.
        heading: Whether the prompt shows the heading that the sentence stands under, see `corpora.headings`.
        document: `title`: the prompt shows the title of the document, its first line; `none`.
        k: Number of demonstrations.
        shared: Number of further demonstrations that every prompt shows before the `nearest` ones. They are drawn like fixed ones,
            and a local model reads them once.
        pool: Number of train sentences, from the first on, that demonstrations come from; None: all.
        examples: A file whose sentences are the fixed demonstrations, all of them and in its order; None: no file.
        ids: Ids of the train sentences that are the fixed demonstrations, in this order; None: `k` sentences are drawn.
        draw: How fixed demonstrations are drawn: `random`, `covering` or `balanced` (see `programs.tagging.demonstrations`), or
            `auto`: random for the corpora of the paper, else covering.
        overflow: Handling of a prompt that does not fit the model's context: an `error`, or `drop` parts until it fits: what it
            shows of the document, then demonstrations from the first, the farthest, on. Each dropped part is counted.
        diversity: For `nearest` ones, weight of being unlike those already chosen (maximal marginal relevance), below 1; 0: the
            nearest ones, however alike they are.
        votes: Number of sampled answers to each sentence, which vote (self-consistency): a span stands if more than half of
            them have it. 1: one answer, and a greedy one.
        temperature: Temperature of sampled answers.
    """

    demonstrations: Demonstrations = "none"
    context: Context = "none"
    neighbours: int = 0
    heading: bool = False
    document: Title = "none"
    k: int = 5
    shared: int = 0
    pool: int | None = None
    examples: str | None = None
    ids: Sequence[str] | None = None
    draw: Draw = "auto"
    overflow: Overflow = "drop"
    diversity: float = 0.0
    votes: int = 1
    temperature: float = 0.7

    def __post_init__(self) -> None:
        kinds: tuple[tuple[str, Any], ...] = (("demonstrations", Demonstrations), ("context", Context), ("document", Title))
        kinds += (("overflow", Overflow), ("draw", Draw))
        for name, kind in kinds:
            if getattr(self, name) not in get_args(kind):
                remedy = f"Use one of {', '.join(get_args(kind))}."
                raise InputError(f"strategy.{name}={getattr(self, name)} is not known", remedy=remedy)
        self._check_given()
        if self.pool is not None:
            check_number("strategy.pool", self.pool, 1)
        check_number("strategy.k", self.k, 1)
        check_number("strategy.shared", self.shared, 0)
        if self.shared and self.demonstrations != "nearest":
            problem = "strategy.shared adds to nearest demonstrations, and this strategy looks up none"
            raise InputError(problem, remedy="Use it with strategy=knn.")
        check_number("strategy.neighbours", self.neighbours, 0)
        if not 0 <= self.diversity < 1:
            raise InputError(f"strategy.diversity={self.diversity} is not from 0 to below 1", remedy="Use 0.3 to begin with.")
        if self.diversity and self.demonstrations != "nearest":
            problem = "strategy.diversity spreads nearest demonstrations, and this strategy looks up none"
            raise InputError(problem, remedy="Use it with strategy=knn.")
        check_number("strategy.votes", self.votes, 1)
        if not 0 < self.temperature <= 2:
            remedy = "Sampled answers differ at temperatures above 0; one greedy answer is strategy.votes=1."
            raise InputError(f"strategy.temperature={self.temperature} is not above 0 and at most 2", remedy=remedy)

    def _check_given(self) -> None:
        """Refuse demonstrations of the user's own that would not be sent."""
        given = [name for name in ("examples", "ids") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError("strategy.examples and strategy.ids are both set", remedy="Leave one of them out.")
        if given and self.demonstrations != "fixed":
            remedy = "Use it with strategy=few_shot or strategy=rag_few_shot."
            raise InputError(f"strategy.{given[0]} gives fixed demonstrations, and this strategy has none", remedy=remedy)
        names = list(map(str, self.ids or ()))
        if self.ids is not None and not names:
            raise InputError("strategy.ids names no sentence", remedy="Write strategy.ids=[DOCUMENT:NUMBER,...].")
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise InputError(f"strategy.ids has {twice[0]} twice", remedy="Name each sentence once.")

    @property
    def given(self) -> bool:
        """Whether the user gives the demonstrations, so that none are drawn."""
        return self.examples is not None or self.ids is not None

    @property
    def note(self) -> NoteContext:
        """What the prompt shows of the document around the sentence."""
        return NoteContext(self.neighbours, self.heading, self.document)

    @property
    def name(self) -> str:
        """
        >>> Strategy(demonstrations="nearest", k=3).name
        '3 nearest'
        >>> Strategy(demonstrations="nearest", k=3, shared=4).name
        '4 shared + 3 nearest'
        """
        shown = "given" if self.given else f"{self.k} {self.demonstrations}"
        shown = f"{self.shared} shared + {shown}" if self.shared else shown
        parts = [shown] if self.demonstrations != "none" else []
        parts += ["context"] * (self.context == "retrieved")
        name = " + ".join([*(parts or ["zero-shot"]), *filter(None, [self.note.name])])
        return f"{name}, {self.votes} votes" if self.votes > 1 else name


def demonstration_pool(corpus: Corpus, strategy: Strategy) -> list[Sentence]:
    """The training sentences that demonstrations are taken from.

    Raises:
        InputError: The corpus has fewer sentences than the strategy needs.
    """
    pool = list(corpus.sentences("train"))[: strategy.pool]
    if len(pool) < (needed := strategy.k + strategy.shared):
        remedy = "Give a train split, set strategy.k lower or strategy.pool higher, or use strategy=zero_shot."
        problem = f"the strategy needs {needed} demonstrations, the train split of {corpus.name} gives {len(pool)} sentences"
        raise InputError(problem, remedy=remedy)
    return pool


def fixed_demonstrations(pool: Sequence[Sentence], k: int, seed: int) -> list[dict[str, Any]]:
    """`k` random sentences of the pool, the same for the same seed."""
    return [as_demonstration(sentence) for sentence in random.Random(seed).sample(list(pool), k)]


def as_demonstration(sentence: Sentence) -> dict[str, Any]:
    """Convert a training sentence to a DSPy demonstration."""
    joined = {"joined": list(sentence.joined)} if sentence.joined else {}
    mentions = {} if sentence.full is None else {"mentions": [one.record() for one in sentence.full]}
    return {"id": sentence.id, "tokens": list(sentence.words), "tags": list(sentence.tags), **joined, **mentions}
