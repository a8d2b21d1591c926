"""Keeps the program and fits the map of its confidences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent


@dataclass(frozen=True, kw_only=True)
class FittedConfidence(Optimizer):
    """Tries no candidates. As with every optimizer, the kept program gets a map of its confidences that is fitted to dev."""

    chooses_demos: ClassVar[bool] = False

    def effort(self, extent: Extent) -> Effort:
        return Effort(0, Asked.exactly(0))

    def compile(self, context: OptimizationContext) -> None:
        """Do nothing: the start program is measured on dev already."""
