"""Programs whose confidences in mentions may be mapped to how often such mentions are right."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import dspy

from clinspan.metrics.confidence_map import ConfidenceMap

CONFIDENCE = "confidence"
"""Key of a saved program's map of confidences."""


class Calibrated(dspy.Module):
    """A program that tags sentences, with a map of its confidences or, where `confidence` is None, without one."""

    confidence: ConfidenceMap | None = None

    def calibrated(self, mapped: ConfidenceMap | None) -> Self:
        """The same program, whose confidences in mentions are mapped; None: they are not."""
        changed = copy.copy(self)
        changed.confidence = mapped
        return changed

    @property
    def saved_map(self) -> dict[str, Any]:
        """The map as a part of the program's state; empty without one."""
        return {} if self.confidence is None else {CONFIDENCE: self.confidence.model_dump()}

    def load_map(self, state: Mapping[str, Any]) -> None:
        """Take over the map of a saved state, or that it has none."""
        self.confidence = ConfidenceMap.saved(state.get(CONFIDENCE))

    def map_confidence(self, found: dspy.Prediction) -> None:
        """Replace the confidences in mentions by the mapped ones."""
        mapped = self.confidence
        if mapped is None:
            return
        found.confidence = mapped.tags(found.tags, found.confidence, "conlleval")
        if "mentions" in found:
            known = [(mention, mention["confidence"]) for mention in found.mentions]
            found.mentions = [{**mention, "confidence": None if value is None else mapped(value)} for mention, value in known]
