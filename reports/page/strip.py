"""The most important facts about a group of runs, for the strip above its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinspan.corpora.printable import plural
from clinspan.metrics.counts import Counts
from clinspan.metrics.intervals import count_table, LEAST_DOCUMENTS
from clinspan.metrics.paired import difference_bounds
from clinspan.metrics.scoring import count_documents
from clinspan.reports.run_views import Group, RunView
from clinspan.reports.terminal.tables import bounds_of, shown_f1
from clinspan.reports.wording import flip_words


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: its name, its value, and what explains the value; `alarming` if it needs attention."""

    name: str
    value: str
    more: str = ""
    alarming: bool = False


def strip_facts(group: Group) -> list[Fact]:
    """Best run, its lead over the next run, weakest type and flips of the best run, documents, and failures."""
    ranked = sorted(group.runs, key=_micro, reverse=True)
    best = ranked[0]
    bounds = bounds_of(best.scores, "micro")
    interval = f", 95 % interval {bounds[0]:.3f} – {bounds[1]:.3f}" if bounds else ", no interval"
    facts = [Fact("Best run" if len(ranked) > 1 else "Run", f"{best.number} {best.name}", f"micro F1 {_micro(best):.3f}{interval}")]
    if len(ranked) > 1:
        facts.append(_lead(best, ranked[1]))
    return [*facts, *_weakest(best), *_flips(best), _documents(best), _failures(group.runs)]


def _lead(best: RunView, other: RunView) -> Fact:
    """The difference in micro F1 with its paired interval by the jackknife over documents."""
    value = f"{_micro(best) - _micro(other):+.3f} F1"
    bounds = _difference_bounds(best, other)
    named = f"over {other.number} {other.name}"
    if bounds is None:
        return Fact("Lead", value, f"{named}; no interval")
    verdict = "not clear: the interval has 0 in it" if bounds[0] <= 0 <= bounds[1] else "the interval is above 0"
    return Fact("Lead", value, f"{named}; 95 % interval {bounds[0]:+.3f} to {bounds[1]:+.3f}, {verdict}")


def _difference_bounds(best: RunView, other: RunView) -> tuple[float, float] | None:
    """None where sentences are not shown, or documents are too few or without spread."""
    if not best.rows or not other.rows:
        return None
    tables = [_by_document(view) for view in (other, best)]
    if len(tables[0]) < LEAST_DOCUMENTS:
        return None
    first, second = (count_table([table[name] for name in tables[0]], best.labels) for table in tables)
    low, high = difference_bounds(first, second)
    return None if low[-1] != low[-1] else (float(low[-1]), float(high[-1]))


def _by_document(view: RunView) -> Mapping[str, Mapping[str, Counts]]:
    return count_documents([dict(row) for row in view.rows], view.labels, view.mode)


def _weakest(best: RunView) -> list[Fact]:
    """The type with the lowest F1 among those with gold, if there are several."""
    known = [(f1, label) for label in best.labels if (f1 := shown_f1(best.scores, label)) is not None]
    if len(known) < 2:
        return []
    f1, label = min(known)
    support = best.scores["per_type"][label].get("support", 0)
    return [Fact("Weakest type", label, f"F1 {f1:.3f} in run {best.number}, {support:,} gold {plural(support, 'mention')}")]


def _flips(best: RunView) -> list[Fact]:
    """How often mentions change with changes that should not matter, where the run was asked for it."""
    flips = best.scores.get("flips")
    if not flips:
        return []
    shares = ["-" if rates["share"] is None else f"{100 * rates['share']:.1f} %" for rates in flips.values()]
    f1 = ", ".join(f"{rates['f1']:.3f}" for rates in flips.values())
    return [Fact("Flips", " / ".join(shares), f"{flip_words(flips)}; micro F1 then {f1}")]


def _documents(best: RunView) -> Fact:
    scores = best.scores
    sentences = f"{scores['sentences']:,} {plural(scores['sentences'], 'sentence')}"
    if scores.get("documents") is None:
        return Fact("Sentences", f"{scores['sentences']:,}")
    few = scores["documents"] < LEAST_DOCUMENTS
    more = f"{sentences}; too few documents for intervals" if few else sentences
    return Fact("Documents", f"{scores['documents']:,}", more, alarming=few)


def _failures(runs: Sequence[RunView]) -> Fact:
    failed = {view.number: int(view.scores.get("failed", 0)) for view in runs}
    total = sum(failed.values())
    if not total:
        return Fact("Failures", "none")
    where = ", ".join(f"{number}: {n:,}" for number, n in failed.items() if n)
    by_run = f" by run {where};" if len(runs) > 1 else ""
    more = f"{plural(total, 'sentence')},{by_run} scored as all O"
    return Fact("Failures", f"{total:,}", more, alarming=True)


def _micro(view: RunView) -> float:
    return float(view.scores["micro"]["f1"])
