"""Lists of the files of a folder: without hidden ones, in path order, without following links to folders."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text, without_lone_surrogates


def visible(folder: Path) -> list[Path]:
    """The entries of a folder that are not hidden, in alphabetical order.

    Raises:
        InputError: The folder cannot be listed, or a name in it is not UTF-8.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=folder, remedy="Check its permissions.") from None
    if strange := [name for name in names if not is_text(name)]:
        raise InputError(
            "has a name that is not UTF-8", path=without_lone_surrogates(str(folder / strange[0])), remedy="Rename the file."
        )
    return [folder / name for name in names]


def kind(file: Path) -> str:
    """A file's suffix in lower case, or `no suffix`."""
    return file.suffix.lower() or "no suffix"


def files_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    """All files of a folder and its sub-folders in path order, and counts of links to folders, which are not followed."""
    files: list[Path] = []
    passed_over: Counter[str] = Counter()
    for entry in visible(folder):
        if not entry.is_dir():
            files.append(entry)
        elif entry.is_symlink():
            passed_over[f"{entry.name}/ (a link)"] += 1
        else:
            below, skipped = files_below(entry)
            files += below
            passed_over += skipped
    return files, passed_over
