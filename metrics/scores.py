"""Precision, recall and F1 from counts, their averages, and the signature of a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.metrics.counts import Counts

VERSION = "v2"
Triple = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores in 0-1, unrounded; `macro` is the plain mean of P, R and F1 each, over the labels that occur in gold."""

    counts: Mapping[str, Counts]

    @property
    def per_type(self) -> dict[str, dict[str, float | int]]:
        return {label: {**triple(c), "support": c.gold} for label, c in self.counts.items()}

    @property
    def macro_types(self) -> list[str]:
        """The labels that `macro` averages."""
        return [label for label, c in self.counts.items() if c.gold]

    @property
    def macro(self) -> Triple:
        rows = [triple(self.counts[label]) for label in self.macro_types]
        return {key: sum(row[key] for row in rows) / len(rows) if rows else 0.0 for key in ("precision", "recall", "f1")}

    @property
    def micro(self) -> Triple:
        return triple(sum(self.counts.values(), Counts()))

    def as_dict(self) -> dict[str, Any]:
        raw = {label: {"matched": c.matched, "pred": c.pred, "gold": c.gold} for label, c in self.counts.items()}
        averages = {"macro": self.macro, "macro_types": self.macro_types, "micro": self.micro}
        return {"per_type": self.per_type, **averages, "counts": raw}


def triple(counts: Counts) -> Triple:
    """
    >>> triple(Counts(1, 2, 1))
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def signature(
    *,
    mode: str,
    types: str,
    alignment: str,
    failed: int,
    sentences: int,
    documents: int,
    cut: Mapping[str, Any] | None = None,
    folds: str | None = None,
    unit: str = "entity",
    match: str = "exact",
    average: str = "macro",
) -> str:
    """The settings that a score was measured with; two scores are comparable only if their signatures agree.

    `cut` names the tokenizer and the sentence rule of a corpus where they are a choice. `folds` is the number of folds of a
    cross-validation whose counts were summed and the seed of the division, such as `5@0`. `unit`, `match` and `average` say what is
    counted, when it is right and which mean stands beside the micro scores, see `metrics.readings`; `types` how many labels that
    mean averages, see `averaged`.

    >>> signature(mode="conlleval", types="4/5", alignment="tokens", failed=0, sentences=1735, documents=208)
    'unit:entity|match:exact|mode:conlleval|avg:macro|types:4/5|align:tokens|failed:0/1735|docs:208|v2'
    """
    fields = [f"unit:{unit}", f"match:{match}", f"mode:{mode}", f"avg:{average}", f"types:{types}", f"align:{alignment}"]
    fields += [f"tok:{cut['tokenizer']}", f"sent:{cut['sentences']}"] if cut else []
    fields += [f"folds:{folds}"] if folds else []
    return "|".join([*fields, f"failed:{failed}/{sentences}", f"docs:{documents}", VERSION])


def averaged(types: Sequence[str], labels: Sequence[str]) -> str:
    """How many labels a macro mean averages, and of how many if not of all.

    >>> averaged(["Sign", "Disease"], ["Sign", "Disease"]), averaged(["Sign"], ["Sign", "Disease"])
    ('2', '1/2')
    """
    return str(len(labels)) if len(types) == len(labels) else f"{len(types)}/{len(labels)}"
