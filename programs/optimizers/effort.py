"""How many answers an optimizer will ask for, as far as that is known before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """What a compilation has to work with.

    Attributes:
        train: Number of train sentences that have tokens.
        sizes: Dev sentences of each sample of the halving; the last one is all of dev.
        keep: One candidate in `keep` is measured on the next sample.
        teacher: Whether a `reflection_model` gives demonstrations and answers.
        nearest: Whether the start program looks up the nearest demonstrations.
        shown: Number of its fixed demonstrations.
    """

    train: int
    sizes: Sequence[int]
    keep: int
    teacher: bool = False
    nearest: bool = False
    shown: int = 0

    @property
    def dev(self) -> int:
        """Number of dev sentences."""
        return self.sizes[-1]

    def ranked(self, new: int, *, known: int = 0, finalists: int = 1) -> Asked:
        """What `CandidateEvaluator.rank` asks about new candidates.

        Args:
            new: Number of new candidates, all different.
            known: Number of candidates among them that are measured on all of dev already.
            finalists: At least so many of all are measured on all of dev.

        >>> Extent(0, [20, 60], 3).ranked(6), Extent(0, [20, 60], 3).ranked(5, known=1)
        (Asked(least=200, most=200), Asked(least=140, most=180))
        """
        alive, before, least, most = new + known, 0, 0, 0
        for size in self.sizes:
            least += max(0, alive - known) * (size - before)
            most += min(new, alive) * (size - before)
            alive, before = max(min(finalists, alive), math.ceil(alive / self.keep)), size
        return Asked(least, most)

    def scored(self, new: int) -> Asked:
        """What `CandidateEvaluator.score` asks about new candidates one after the other: each may be dropped after a sample."""
        return Asked(new * self.sizes[0], new * self.dev)


@dataclass(frozen=True)
class Asked:
    """Fewest and most sentences that a model answers to."""

    least: int
    most: int

    @classmethod
    def exactly(cls, number: int) -> Asked:
        return cls(number, number)

    @classmethod
    def up_to(cls, number: int) -> Asked:
        return cls(0, number)

    def __add__(self, other: Asked) -> Asked:
        return Asked(self.least + other.least, self.most + other.most)


@dataclass(frozen=True)
class Effort:
    """What an optimizer asks for, besides the start program's answers to all of dev.

    Attributes:
        candidates: Most programs that are measured, without the start.
        asked: Answers of the program's model.
        taught: Answers of the `reflection_model` to train sentences.
        unknown: What it does besides, whose amount is not known before.
    """

    candidates: int
    asked: Asked
    taught: Asked = Asked(0, 0)
    unknown: tuple[str, ...] = ()


def effort_words(effort: Effort, dev: int) -> str:
    """What is said of it before it begins.

    >>> effort_words(Effort(12, Asked(40, 400)), 50)
    '90 to 450 sentences are tagged for at most 12 candidates, as dev has 50; dev_limit and optimizer.* limit them'
    """
    asked = Asked.exactly(dev) + effort.asked
    number = f"{asked.least:,}" if asked.least == asked.most else f"{asked.least:,} to {asked.most:,}"
    some = f"at most {effort.candidates} candidates" if effort.candidates > 1 else "one candidate"
    candidates = some if effort.candidates else "the start alone"
    return f"{number} sentences are tagged for {candidates}, as dev has {dev:,}; dev_limit and optimizer.* limit them"


def bootstrapping(extent: Extent, sets: int) -> tuple[Asked, Asked]:
    """Answers of the model and of the teacher that are tried as demonstrations, in so many passes through train at most."""
    tried = Asked.up_to(sets * extent.train)
    return (Asked(0, 0), tried) if extent.teacher else (tried, Asked(0, 0))


WRITES = "requests that write instructions"
SAME = "equal candidates are measured once"
