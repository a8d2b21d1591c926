"""The folds of a cross-validation in the folder of its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDS = "folds"
"""The entry of `run.json`, and of `scores.json`, that a cross-validation alone has."""
TEST = "test"
"""The folder in that of a training or a compilation of a fold, in which its program tags the test part."""


def fold_folder(path: Path, number: int) -> Path:
    """The folder of a fold: a run, a training or a compilation."""
    return path / f"fold_{number}"


def shown_folder(path: Path, record: Mapping[str, Any]) -> Path:
    """The folder with the program and the prompts of a run to show; of a cross-validation that of its first fold.

    Each fold has a program of its own. That of a training or a compilation tags in the folder `test`.

    >>> shown_folder(Path("runs/a"), {}).name, shown_folder(Path("runs/a"), {"folds": {"number": 5}}).name
    ('a', 'fold_0')
    """
    if not record.get(FOLDS):
        return path
    first = fold_folder(path, 0)
    return first / TEST if (first / TEST).is_dir() else first
