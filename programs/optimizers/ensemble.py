"""Ensembles of programs that vote on spans."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from clinspan.corpora import InputError
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent
from clinspan.programs.tagging.strategy import fixed_demonstrations
from clinspan.programs.tagging.tagger import Ensemble


@dataclass(frozen=True, kw_only=True)
class Voting(Optimizer):
    """The best few of several programs with random demonstrations, as in DSPy's Ensemble with a vote over spans.

    Attributes:
        pool: Programs to choose from, in addition to the start program.
        size: Number of programs that vote; must be odd.
        k: Demonstrations per program.
    """

    pool: int = 9
    size: int = 3
    k: int = 5
    least: ClassVar[Mapping[str, float]] = {"pool": 3, "size": 3, "k": 1}
    chooses_demos: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 == 0 or self.pool < self.size:
            raise InputError(
                "optimizer.size must be odd and at least 3, and optimizer.pool at least as large",
                remedy="For example size=3 and pool=9.",
            )

    def check(self, context: OptimizationContext) -> None:
        super().check(context)
        if len(context.spoken) < self.k:
            problem = f"optimizer.k={self.k} is more than the {len(context.spoken)} train sentences that can be demonstrations"
            raise InputError(problem, remedy="Set optimizer.k lower or train_limit higher.")

    def effort(self, extent: Extent) -> Effort:
        voting = Asked.exactly(self.size * extent.dev)  # each of them answers again
        return Effort(self.pool + 1, extent.ranked(self.pool, known=1, finalists=self.size) + voting)

    def compile(self, context: OptimizationContext) -> None:
        rng = random.Random(context.seed)
        sets = [fixed_demonstrations(context.spoken, self.k, rng.randrange(1 << 30)) for _ in range(self.pool)]
        candidates = [context.start, *(context.start.with_demos(demos, "ensemble member") for demos in sets)]
        ranked = context.evaluator.rank(candidates, finalists=self.size)
        members = [trial.candidate.single for trial in ranked[: self.size]]
        context.evaluator.score(replace(context.start, tagger=Ensemble(members), by="ensemble"), whole=True)
