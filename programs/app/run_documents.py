"""The JSON documents of runs, compilations, trainings and annotations, from the files in their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from clinspan.programs.app.results import give
from clinspan.programs.rundir.run_folder import read_object


def run_document(folder: Path) -> dict[str, Any]:
    """The document of a run or of a cross-validation."""
    record, scores = read_object(folder / "run.json"), read_object(folder / "scores.json")
    page = folder / "report.html"
    split = (record.get("corpus") or {}).get("split")
    about = {"report": str(page) if page.is_file() else None, "choices": record.get("choices"), "split": split}
    counted = {key: scores.get(key) for key in ("signature", "sentences", "documents", "failed")}
    return {**about, **_place(record), **counted, **_f1(scores), **_spent(record)}


def compiled_document(folder: Path) -> dict[str, Any]:
    """The document of a compilation; that of its pooled scores if it was a cross-validation, see `give_made`."""
    record, scores = read_object(folder / "run.json"), read_object(folder / "scores.json")
    about = {key: record.get(key) for key in ("optimizer", "start", "best", "candidates")}
    program = str(folder / "program.json")
    return {"program": program, **_place(record), **about, "split": "dev", **_f1(scores), **_spent(record)}


def trained_document(folder: Path) -> dict[str, Any]:
    """The document of a training."""
    record = read_object(folder / "run.json")
    keys = ("records", "epochs", "best_epoch", "steps", "parameters", "seconds", "use")
    tuning = (record.get("choices") or {}).get("tuning")
    return {**_place(record), "tuning": tuning, **{key: record.get(key) for key in keys}}


def annotated_document(folder: Path) -> dict[str, Any]:
    """The document of an annotation. `failures` is the file that lists documents that failed."""
    record = read_object(folder / "run.json")
    counts, failures = record.get("counts") or {}, folder / "failed.jsonl"
    to = (record.get("config") or {}).get("to")
    about = {"input": (record.get("input") or {}).get("path"), "to": [to] if isinstance(to, str) else to}
    kept = {key: counts.get(key) for key in ("documents", "sentences", "cuts", "entities", "repairs")}
    return {**about, **kept, "failures": str(failures) if failures.is_file() else None, **_spent(record)}


def give_made(command: str, folder: Path, document: Callable[[Path], Mapping[str, Any]]) -> None:
    """Print the result of a training or a compilation, or that of a run if the folder has the pooled scores of all folds.

    Args:
        command: The command.
        folder: Its folder.
        document: Makes the command's own document.
    """
    if "folds" in read_object(folder / "run.json"):
        give("run", folder, partial(run_document, folder))
    else:
        give(command, folder, partial(document, folder))


def _place(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"corpus": (record.get("corpus") or {}).get("name"), "model": (record.get("model") or {}).get("name")}


def _f1(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {key: scores.get(key) for key in ("micro", "macro", "per_type", "intervals")}


def _spent(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record.get(key) for key in ("tokens", "cost", "seconds")}
