"""`min_confidence`: mentions with a lower confidence are left out of every result."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinspan.corpora.annotated import Mention
from clinspan.corpora.errors import InputError

REMOVED = "below_min_confidence:"
"""Prefix of the counts of removed mentions by label."""
_NONE_GIVEN = "min_confidence is set, but the model gives no confidences"
_REMEDY = (
    "Leave it out, or use a model that gives them: a local one, a token classifier, a server with model.wire.logprobs=true, or "
    "strategy.votes=5."
)


@dataclass(frozen=True, slots=True)
class MinConfidence:
    """The lowest confidence of a mention that is kept.

    Attributes:
        by_label: By label; a label that is not named has no bound.
    """

    by_label: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, labels: Sequence[str]) -> MinConfidence:
        """Read the setting: None, one number for all labels, or a number by label.

        Args:
            value: The setting.
            labels: All labels of the annotator.

        Raises:
            InputError: A number is not between 0 and 1, or a label is not known.
        """
        given: Mapping[object, Any] = value if isinstance(value, Mapping) else {} if value is None else dict.fromkeys(labels, value)
        for name, bound in given.items():
            if str(name) not in labels:
                near = difflib.get_close_matches(str(name), labels, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"The labels are {', '.join(labels)}."
                raise InputError(f"min_confidence names {name}, which is not a label of the annotator", remedy=remedy)
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound <= 1:
                raise InputError(f"min_confidence={bound} is not a number from 0 to 1")
        return cls({str(name): float(bound) for name, bound in given.items()})

    def __bool__(self) -> bool:
        """Whether a mention can be removed."""
        return any(self.by_label.values())

    def identity(self) -> list[dict[str, float]]:
        """What an annotator's fingerprint holds of it: nothing without a bound."""
        return [dict(sorted(self.by_label.items()))] if self else []

    def kept(self, mentions: Sequence[Mention], counts: Counter[str]) -> list[Mention]:
        """Return the mentions that are certain enough.

        Args:
            mentions: The mentions. One without a confidence is removed, unless its label has no bound.
            counts: Counts the removed mentions, under `REMOVED` and the label.

        Raises:
            InputError: There are mentions that have a bound, and none of the mentions has a confidence.
        """
        bounded = [mention for mention in mentions if self.by_label.get(mention.label)]
        if bounded and all(mention.confidence is None for mention in mentions):
            refuse_unknown()
        certain: list[Mention] = []
        for mention in mentions:
            if self.certain(mention.label, mention.confidence):
                certain.append(mention)
            else:
                counts[f"{REMOVED}{mention.label}"] += 1
        return certain

    def certain(self, label: str, confidence: float | None) -> bool:
        """Whether a mention is certain enough; one without a confidence is, if its label has no bound."""
        return (confidence or 0.0) >= self.by_label.get(label, 0.0)


def refuse_unknown() -> None:
    """Refuse the setting for a model without confidences.

    Raises:
        InputError: Always.
    """
    raise InputError(_NONE_GIVEN, remedy=_REMEDY)


def removed(counts: Mapping[str, int]) -> dict[str, int]:
    """Number of removed mentions by label."""
    return {name.removeprefix(REMOVED): number for name, number in counts.items() if name.startswith(REMOVED)}
