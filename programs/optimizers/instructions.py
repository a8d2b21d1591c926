"""DSPy's optimizers that write instructions. They need a capable model as `reflection_model=`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import dspy

from clinspan.corpora import check_number, InputError
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, bootstrapping, Effort, Extent, SAME, WRITES
from clinspan.programs.optimizers.evaluate import ranked_by


@dataclass(frozen=True, kw_only=True)
class Copro(Optimizer):
    """COPRO: proposes instructions and improves the best of them.

    Attributes:
        breadth: Proposals per round.
        depth: Number of rounds.
        temperature: Sampling temperature of the proposals.
    """

    breadth: int = 4
    depth: int = 2
    temperature: float = 1.0
    least: ClassVar[Mapping[str, float]] = {"breadth": 2, "depth": 1, "temperature": 0.0}
    chooses_demos: ClassVar[bool] = False
    writes_instructions: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        number = self.breadth * self.depth
        return Effort(number, Asked(0, extent.scored(number).most), unknown=(WRITES, SAME))

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "copro"):
            search = dspy.COPRO(
                prompt_model=context.writer_lm,
                metric=context.objective,
                breadth=self.breadth,
                depth=self.depth,
                init_temperature=self.temperature,
            )
            search.compile(context.start.student(), trainset=context.dev_examples())


@dataclass(frozen=True, kw_only=True)
class Mipro(Optimizer):
    """MIPROv2: proposes instructions and sets of demonstrations, and combines them by Bayesian search.

    Attributes:
        candidates: Number of instructions, and of sets of demonstrations.
        trials: Number of combinations to try.
        bootstrapped: Maximum number of demonstrations with the program's own answers.
        labeled: Maximum number of demonstrations in all.
        threshold: Minimum score of an answer that may become a demonstration.
    """

    candidates: int = 6
    trials: int = 10
    bootstrapped: int = 2
    labeled: int = 5
    threshold: float = 0.8
    least: ClassVar[Mapping[str, float]] = {"candidates": 1, "trials": 1, "bootstrapped": 0, "labeled": 0, "threshold": 0.0}
    chooses_demos: ClassVar[bool] = True
    writes_instructions: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        own, taught = bootstrapping(extent, max(0, self.candidates - 2))
        return Effort(self.trials + 1, Asked(0, extent.scored(self.trials + 1).most) + own, taught, (WRITES, SAME))

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "mipro"):
            search = dspy.MIPROv2(
                metric=context.objective,
                prompt_model=context.writer_lm,
                task_model=context.lm,
                auto=None,
                num_candidates=self.candidates,
                max_bootstrapped_demos=self.bootstrapped,
                max_labeled_demos=self.labeled,
                metric_threshold=self.threshold,
                seed=context.seed + 1,  # MIPROv2 treats 0 as no seed
            )
            search.compile(
                context.start.student(),
                trainset=context.train_examples(),
                valset=context.dev_examples(),
                teacher=context.teaching(),
                num_trials=self.trials,
                minibatch=False,
                program_aware_proposer=False,  # it reads source code, but ours is not the prompt
            )


@dataclass(frozen=True, kw_only=True)
class Gepa(Optimizer):
    """GEPA: rewrites instructions after reading the errors in single sentences.

    Attributes:
        calls: Number of tagged sentences after which it stops; None: enough for `rounds` accepted instructions, see `budget`.
        rounds: Number of new instructions that are to be measured on dev, where `calls` is None.
        minibatch: Sentences read at a time.
        train_limit: Train sentences to read from.
    """

    calls: int | None = None
    rounds: int = 5
    minibatch: int = 4
    train_limit: int = 100
    least: ClassVar[Mapping[str, float]] = {"rounds": 1, "minibatch": 1, "train_limit": 1}
    chooses_demos: ClassVar[bool] = False
    writes_instructions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calls is not None:
            check_number("optimizer.calls", self.calls, 1)

    def budget(self, dev: int) -> int:
        """The number of tagged sentences after which it stops, for `dev` dev sentences.

        Without `calls`: dev once, and for each round dev and two minibatches, before and after the rewriting.

        >>> Gepa().budget(18), Gepa().budget(500), Gepa(calls=60).budget(18)
        (148, 3040, 60)
        """
        return self.calls or dev + self.rounds * (dev + 2 * self.minibatch)

    def effort(self, extent: Extent) -> Effort:
        budget = self.budget(extent.dev)
        most = budget + extent.dev + 2 * self.minibatch  # it ends with whole rounds
        rounds = max(1, budget // (extent.dev + 2 * self.minibatch))
        return Effort(rounds, Asked(budget - extent.dev, most), unknown=(f"{WRITES}, about one a round",))

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "gepa", whole=True):
            search = dspy.GEPA(
                metric=context.objective.with_feedback,
                reflection_lm=context.writer_lm,
                max_metric_calls=self.budget(len(context.evaluator.sentences)),
                reflection_minibatch_size=self.minibatch,
                track_stats=True,
                warn_on_score_mismatch=False,
                seed=context.seed,
            )
            optimized = search.compile(
                context.start.student(),
                trainset=context.train_examples(self.train_limit),
                valset=context.dev_examples(),
            )
            for program in optimized.detailed_results.candidates:
                context.evaluator.score(context.start.with_tagger(program, "gepa"), whole=True)


@dataclass(frozen=True, kw_only=True)
class Simba(Optimizer):
    """SIMBA: adds demonstrations and rules for hard train sentences.

    Attributes:
        steps: Number of batches.
        batch: Sentences per batch.
        candidates: Programs per batch.
        demos: Maximum number of demonstrations.
        train_limit: Train sentences to take batches from.
    """

    steps: int = 3
    batch: int = 16
    candidates: int = 3
    demos: int = 6
    train_limit: int = 48
    least: ClassVar[Mapping[str, float]] = {"steps": 1, "batch": 1, "candidates": 1, "demos": 0, "train_limit": 1}
    chooses_demos: ClassVar[bool] = True
    writes_instructions: ClassVar[bool] = True

    def check(self, context: OptimizationContext) -> None:
        super().check(context)
        if len(context.spoken[: self.train_limit]) < self.batch:
            problem = f"optimizer.batch={self.batch} takes more sentences than there are to train on"
            raise InputError(problem, remedy="Set optimizer.batch lower, or optimizer.train_limit and train_limit higher.")

    def effort(self, extent: Extent) -> Effort:
        batches, train = self.steps * self.batch, min(self.train_limit, extent.train)
        least = batches * self.candidates + train
        most = batches * (2 * self.candidates + 1) + (self.steps + 1) * train
        final = Asked.up_to(extent.ranked(self.steps + 1).most)
        return Effort(self.steps + 1, Asked(least, most) + final, unknown=(f"{WRITES}, at most {self.candidates + 1} a step",))

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "simba"), dspy.context(lm=context.lm):  # it tries programs on the current model
            search = dspy.SIMBA(
                metric=context.objective,
                bsize=self.batch,
                num_candidates=self.candidates,
                max_steps=self.steps,
                max_demos=self.demos,
                prompt_model=context.writer_lm,
                num_threads=self.batch,
            )
            optimized = search.compile(
                context.start.student(), trainset=context.train_examples(self.train_limit), seed=context.seed
            )
            programs = [entry["program"] for entry in optimized.candidate_programs]
            context.evaluator.rank([context.start.with_tagger(program, "simba") for program in programs])


@dataclass(frozen=True, kw_only=True)
class InferRules(Optimizer):
    """InferRules: lets a model find rules in train sentences and adds them to the instructions.

    Attributes:
        candidates: Lists of rules to try.
        rules: Rules per list.
        bootstrapped: Maximum number of demonstrations with the program's own answers.
        labeled: Maximum number of demonstrations in all.
        threshold: Minimum score of an answer that may become a demonstration.
        train_limit: Train sentences that rules are found in.
    """

    candidates: int = 4
    rules: int = 8
    bootstrapped: int = 2
    labeled: int = 5
    threshold: float = 0.8
    train_limit: int = 30
    least: ClassVar[Mapping[str, float]] = {
        "candidates": 1,
        "rules": 1,
        "bootstrapped": 0,
        "labeled": 0,
        "threshold": 0.0,
        "train_limit": 1,
    }
    chooses_demos: ClassVar[bool] = True
    writes_instructions: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        tried = replace(extent, train=min(self.train_limit, extent.train))
        own, taught = bootstrapping(tried, 1)
        return Effort(self.candidates, extent.scored(self.candidates) + own, taught, (WRITES,))

    def compile(self, context: OptimizationContext) -> None:
        with ranked_by(context, "infer_rules"):
            search = dspy.InferRules(
                metric=context.objective,
                num_candidates=self.candidates,
                num_rules=self.rules,
                max_bootstrapped_demos=self.bootstrapped,
                max_labeled_demos=self.labeled,
                metric_threshold=self.threshold,
            )
            train = context.train_examples(self.train_limit)
            search.compile(context.start.student(), teacher=context.teaching(), trainset=train, valset=context.dev_examples())
