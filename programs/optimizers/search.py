"""Search over settings: grid and Optuna."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

from clinspan.corpora import InputError
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent, SAME

_PATIENCE = 5
"""Maximum number of Optuna proposals per wanted combination, because Optuna repeats combinations."""


def read_space(lines: Sequence[str]) -> dict[str, list[Any]]:
    """Parse the values of each key from lines in sweep syntax.

    Raises:
        InputError: A line is not `key=value,value,...`, or there are no lines.

    >>> read_space(["strategy.k=3,5", "format=inline"])
    {'strategy.k': [3, 5], 'format': ['inline']}
    """
    space: dict[str, list[Any]] = {}
    for line in lines:
        key, _, values = str(line).partition("=")
        if not key or not values:
            remedy = "Write optimizer.space=['format=entities,inline','strategy.k=3,5']."
            raise InputError(f"optimizer.space has {line!r}, which is not key=value,value", remedy=remedy)
        space[key.strip()] = [yaml.safe_load(value) for value in values.split(",")]
    if not space:
        raise InputError("optimizer.space is empty", remedy="Write optimizer.space=['format=entities,inline','strategy.k=3,5'].")
    return space


@dataclass(frozen=True, kw_only=True)
class Grid(Optimizer):
    """Every combination of values, or a random sample of them.

    Attributes:
        space: One line per key of the config, `key=value,value,...`.
        most: Maximum number of combinations to try; of more, a random sample is taken.
    """

    space: Sequence[str] = ()
    most: int = 16
    least: ClassVar[Mapping[str, float]] = {"most": 1}
    chooses_demos: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        read_space(self.space)

    def check(self, context: OptimizationContext) -> None:
        _check_space(self.space, context)

    def effort(self, extent: Extent) -> Effort:
        number = min(self.most, _points(self.space))
        least = extent.ranked(number - 1, known=1).least  # one of them may be the start
        return Effort(number, Asked(least, extent.ranked(number).most), unknown=(SAME,))

    def compile(self, context: OptimizationContext) -> None:
        space = read_space(self.space)
        points = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
        if len(points) > self.most:
            points = random.Random(context.seed).sample(points, self.most)
        context.evaluator.rank([context.variant(point, _name(point)) for point in points])


@dataclass(frozen=True, kw_only=True)
class Optuna(Optimizer):
    """Combinations that Optuna's tree-structured Parzen estimator proposes (Bergstra et al. 2011).

    Attributes:
        space: One line per key of the config, `key=value,value,...`.
        trials: Number of different combinations to try.
    """

    space: Sequence[str] = ()
    trials: int = 30
    least: ClassVar[Mapping[str, float]] = {"trials": 1}
    chooses_demos: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        read_space(self.space)

    def check(self, context: OptimizationContext) -> None:
        _check_space(self.space, context)

    def effort(self, extent: Extent) -> Effort:
        number = min(self.trials, _points(self.space))
        return Effort(number, Asked(extent.scored(number - 1).least, extent.scored(number).most), unknown=(SAME,))

    def compile(self, context: OptimizationContext) -> None:
        import optuna

        space = read_space(self.space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=context.seed))
        tried: set[str] = set()
        for _ in range(_PATIENCE * self.trials):
            trial = study.ask()
            point = {key: trial.suggest_categorical(key, values) for key, values in space.items()}
            study.tell(trial, context.evaluator.score(context.variant(point, _name(point))))
            tried.add(_name(point))
            if len(tried) == min(self.trials, _points(self.space)):
                return


def _points(lines: Sequence[str]) -> int:
    """Number of combinations."""
    return math.prod(map(len, read_space(lines).values()))


def _check_space(lines: Sequence[str], context: OptimizationContext) -> None:
    for key, values in read_space(lines).items():
        for value in values:
            context.allow({key: value})


def _name(point: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in point.items())
