"""Precision, recall and F1 from counts, their averages, and the signature of a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinspan.metrics.counts import Counts

VERSION = "v1"
Triple = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores in 0-1, unrounded; `macro` is the plain mean over the corpus' labels, of P, R and F1 each."""

    counts: Mapping[str, Counts]

    @property
    def per_type(self) -> dict[str, dict[str, float | int]]:
        return {label: {**triple(c), "support": c.gold} for label, c in self.counts.items()}

    @property
    def macro(self) -> Triple:
        rows = [triple(c) for c in self.counts.values()]
        return {key: sum(row[key] for row in rows) / len(rows) if rows else 0.0 for key in ("precision", "recall", "f1")}

    @property
    def micro(self) -> Triple:
        return triple(sum(self.counts.values(), Counts()))

    def as_dict(self) -> dict[str, Any]:
        raw = {label: {"matched": c.matched, "pred": c.pred, "gold": c.gold} for label, c in self.counts.items()}
        return {"per_type": self.per_type, "macro": self.macro, "micro": self.micro, "counts": raw}


def triple(counts: Counts) -> Triple:
    """
    >>> triple(Counts(1, 2, 1))
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def signature(
    *,
    mode: str,
    types: int,
    alignment: str,
    failed: int,
    sentences: int,
    cut: Mapping[str, Any] | None = None,
    unit: str = "entity",
    match: str = "exact",
    average: str = "macro",
) -> str:
    """The settings that a score was measured with; two scores are comparable only if their signatures agree.

    `cut` names the tokenizer and the sentence rule of a corpus where they are a choice. `unit`, `match` and `average` say what is
    counted, when it is right and which mean stands beside the micro scores, see `metrics.readings`.

    >>> signature(mode="conlleval", types=5, alignment="tokens", failed=0, sentences=1735)
    'unit:entity|match:exact|mode:conlleval|avg:macro|types:5|align:tokens|failed:0/1735|v1'
    """
    fields = [f"unit:{unit}", f"match:{match}", f"mode:{mode}", f"avg:{average}", f"types:{types}", f"align:{alignment}"]
    fields += [f"tok:{cut['tokenizer']}", f"sent:{cut['sentences']}"] if cut else []
    return "|".join([*fields, f"failed:{failed}/{sentences}", VERSION])
