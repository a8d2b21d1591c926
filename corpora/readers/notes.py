"""Readers of notes without annotations: folders of `.txt`, brat folders (their `.ann` are not read), JSON lines, Parquet files and
folders of them, CoNLL.

A text is what the file's bytes decode to, with its byte order mark, line ends, tabs and form feeds: nothing is altered, and
offsets count its characters. What cannot be read is said to be so, with the kind of problem and never its words.
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
from clinspan.corpora.readers.conll import SUFFIXES, words_of
from clinspan.corpora.types import Token

_JSON = (".jsonl", ".ndjson")
_WIDE = ("utf-16", "utf-32")
_COMPANIONS = (".ann", ".conf")  # of brat
_REMEDY = "Give a folder of .txt or .parquet files, or a .txt, .jsonl, .parquet or .conll file."


@dataclass(frozen=True, slots=True)
class Note:
    """One text.

    Attributes:
        id: Its name: in a folder the path below it without `.txt`, else as the file says.
        text: Untouched.
        cut: Its sentences and tokens, where the file has them; None: it is for others to cut it.
    """

    id: str
    text: str
    cut: tuple[tuple[Token, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A text that could not be read.

    Attributes:
        id: Its name, as far as it is known.
        error: The kind of problem: `encoding`, `not_json`, `no_text`, `surrogate`, `unreadable` (also of a folder),
            `no_regular_file` (a pipe, a device), `leads_out` (a link out of the folder), `linked_folder` or `duplicate_id`.
        at: Where: a byte or a line of the file, or None.
    """

    id: str
    error: str
    at: str | None = None


def read_notes(
    path: Path, *, encoding: str = "utf-8", leave: Path | None = None, first: Callable[[str], bool] | None = None
) -> Iterator[Note | Unreadable]:
    """The texts of a file or folder, one after the other; a folder's in alphabetic order.

    Args:
        path: A folder (its `.txt` files at any depth, but hidden ones, or where it has none its `.parquet` files), or one file.
        encoding: What the bytes are.
        leave: A folder that is passed over, as results may lie below what is read.
        first: Whether an id is met for the first time; None: ids are remembered here, in memory.

    Raises:
        InputError: There is nothing to read, the kind of file or the encoding is not known.
    """
    check_encoding(encoding)
    first = first or _remembered()
    for found in _reader(path, encoding, leave):
        if not is_text(found.id):
            yield Unreadable(without_lone_surrogates(found.id), "surrogate")
            continue
        if not first(found.id):
            yield Unreadable(found.id, "duplicate_id")
            continue
        if isinstance(found, Note) and not is_text(found.text):
            yield Unreadable(found.id, "surrogate")
            continue
        yield found


def _remembered() -> Callable[[str], bool]:
    seen: set[str] = set()

    def first(name: str) -> bool:
        before = len(seen)
        seen.add(name)
        return len(seen) > before

    return first


def check_encoding(name: str) -> None:
    """
    Raises:
        InputError: No text can be decoded by that name.
    """
    try:
        b"a".decode(name)
    except UnicodeError:
        return  # no letter of its own, but known
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
    raise InputError(f"a file {suffix} is not known here", path=path, remedy=_REMEDY)


def _folder(path: Path, encoding: str, leave: Path | None) -> Iterator[Note | Unreadable]:
    texts = note_files(path, ".txt", leave)
    before: list[Path | Unreadable] = []
    for found in texts:
        before.append(found)
        if isinstance(found, Path):
            return (_member(path, one, encoding) for one in chain(before, texts))
    tables = list(note_files(path, ".parquet", leave))
    if not any(isinstance(table, Path) for table in tables):
        if not before:
            raise InputError("holds no .txt and no .parquet file", path=path, remedy=_REMEDY)
        return (found for found in before if isinstance(found, Unreadable))
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
    """Whether a file is a link to somewhere else: whoever named the folder did not mean that to be read."""
    return file.is_symlink() and not file.resolve().is_relative_to(folder.resolve())


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def note_files(folder: Path, suffix: str, leave: Path | None = None, *, root: Path | None = None) -> Iterator[Path | Unreadable]:
    """The files below a folder with a suffix in any case, in alphabetic order of their paths' parts; in memory are one folder's
    names. Sub-folders that cannot be listed, and links to folders, which are not followed, are given as unreadable.

    Args:
        folder: The folder.
        suffix: The suffix, in lower case.
        leave: A folder that is passed over.
        root: The folder that names are relative to; None: this one.
    """
    root = root or folder
    try:
        with os.scandir(folder) as entries:
            visible = [(entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        yield Unreadable(folder.relative_to(root).as_posix(), "unreadable")
        return
    for name, below, linked in sorted(found for found in visible if found[1] or found[0].lower().endswith(suffix)):
        path = folder / name
        if not below:
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
    """How many files of other kinds lie below a folder, by suffix: they are not read. Hidden files are not counted.

    Args:
        path: The input; a file has nothing beside it.
        leave: A folder that is not looked into.
    """
    counts: dict[str, int] = {}
    if not path.is_dir():
        return counts
    texts = any(isinstance(found, Path) for found in note_files(path, ".txt", leave))
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
    """The bytes of a regular file; a pipe or a device is not waited for.

    Raises:
        NotRegularError: It is something else.
        OSError: It cannot be read.
    """
    number = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(number, "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(number).st_mode):
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
    """The lines of a file; None for one that cannot be decoded. In UTF-16 and UTF-32 nothing behind such a line can be."""
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
    found = _plain(path, path.stem, encoding)
    if isinstance(found, Unreadable):
        yield found
        return
    full, _ = words_of(found.text.removeprefix("\ufeff"))
    for number, sentences in enumerate(full):
        yield Note(path.stem if len(full) == 1 else f"{path.stem}-{number}", *lay_out(sentences))
