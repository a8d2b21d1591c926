"""Names and tags of runs, and the words by which commands find runs: `latest`, `previous`, names, folders and patterns."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora import InputError
from clinspan.programs.rundir.run_list import list_runs, RECORD, RunEntry

RUNS = Path("runs")
"""Where commands look for runs."""
RECENT = ("latest", "previous")
LABELS = ("name", "tags")
"""The settings by which a run is found. They have no effect on what it does."""
_WORD = re.compile(r"\w[\w.+-]*")
_RESERVED = (*RECENT, "failed")
_SHOWN = 5
_UNSCORED = ("annotate", "finetune")


def check_labels(name: object, tags: Sequence[object]) -> None:
    """Refuse a name or a tag by which a run could not be found.

    Args:
        name: The name; None: no name.
        tags: The tags.

    Raises:
        InputError: One has other characters than letters, digits and `_ . + -`, or the name has a meaning of its own.
    """
    for key, word in [*([] if name is None else [("name", name)]), *(("tags", tag) for tag in tags)]:
        if not _WORD.fullmatch(str(word)):
            remedy = "Use letters, digits and _ . + -, and begin with a letter or a digit."
            raise InputError(f"{key}: {str(word)!r} is not a word", remedy=remedy)
    if str(name) in _RESERVED:
        raise InputError(f"name={name} has a meaning of its own", remedy="Choose another name.")


def find_folders(word: str, root: Path = RUNS) -> list[Path]:
    """The folders that a word means.

    Args:
        word: A path, a pattern of paths, `latest` or `previous` (the last finished run with scores, the one before it), the name
            of a run, or the name of its folder or the beginning of it. An existing path comes first.
        root: The folder to look for runs in.

    Returns:
        The folders, oldest run first. A word that means nothing is returned as a path.

    Raises:
        InputError: A pattern matches no folder, or there are too few finished runs.
    """
    path = Path(word).expanduser()
    if path.exists():
        return [path]
    if glob.has_magic(word):
        anchor = Path(path.anchor)
        if not (found := sorted(one for one in anchor.glob(str(path.relative_to(anchor))) if one.is_dir())):
            raise InputError(f"{word} matches no folder", remedy="Check the pattern, for example runs/run/2026-01-*.")
        return found
    runs = list_runs(root)
    if word in RECENT:
        scored = [run for run in runs if run.scored]
        place = RECENT.index(word) + 1
        if len(scored) < place:
            problem = f"there is no {word} run: {len(scored)} finished runs with scores below {root}"
            raise InputError(problem, remedy="Give the folder of a run.")
        return [scored[-place].path]
    return [run.path for run in runs if run.is_called(word)] or [path]


def find_run(word: str, root: Path = RUNS) -> Path:
    """The one folder that a word means, see `find_folders`.

    Raises:
        InputError: It means several.
    """
    found = find_folders(word, root)
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        shown = ", ".join(map(str, found[:_SHOWN]))
        raise InputError(f"{word} means {len(found)} runs", remedy=f"Give one of the folders: {shown}{more}.")
    return found[0]


def scorable_below(folder: Path) -> list[RunEntry]:
    """The runs and compilations with a record below a folder, and the trainings with scores of all folds, oldest first."""
    return [run for run in list_runs(folder) if (run.command not in _UNSCORED or run.scored) and (run.path / RECORD).is_file()]
