"""Readers of notes without annotations: folders of `.txt`, brat (without the `.ann`), JSON lines, Parquet files or folders, CoNLL.

A text is exactly what the bytes of the file decode to, with byte order mark, line ends, tabs and form feeds. Offsets count its
characters. A note that cannot be read becomes an `Unreadable`, which names the kind of problem and never quotes the text.
"""

from __future__ import annotations

import codecs
import io
import os
import stat
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from clinspan.corpora.build import lay_out
from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text, parse_json, without_lone_surrogates
from clinspan.corpora.parquet import read_rows
from clinspan.corpora.readers.columns import words_of
from clinspan.corpora.readers.conll import SUFFIXES
from clinspan.corpora.types import Token

_JSON = (".jsonl", ".ndjson")
_WIDE = ("utf-16", "utf-32")
_COMPANIONS = (".ann", ".conf")  # of brat
_REMEDY = "Give a folder of .txt or .parquet files, or a .txt, .jsonl, .parquet or .conll file."


@dataclass(frozen=True, slots=True)
class Note:
    """One text.

    Attributes:
        id: In a folder, the path below it without `.txt`; otherwise the id in the file, or one made from the file's name.
        text: The unchanged text.
        cut: Its sentences and tokens if the file has them; None: the text is not split yet.
    """

    id: str
    text: str
    cut: tuple[tuple[Token, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A text that could not be read.

    Attributes:
        id: Its id, or a name for its place if the id is not known.
        error: The kind of problem: `encoding`, `not_json`, `no_text`, `surrogate`, `unreadable` (also of a folder),
            `no_regular_file` (a pipe, a device), `leads_out` (a link out of the folder), `linked_folder` or `duplicate_id`.
        at: The byte, line or row in the file, or None.
    """

    id: str
    error: str
    at: str | None = None


def read_notes(
    path: Path, *, encoding: str = "utf-8", leave: Path | None = None, first: Callable[[str], bool] | None = None
) -> Iterator[Note | Unreadable]:
    """Yield the notes of a file or folder one by one; those of a folder in alphabetical order.

    Args:
        path: One file or a folder. In a folder, all `.txt` files at any depth are read except hidden ones; if there are none,
            its `.parquet` files are read.
        encoding: The encoding of the text.
        leave: A folder to skip, because results may be written below the input folder.
        first: Function that returns whether an id is new; None: seen ids are kept in memory.

    Raises:
        InputError: There is nothing to read, or the kind of file or the encoding is not known.
    """
    check_encoding(encoding)
    first = first or _remembered()
    for note in _reader(path, encoding, leave):
        if not is_text(note.id):
            yield Unreadable(without_lone_surrogates(note.id), "surrogate")
            continue
        if not first(note.id):
            yield Unreadable(note.id, "duplicate_id")
            continue
        if isinstance(note, Note) and not is_text(note.text):
            yield Unreadable(note.id, "surrogate")
            continue
        yield note


def _remembered() -> Callable[[str], bool]:
    seen: set[str] = set()

    def first(name: str) -> bool:
        before = len(seen)
        seen.add(name)
        return len(seen) > before

    return first


def check_encoding(name: str) -> None:
    """Check that Python knows a text encoding.

    Raises:
        InputError: The encoding is not known.
    """
    try:
        b"a".decode(name)
    except UnicodeError:
        return  # a known encoding in which this byte is not a whole character
    except (LookupError, ValueError):
        remedy = "Name one that Python knows, such as utf-8, latin-1 or cp1252."
        raise InputError(f"encoding={name} is not known", remedy=remedy) from None


def _reader(path: Path, encoding: str, leave: Path | None) -> Iterator[Note | Unreadable]:
    if path.is_dir():
        return _folder(path, encoding, leave)
    if not path.is_file():
        raise InputError("there is no such file or folder", path=path, remedy=_REMEDY)
    suffix = path.suffix.lower()
    if suffix in _JSON:
        return _json_lines(path, encoding)
    if suffix == ".parquet":
        return _parquet(path, path.stem)
    if suffix in SUFFIXES and suffix != ".txt":
        return _conll(path, encoding)
    if suffix in (".txt", ""):
        return iter([_plain(path, path.stem, encoding)])
    raise InputError(f"files of type {suffix} are not supported", path=path, remedy=_REMEDY)


def _folder(path: Path, encoding: str, leave: Path | None) -> Iterator[Note | Unreadable]:
    texts = note_files(path, ".txt", leave)
    before: list[Path | Unreadable] = []
    for entry in texts:
        before.append(entry)
        if isinstance(entry, Path):
            return (_member(path, file, encoding) for file in chain(before, texts))
    tables = list(note_files(path, ".parquet", leave))
    if not any(isinstance(table, Path) for table in tables):
        if not before:
            raise InputError("holds no .txt and no .parquet file", path=path, remedy=_REMEDY)
        return (entry for entry in before if isinstance(entry, Unreadable))
    return chain.from_iterable(_table(path, table) for table in tables)


def _table(folder: Path, file: Path | Unreadable) -> Iterator[Note | Unreadable]:
    if isinstance(file, Unreadable):
        return iter([file])
    name = _below(folder, file)
    if _leads_out(folder, file):
        return iter([Unreadable(name, "leads_out")])
    if not file.is_file():
        return iter([Unreadable(name, "no_regular_file")])
    return _parquet(file, name, f"{name}.parquet ")


def _member(folder: Path, file: Path | Unreadable, encoding: str) -> Note | Unreadable:
    if isinstance(file, Unreadable):
        return file
    name = _below(folder, file)
    return Unreadable(name, "leads_out") if _leads_out(folder, file) else _plain(file, name, encoding)


def _leads_out(folder: Path, file: Path) -> bool:
    """Whether a file is a link that leads out of the folder; the user did not mean such a file to be read."""
    return file.is_symlink() and not file.resolve().is_relative_to(folder.resolve())


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def note_files(folder: Path, suffix: str, leave: Path | None = None, *, root: Path | None = None) -> Iterator[Path | Unreadable]:
    """Yield the files below a folder that have a suffix, in alphabetical order of the parts of their paths.

    Only the names in the current folder and its parents are in memory. Sub-folders that cannot be listed and links to folders
    are yielded as `Unreadable`. Links to folders are not followed.

    Args:
        folder: The folder.
        suffix: The suffix in lower case; files may have it in upper case too.
        leave: A folder to skip.
        root: The folder that names are relative to; None: `folder`.
    """
    root = root or folder
    try:
        with os.scandir(folder) as entries:
            visible = [(entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        yield Unreadable(folder.relative_to(root).as_posix(), "unreadable")
        return
    for name, is_folder, linked in sorted(entry for entry in visible if entry[1] or entry[0].lower().endswith(suffix)):
        path = folder / name
        if not is_folder:
            yield path
        elif leave is not None and path.resolve() == leave.resolve():
            continue
        elif linked:
            yield Unreadable(path.relative_to(root).as_posix(), "linked_folder")
        else:
            yield from note_files(path, suffix, leave, root=root)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def passed_over(path: Path, leave: Path | None = None) -> dict[str, int]:
    """Count the files of other kinds below a folder, which are not read, by suffix. Hidden files are not counted.

    Args:
        path: The input; for a single file nothing is counted.
        leave: A folder to skip.
    """
    counts: dict[str, int] = {}
    if not path.is_dir():
        return counts
    texts = any(isinstance(file, Path) for file in note_files(path, ".txt", leave))
    read = (".txt",) if texts else (".parquet",)
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = [
            name for name in folders if not name.startswith(".") and (leave is None or (here / name).resolve() != leave.resolve())
        ]
        for name in files:
            suffix = Path(name).suffix.lower()
            if not name.startswith(".") and suffix not in (*read, *_COMPANIONS):
                counts[suffix or "no suffix"] = counts.get(suffix or "no suffix", 0) + 1
    return dict(sorted(counts.items()))


def _plain(file: Path, name: str, encoding: str) -> Note | Unreadable:
    try:
        return Note(name, read_regular(file).decode(encoding))
    except UnicodeError as error:
        return Unreadable(name, "encoding", _place(error))
    except NotRegularError:
        return Unreadable(name, "no_regular_file")
    except OSError:
        return Unreadable(name, "unreadable")


class NotRegularError(OSError):
    """A pipe, a device or a socket where a file is expected."""


def read_regular(file: Path) -> bytes:
    """Read the bytes of a regular file, without waiting on a pipe or a device.

    Raises:
        NotRegularError: It is not a regular file.
        OSError: It cannot be read.
    """
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(str(file))
        return opened.read()


def _place(error: UnicodeError) -> str | None:
    return f"byte {error.start}" if isinstance(error, UnicodeDecodeError) else None


def _json_lines(path: Path, encoding: str) -> Iterator[Note | Unreadable]:
    for number, line in enumerate(_decoded_lines(path, encoding), 1):
        name, at = f"{path.stem}-{number}", f"line {number}"
        if line is None:
            yield Unreadable(name, "encoding", at)
        elif line.strip(string.whitespace):
            yield _json_note(line, name, at)


def _decoded_lines(path: Path, encoding: str) -> Iterator[str | None]:
    """Yield the lines of a file, None for a line that cannot be decoded. UTF-16 and UTF-32 cannot be decoded beyond such a line."""
    with _opened(path) as file:
        if not codecs.lookup(encoding).name.startswith(_WIDE):
            for line in file:
                yield _decoded(line, encoding)
            return
        try:
            yield from io.TextIOWrapper(file, encoding, newline="\n")
        except UnicodeError:
            yield None


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeError:
        return None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="Check its permissions.") from None


def _json_note(line: str, name: str, at: str) -> Note | Unreadable:
    try:
        record = parse_json(line.removeprefix("\ufeff"))
    except ValueError:
        return Unreadable(name, "not_json", at)
    return _record_note(record, name, at)


def _record_note(record: Any, name: str, at: str) -> Note | Unreadable:
    known = record.get("id") if isinstance(record, dict) else None
    name = str(known) if isinstance(known, (str, int)) and str(known) else name
    if not is_text(name):
        return Unreadable(at, "surrogate", at)
    text = record.get("text") if isinstance(record, dict) else None
    return Note(name, text) if isinstance(text, str) else Unreadable(name, "no_text", at)


def _parquet(path: Path, name: str, where: str = "") -> Iterator[Note | Unreadable]:
    for number, row in enumerate(read_rows(path), 1):
        at = f"{where}row {number}"
        yield Unreadable(f"{name}-{number}", "encoding", at) if row is None else _record_note(row, f"{name}-{number}", at)


def _conll(path: Path, encoding: str) -> Iterator[Note | Unreadable]:
    note = _plain(path, path.stem, encoding)
    if isinstance(note, Unreadable):
        yield note
        return
    documents = list(words_of(note.text.removeprefix("\ufeff")))
    for number, sentences in enumerate(documents):
        yield Note(path.stem if len(documents) == 1 else f"{path.stem}-{number}", *lay_out(sentences))
