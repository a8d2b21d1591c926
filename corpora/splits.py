"""Detection of train, dev and test splits by the names of files and folders; entries that are not read are counted.

`train` may be called `training`; `dev` may be called `devel`, `development`, `val`, `valid` or `validation`; `test` may be called
`testing`. Case does not matter.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text, without_lone_surrogates
from clinspan.corpora.types import SPLITS

NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}


def split_named(name: str) -> str | None:
    """The split that a name stands for, or None.

    >>> split_named("Validation"), split_named("pilot")
    ('dev', None)
    """
    return _SPLIT_OF.get(name.casefold())


def split_within(name: str) -> str | None:
    """The split that a name contains, or None if it contains none or several.

    >>> split_within("CDR_TrainingSet.PubTator"), split_within("NCBItestset_corpus"), split_within("corpus")
    ('train', 'test', None)
    """
    words = re.findall(r"training|train|development|devel|dev|validation|valid|val|testing|test", name.casefold())
    splits = {_SPLIT_OF[word] for word in words}
    return splits.pop() if len(splits) == 1 else None


@dataclass(frozen=True, slots=True)
class Splits:
    """Where the splits of a corpus are.

    Attributes:
        places: The folder or file of each split that exists.
        passed_over: Counts of the other entries, which are not read, by suffix or, for a folder, its name and `/`.
    """

    places: dict[str, Path]
    passed_over: Counter[str] = field(default_factory=Counter)


def split_folders(path: Path) -> Splits:
    """The sub-folders that are splits; without any, the folder itself is `test`.

    Raises:
        InputError: There is no such folder, or two folders are the same split.
    """
    if not path.is_dir():
        raise InputError("there is no such folder", path=path, remedy="Set corpus.path to the corpus' folder.")
    beside = [entry for entry in visible(path) if entry.is_file() or split_named(entry.name) is None]
    folders = [entry for entry in visible(path) if entry.is_dir() and split_named(entry.name)]
    if not folders:
        return Splits({"test": path})
    places = _placed([(str(split_named(folder.name)), folder) for folder in folders])
    return Splits(places, Counter(f"{entry.name}/" if entry.is_dir() else kind(entry) for entry in beside))


def split_files(path: Path, suffixes: Sequence[str], named: dict[str, str | None]) -> Splits:
    """Find the files of a folder that are splits, by `named`, else by the files' own names; a single file is `test`.

    Args:
        path: The folder, or one file.
        suffixes: Suffixes of the files to consider, in lower case and in order of preference.
        named: The file names that the user gave, by split.

    Raises:
        InputError: There is no such file or folder, nothing in it is a split, or two files are the same split.
    """
    if path.is_file():
        return Splits({"test": path})
    if not path.is_dir():
        raise InputError("there is no such file or folder", path=path, remedy="Set corpus.path.")
    given = [(split, path / str(named[split])) for split in SPLITS if named.get(split)]
    files = [entry for entry in visible(path) if entry.is_file()]
    detected = [(split, file) for file in files if (split := _split_of_file(file, suffixes)) and not named.get(split)]
    first = min((suffixes.index(kind(file)) for _, file in detected), default=0)
    chosen = [(split, file) for split, file in detected if suffixes.index(kind(file)) == first] if not given else detected
    if not chosen:
        chosen = detected
    elif len({split for split, _ in detected}) > len({split for split, _ in chosen}):
        chosen = detected  # other splits have other suffixes
    places = _placed([*given, *chosen])
    if not places:
        remedy = f"Name them train, dev and test with one of {', '.join(suffixes)}, or give one file."
        raise InputError("holds no train, dev or test file", path=path, remedy=remedy)
    rest = [entry for entry in visible(path) if entry not in places.values()]
    return Splits(places, Counter(f"{entry.name}/" if entry.is_dir() else kind(entry) for entry in rest))


def _split_of_file(file: Path, suffixes: Sequence[str]) -> str | None:
    if kind(file) not in suffixes:
        return None
    return split_named(file.name.partition(".")[0]) or split_within(file.stem)


def _placed(candidates: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    places: dict[str, Path] = {}
    for split, place in candidates:
        if split in places:
            remedy = f"Keep one of them, or rename the other: both would be the split {split}."
            raise InputError(f"holds {places[split].name} and {place.name}", path=place.parent, remedy=remedy)
        places[split] = place
    return {split: places[split] for split in SPLITS if split in places}


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
