"""Detection of train, dev and test splits by the names of files and folders; entries that are not read are counted.

`train` may be called `training`; `dev` may be called `devel`, `development`, `val`, `valid` or `validation`; `test` may be called
`testing`. Case does not matter. The name of a split may be the whole name (`train.tsv`), the suffix (`AnEM.train`), a word inside
the name (`emerging.dev.conll`, `CDR_TrainingSet.txt`) or the name of a folder (`train/a.conll`). Data without splits are `test`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clinspan.corpora.errors import InputError
from clinspan.corpora.listing import files_below, kind, visible
from clinspan.corpora.types import SPLITS

NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}
_ANY_NAME = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ENDS_WITH_NAME = re.compile(rf".*(?:{_ANY_NAME})(?:sets?|data|split|corpus|files?)?")
_OTHER_WORD = re.compile(r".*eval|latest|contest|protest|fastest|greatest|.*(?:inter|retrie|survi|arri)val")
_SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}$")
_ABOUT = re.compile(r"(?i)(?:read.?me|licen[cs]e|notice|changelog|citation|authors|dataset_infos?|metadata|guidelines?)(?![a-z])")
_SHOWN = 8


def split_named(name: str) -> str | None:
    """The split that a name stands for, or None.

    >>> split_named("Validation"), split_named("pilot")
    ('dev', None)
    """
    return _SPLIT_OF.get(name.casefold())


def split_within(name: str) -> str | None:
    """The split that a name contains as a word or at the end of a word, or None if it contains none or several.

    >>> split_within("CDR_TrainingSet.PubTator"), split_within("NCBItestset_corpus"), split_within("wnut17train")
    ('train', 'test', 'train')
    >>> split_within("train_dev"), split_within("latest"), split_within("corpus")
    (None, None, None)
    """
    splits = _splits_within(name)
    return splits.pop() if len(splits) == 1 else None


def _splits_within(name: str) -> set[str]:
    words = [word.casefold() for word in _WORD.findall(name)]
    if splits := {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}:
        return splits
    ending = [word for word in words if _ENDS_WITH_NAME.fullmatch(word) and not _OTHER_WORD.fullmatch(word)]
    return {_SPLIT_OF[found] for word in ending for found in re.findall(_ANY_NAME, word)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data of one split are.

    Attributes:
        root: The folder that the names of its documents are relative to.
        files: Its files in path order; empty if the split is the whole folder `root`.
    """

    root: Path
    files: tuple[Path, ...] = ()

    def name(self, file: Path) -> str:
        """The path of a file below `root` without its suffix."""
        return file.relative_to(self.root).with_suffix("").as_posix()


@dataclass(frozen=True, slots=True)
class Splits:
    """Where the splits of a corpus are.

    Attributes:
        places: The place of each split that exists, in the order of `SPLITS`.
        passed_over: Counts of the other entries, which are not read, by suffix or, for a folder, its name and `/`.
    """

    places: dict[str, Place]
    passed_over: Counter[str] = field(default_factory=Counter)


def find_splits(
    path: Path,
    suffixes: Sequence[str] = (),
    named: Mapping[str, str | None] | None = None,
    accept: Callable[[Path], bool] | None = None,
) -> Splits:
    """Find the splits of a corpus. A single file, and a folder in which no name is that of a split, are `test`.

    Files whose names hold a split come before folders. A folder whose only content is one sub-folder stands for that sub-folder.
    Shards (`train-00000-of-00002.parquet`) are one split.

    Args:
        path: The folder, or one file.
        suffixes: Suffixes of the files that hold many documents, in lower case and in order of preference. None: each file is
            a document, so only folders are splits.
        named: The file names that the user gave, by split.
        accept: Whether a file may hold data of the corpus; None: all files with one of the suffixes may.

    Raises:
        InputError: There is no such file or folder, it holds no data, or the names do not say which entries are the splits; the
            message lists them.
    """
    if path.is_file() and suffixes:
        return Splits({"test": Place(path.parent, (path,))})
    if not path.is_dir():
        kinds = "file or folder" if suffixes else "folder"
        raise InputError(f"there is no such {kinds}", path=path, remedy="Set corpus.path to the corpus' folder.")
    search = _Search(tuple(suffixes), accept)
    found = search.named_files(path, named or {}) or search.folders(path) or search.inner(path) or search.all_of(path)
    if not found.places:
        kinds = ", ".join(suffixes)
        raise InputError(f"holds no {kinds} file", path=path, remedy="Set corpus.path to a file or folder that holds one.")
    return found


@dataclass(frozen=True, slots=True)
class _Found:
    split: str
    path: Path
    exact: bool


@dataclass(frozen=True, slots=True)
class _Search:
    suffixes: tuple[str, ...]
    accept: Callable[[Path], bool] | None

    def is_data(self, file: Path) -> bool:
        """Whether a file may hold data: it has a known suffix, or the name of a split as its suffix."""
        if not self.suffixes or not file.is_file() or _ABOUT.match(file.name):
            return False
        known = kind(file) in self.suffixes or split_named(file.suffix[1:]) is not None
        return known and (self.accept is None or self.accept(file))

    def named_files(self, path: Path, named: Mapping[str, str | None]) -> Splits | None:
        """The files of a folder that the user or their own names give to splits."""
        given = {split: path / str(named[split]) for split in SPLITS if named.get(split)}
        files = [entry for entry in visible(path) if self.is_data(entry)]
        found = [each for each in map(self._of_file, files) if each is not None and each.split not in given]
        if not found and not given:
            return None
        if not given and self._is_unclear(found, files):
            raise _undecided(path, files)
        places = _placed(path, self._of_one_kind(_exact_first(found)))
        places |= {split: Place(path, (file,)) for split, file in given.items()}
        used = {file for place in places.values() for file in place.files}
        return Splits(_in_order(places), _counted(entry for entry in visible(path) if entry not in used))

    def _of_file(self, file: Path) -> _Found | None:
        exact = split_named(_SHARD.sub("", file.name.partition(".")[0])) or split_named(file.suffix[1:])
        split = exact or split_within(file.stem)
        return _Found(split, file, exact is not None) if split else None

    def _is_unclear(self, found: Sequence[_Found], entries: Sequence[Path]) -> bool:
        """Whether a word inside a name may have another sense: it gives only one split, and other entries have no such word."""
        if any(each.exact for each in found) or len({each.split for each in found}) != 1:
            return False
        kinds, claimed = {kind(each.path) for each in found}, {each.path for each in found}
        return any(kind(entry) in kinds for entry in entries if entry not in claimed)

    def _of_one_kind(self, found: Sequence[_Found]) -> list[_Found]:
        """The files with the preferred suffix among those that give all splits; if there is none, all files."""
        for suffix in self.suffixes:
            same = [each for each in found if kind(each.path) == suffix]
            if {each.split for each in same} == {each.split for each in found}:
                return same
        return list(found)

    def folders(self, path: Path) -> Splits | None:
        """The sub-folders that are splits by their names."""
        entries = [entry for entry in visible(path) if entry.is_dir()]
        found = []
        for entry in entries:
            exact = split_named(entry.name)
            if split := exact or split_within(entry.name):
                found.append(_Found(split, entry, exact is not None))
        if not found:
            return None
        if self._is_unclear(found, entries):
            raise _undecided(path, entries)
        chosen = _exact_first(found)
        passed_over = _counted(entry for entry in visible(path) if entry not in [each.path for each in chosen])
        places: dict[str, Place] = {}
        for split, place in _placed(path, chosen).items():
            (folder,) = place.files
            files, skipped = self._below(folder)
            passed_over += skipped
            if files or not self.suffixes:
                places[split] = Place(folder, files)
        return Splits(_in_order(places), passed_over) if places else None

    def _below(self, folder: Path) -> tuple[tuple[Path, ...], Counter[str]]:
        if not self.suffixes:
            return (), Counter()
        files, passed_over = files_below(folder)
        data = tuple(file for file in files if self.is_data(file))
        return data, passed_over + _counted(file for file in files if file not in set(data))

    def inner(self, path: Path) -> Splits | None:
        """The splits of the only sub-folder of a folder without data of its own."""
        entries = visible(path)
        inner = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        if len(inner) != 1 or any(self.is_data(entry) for entry in entries):
            return None
        found = self.named_files(inner[0], {}) or self.folders(inner[0]) or self.inner(inner[0])
        if found is None:
            return None
        return Splits(found.places, found.passed_over + _counted(entry for entry in entries if entry != inner[0]))

    def all_of(self, path: Path) -> Splits:
        """All data of a folder as `test`."""
        if not self.suffixes:
            return Splits({"test": Place(path)})
        files, passed_over = self._below(path)
        if len({kind(file) for file in files}) > 1 or any(map(_splits_within, (file.stem for file in files))):
            raise _undecided(path, files)
        return Splits({"test": Place(path, files)} if files else {}, passed_over)


def _exact_first(found: Sequence[_Found]) -> list[_Found]:
    """Without the entries that hold the name of a split among other words, if another entry's whole name is that split."""
    exact = {each.split for each in found if each.exact}
    return [each for each in found if each.exact or each.split not in exact]


def _placed(path: Path, found: Sequence[_Found]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for split in SPLITS:
        same = [each.path for each in found if each.split == split]
        if len(same) > 1 and not all(_SHARD.search(each.stem) for each in same):
            names = " and ".join(each.name for each in same[:_SHOWN])
            remedy = f"Keep one of them, or rename the others: each would be the split {split}."
            raise InputError(f"holds {names}", path=path, remedy=remedy)
        if same:
            places[split] = Place(path, tuple(same))
    return places


def _in_order(places: Mapping[str, Place]) -> dict[str, Place]:
    return {split: places[split] for split in SPLITS if split in places}


def _undecided(path: Path, entries: Sequence[Path]) -> InputError:
    names = ", ".join(entry.relative_to(path).as_posix() for entry in entries[:_SHOWN])
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    remedy = "Name them train, dev and test, put them into folders of these names, or give one of them as corpus.path."
    return InputError(f"does not say by names which are the splits: {names}{more}", path=path, remedy=remedy)


def _counted(entries: Iterable[Path]) -> Counter[str]:
    return Counter(f"{entry.name}/" if entry.is_dir() else kind(entry) for entry in entries)
