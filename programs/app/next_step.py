"""One line that reads a run's scores: its strongest and its weakest type, and the command that is likely to improve them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinspan import lms
from clinspan.programs.rundir.printed_commands import command, given_settings, shown_path

_KEPT = ("corpus", "allow_remote", "allow_http")


def interpretation(scores: Mapping[str, Any], record: Mapping[str, Any], path: Path, *, spec: object, has_train: bool) -> str:
    """The line below the table of a run.

    Args:
        scores: The content of `scores.json`.
        record: The content of `run.json`.
        path: The run's folder.
        spec: The model's specification.
        has_train: Whether the corpus has sentences to learn from.
    """
    line = f"{_types(scores)}; " if _types(scores) else ""
    what, words = next_command(record, path, spec=spec, has_train=has_train)
    return f"{line}{what}: {words}"


def _types(scores: Mapping[str, Any]) -> str:
    """
    >>> row = lambda f1, n: {"f1": f1, "support": n}
    >>> _types({"per_type": {"Sign": row(0.5, 9), "Age": row(0.25, 4), "Name": row(0.0, 0)}})
    'strongest type Sign (F1 0.5000), weakest Age (0.2500, 4 mentions)'
    """
    rows = {name: row for name, row in scores["per_type"].items() if row["support"]}
    ranked = sorted(rows, key=lambda name: -rows[name]["f1"])
    if len(ranked) < 2 or rows[ranked[0]]["f1"] == rows[ranked[-1]]["f1"]:
        return ""
    best, worst = ranked[0], ranked[-1]
    support = rows[worst]["support"]
    mentions = f"{support:,} mention{'s' if support != 1 else ''}"
    return f"strongest type {best} (F1 {rows[best]['f1']:.4f}), weakest {worst} ({rows[worst]['f1']:.4f}, {mentions})"


def next_command(record: Mapping[str, Any], path: Path, *, spec: object, has_train: bool) -> tuple[str, str]:
    """What to do next and its command: train an encoder, show nearest demonstrations, compile, or look at the errors."""
    kept = given_settings(record, _KEPT)
    choices = record.get("choices") or {}
    if "program" in (record.get("given") or ()) or isinstance(spec, lms.ReplayModel | lms.ClassifierModel) or not has_train:
        return "its errors as a table", command("export", shown_path(path), "to=errors_csv")
    if isinstance(spec, lms.LocalModel):
        return "a trained encoder is likely to be better", command("finetune", *kept, "tuning=encoder")
    kept += given_settings(record, ["model"])
    if choices.get("strategy") == "zero_shot":
        return "demonstrations are likely to help", command("run", *kept, "strategy=knn")
    return "a compiled prompt is likely to be better", command("optimize", *kept, f"strategy={choices.get('strategy')}")
