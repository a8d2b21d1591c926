"""The folds of a cross-validation in the folder of its run."""

from __future__ import annotations

from pathlib import Path

from clinspan.programs.rundir.run_record import RunRecord

TEST = "test"
"""The folder in that of a training or a compilation of a fold, in which its program tags the test part."""


def fold_folder(path: Path, number: int) -> Path:
    """The folder of a fold: a run, a training or a compilation."""
    return path / f"fold_{number}"


def shown_folder(path: Path, record: RunRecord) -> Path:
    """The folder with the program and the prompts of a run to show; of a cross-validation that of its first fold.

    Each fold has a program of its own. That of a training or a compilation tags in the folder `test`.

    >>> shown_folder(Path("runs/a"), RunRecord(status="finished")).name
    'a'
    """
    if record.folds is None:
        return path
    first = fold_folder(path, 0)
    return first / TEST if (first / TEST).is_dir() else first
