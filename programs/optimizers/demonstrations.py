"""Optimizers that choose demonstrations: labelled, bootstrapped, nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import dspy

from clinspan.corpora import check_number, InputError
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, bootstrapping, Effort, Extent, SAME
from clinspan.programs.optimizers.evaluate import ranked_by


@dataclass(frozen=True, kw_only=True)
class Labeled(Optimizer):
    """DSPy's LabeledFewShot: random train sentences.

    Attributes:
        k: Number of demonstrations.
    """

    k: int = 5
    least: ClassVar[Mapping[str, float]] = {"k": 1}
    chooses_demos: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        return Effort(1, Asked.exactly(extent.dev))

    def compile(self, context: OptimizationContext) -> None:
        with context.quiet():
            program = dspy.LabeledFewShot(k=self.k).compile(context.start.student(), trainset=context.train_examples(), sample=True)
        context.evaluator.score(context.start.with_tagger(program, "labeled"), whole=True)


@dataclass(frozen=True, kw_only=True)
class Bootstrap(Optimizer):
    """DSPy's BootstrapFewShotWithRandomSearch: sets of random train sentences, some with the program's own answers.

    Attributes:
        candidates: Sets to try, in addition to no demonstrations, labelled ones and an unshuffled set.
        bootstrapped: Maximum number of demonstrations with the program's (or the teacher's) own answers.
        labeled: Maximum number of demonstrations in all.
        threshold: Minimum score of an answer that may become a demonstration, see `sentence_score`.
    """

    candidates: int = 12
    bootstrapped: int = 3
    labeled: int = 5
    threshold: float = 0.8
    least: ClassVar[Mapping[str, float]] = {"candidates": 1, "bootstrapped": 0, "labeled": 0, "threshold": 0.0}
    chooses_demos: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        own, taught = bootstrapping(extent, self.candidates + 1)
        candidates = extent.scored(self.candidates + 2) + Asked.up_to(extent.dev)  # without demonstrations it may be the start
        unknown = ("how many train sentences are tried until enough are answered well",)
        return Effort(self.candidates + 3, candidates + own, taught, unknown)

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "bootstrap"):
            search = dspy.BootstrapFewShotWithRandomSearch(
                metric=context.objective,
                metric_threshold=self.threshold,
                max_bootstrapped_demos=self.bootstrapped,
                max_labeled_demos=self.labeled,
                num_candidate_programs=self.candidates,
            )
            search.compile(
                context.start.student(),
                teacher=context.teaching(),
                trainset=context.train_examples(),
                valset=context.dev_examples(),
            )


@dataclass(frozen=True, kw_only=True)
class Nearest(Optimizer):
    """The train sentences nearest to each sentence, as in DSPy's KNNFewShot, in the number that scores best on dev.

    KNNFewShot compiles a new program for every sentence, so the result cannot be saved. Here the look-up is part of the program's
    settings.

    Attributes:
        ks: Numbers of demonstrations to try.
    """

    ks: tuple[int, ...] | list[int] = (3, 5, 8)
    chooses_demos: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ks:
            raise InputError("optimizer.ks is empty", remedy="Give numbers of demonstrations: optimizer.ks=[3,5,8].")
        for k in self.ks:
            check_number("optimizer.ks", k, 1)

    def check(self, context: OptimizationContext) -> None:
        for k in self.ks:
            context.allow({"strategy": "knn", "strategy.k": k})

    def effort(self, extent: Extent) -> Effort:
        most = extent.ranked(len(self.ks)).most
        return Effort(len(self.ks), Asked(extent.ranked(len(self.ks) - 1, known=1).least, most), unknown=(SAME,))

    def compile(self, context: OptimizationContext) -> None:
        passages = context.start.single.settings["strategy"]["context"]
        same = {"strategy": "knn", "strategy.context": passages}
        context.evaluator.rank([context.variant({**same, "strategy.k": k}, f"knn k={k}") for k in self.ks])
