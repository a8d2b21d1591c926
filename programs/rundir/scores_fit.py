"""Whether the predictions of a run are those that its scores were computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.metrics import Mode
from clinspan.metrics.counts import add_counts, count_sentence
from clinspan.programs.rundir.printed_commands import command, shown_path


def check_fit(rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Any], mode: Mode, path: Path) -> None:
    """Refuse predictions that do not give the counts in `scores.json`.

    Args:
        rows: The lines of `predictions.jsonl`.
        scores: The content of `scores.json`.
        mode: How tags are read.
        path: The folder of the run, for the message.

    Raises:
        InputError: The number of sentences or the counts of a type differ.
    """
    remedy = f"Score the run again: {command('score', shown_path(path), 'write=true')}"
    known = scores.get("sentences", len(rows))
    if len(rows) != known:
        raise InputError(
            f"predictions.jsonl has {len(rows)} sentences, and scores.json is of {known!s:.20}", path=path, remedy=remedy
        )
    recorded = scores.get("counts")
    if recorded and not (isinstance(recorded, Mapping) and _counted(rows, list(recorded), mode) == recorded):
        raise InputError("predictions.jsonl gives other counts than scores.json has", path=path, remedy=remedy)


def _counted(rows: Iterable[Mapping[str, Any]], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, float]] | None:
    """The counts of the rows by label; None if they have other labels."""
    try:
        counts = add_counts((count_sentence(row["gold"], row["pred"], labels, mode) for row in rows), labels)
    except KeyError:
        return None
    return {label: {"matched": one.matched, "pred": one.pred, "gold": one.gold} for label, one in counts.items()}
