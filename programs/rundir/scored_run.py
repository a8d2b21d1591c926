"""Finished runs as input of scoring: their predictions, labels and the way in which they were scored. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.metrics import Mode
from clinspan.programs.rundir.printed_commands import resume_command
from clinspan.programs.rundir.records import RunScores
from clinspan.programs.rundir.run_folder import load_records, read_object
from clinspan.programs.rundir.run_record import FinishedRun

_REMEDY = "Give the folders that clinspan run printed."


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """The predictions of a run, or of several runs together.

    Attributes:
        paths: The folders.
        rows: The lines of `predictions.jsonl`.
        labels: The corpus' labels, in order.
        mode: How the run's scores read tags.
        alignment: Name of the alignment, for signatures.
        cut: The `tokenizer` and the rule of `sentences` in the run's signature; None if it has none.
        folds: The folds in the run's signature, whose counts were summed; None: no cross-validation.
    """

    paths: tuple[Path, ...]
    rows: tuple[dict[str, Any], ...]
    labels: tuple[str, ...]
    mode: Mode
    alignment: str
    cut: dict[str, str] | None
    folds: str | None = None


def load_scored(path: Path) -> ScoredRun:
    """Read the folder of a finished run.

    Raises:
        InputError: The folder does not hold a run, the run has not finished, or a file is damaged.
    """
    if not (path / "run.json").is_file():
        raise InputError("holds no run.json, so it is not a run", path=path, remedy=_REMEDY)
    content = read_object(path / "run.json")
    if content.get("status") != "finished":
        raise InputError("has not finished", path=path, remedy=f"Finish it: {resume_command(path)}")
    scores = read_object(path / "scores.json")
    record = FinishedRun.checked(content, path / "run.json", _REMEDY)
    RunScores.checked(scores, path / "scores.json", _REMEDY)
    fields = dict(part.partition(":")[::2] for part in scores["signature"].split("|"))
    return ScoredRun(
        paths=(path,),
        rows=tuple(load_records(path / "predictions.jsonl").values()),
        labels=tuple(scores["per_type"]),
        mode=record.mode,
        alignment=fields.get("align", "tokens"),
        cut={"tokenizer": fields["tok"], "sentences": fields.get("sent", "")} if "tok" in fields else None,
        folds=fields.get("folds"),
    )


def pooled(runs: Sequence[ScoredRun]) -> ScoredRun:
    """The predictions of runs over different documents as those of one run, such as the folds of a cross-validation.

    Raises:
        InputError: Runs have a document in common, or differ in labels or in the settings that their signatures name.
    """
    first, owners = runs[0], dict[str, Path]()
    for run in runs:
        (path,) = run.paths
        if set(run.labels) != set(first.labels):
            problem = f"{first.paths[0]} has the labels {', '.join(first.labels)}, and {path} has {', '.join(run.labels)}"
            raise InputError(problem, remedy="Only runs with the same labels can be pooled.")
        for key, what in (("mode", "mode"), ("alignment", "alignment"), ("cut", "tokenizer or rule of sentences")):
            if getattr(run, key) != getattr(first, key):
                raise InputError(f"{first.paths[0]} and {path} differ in the {what}", remedy="Pool runs with the same settings.")
        documents = dict.fromkeys(str(row["document"]) for row in run.rows)
        if common := next((name for name in documents if name in owners), None):
            problem = f"document {common} is in {owners[common]} and in {path}"
            raise InputError(problem, remedy="Only runs over different documents can be pooled: leave out pool=true to score each.")
        owners |= dict.fromkeys(documents, path)
    return ScoredRun(
        paths=tuple(path for run in runs for path in run.paths),
        rows=tuple(row for run in runs for row in run.rows),
        labels=first.labels,
        mode=first.mode,
        alignment=first.alignment,
        cut=first.cut,
    )
