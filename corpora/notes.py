"""Texts that nobody has annotated yet: folders of `.txt`, brat folders (their `.ann` stay unread), JSON lines, Parquet, CoNLL.

A text is what the file's bytes decode to, with its byte order mark, line ends, tabs and form feeds: nothing is altered, and
offsets count its characters. What cannot be read is said to be so, with the kind of problem and never its words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from corpora.build import lay_out
from corpora.errors import InputError
from corpora.types import Token

_JSON = (".jsonl", ".ndjson")
_CONLL = (".conll", ".tsv", ".bio", ".iob")
_REMEDY = "Give a folder of .txt files, or a .txt, .jsonl, .parquet or .conll file."


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
    """A text that could not be had.

    Attributes:
        id: Its name, as far as it is known.
        error: The kind of problem: `encoding`, `not_json`, `no_text`, `surrogate`, `unreadable` or `duplicate_id`.
        at: Where: a byte or a line of the file, or None.
    """

    id: str
    error: str
    at: str | None = None


def read_notes(path: Path, *, encoding: str = "utf-8", leave: Path | None = None) -> Iterator[Note | Unreadable]:
    """The texts of a file or folder, one after the other; a folder's in alphabetic order.

    Args:
        path: A folder (its `.txt` files at any depth, but hidden ones), or one file.
        encoding: What the bytes are.
        leave: A folder that is passed over, as results may lie below what is read.

    Raises:
        InputError: There is nothing to read, the kind of file or the encoding is not known.
    """
    check_encoding(encoding)
    seen: set[str] = set()
    for found in _reader(path, encoding, leave):
        if found.id in seen:
            yield Unreadable(found.id, "duplicate_id")
            continue
        seen.add(found.id)
        if isinstance(found, Note) and any("\ud800" <= sign <= "\udfff" for sign in found.text):
            yield Unreadable(found.id, "surrogate")
            continue
        yield found


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
        files = note_files(path, leave)
        return (_plain(file, file.relative_to(path).with_suffix("").as_posix(), encoding) for file in files)
    if not path.is_file():
        raise InputError("there is no such file or folder", path=path, remedy=_REMEDY)
    suffix = path.suffix.lower()
    if suffix in _JSON:
        return _json_lines(path, encoding)
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in _CONLL:
        return _conll(path, encoding)
    if suffix in (".txt", ""):
        return iter([_plain(path, path.stem, encoding)])
    raise InputError(f"a file {suffix} is not known here", path=path, remedy=_REMEDY)


def note_files(folder: Path, leave: Path | None = None) -> list[Path]:
    """The `.txt` files below a folder.

    Raises:
        InputError: There is none.
    """
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        below = Path(place)
        folders[:] = [f for f in folders if not f.startswith(".") and (leave is None or (below / f).resolve() != leave.resolve())]
        files += [below / name for name in names if name.endswith(".txt") and not name.startswith(".")]
    if not files:
        raise InputError("holds no .txt file", path=folder, remedy=_REMEDY)
    return sorted(files)


def _plain(file: Path, name: str, encoding: str) -> Note | Unreadable:
    try:
        return Note(name, file.read_bytes().decode(encoding))
    except UnicodeError as error:
        return Unreadable(name, "encoding", _place(error))
    except OSError:
        return Unreadable(name, "unreadable")


def _place(error: UnicodeError) -> str | None:
    return f"byte {error.start}" if isinstance(error, UnicodeDecodeError) else None


def _json_lines(path: Path, encoding: str) -> Iterator[Note | Unreadable]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_note(line, f"{path.stem}-{number}", f"line {number}", encoding)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="Check its permissions.") from None


def _json_note(line: bytes, name: str, at: str, encoding: str) -> Note | Unreadable:
    try:
        record = json.loads(line.decode(encoding).removeprefix("\ufeff"))
    except UnicodeError:
        return Unreadable(name, "encoding", at)
    except (ValueError, RecursionError):
        return Unreadable(name, "not_json", at)
    return _record_note(record, name, at)


def _record_note(record: Any, name: str, at: str) -> Note | Unreadable:
    known = record.get("id") if isinstance(record, dict) else None
    name = str(known) if isinstance(known, (str, int)) and str(known) else name
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        return Unreadable(at, "surrogate", at)
    text = record.get("text") if isinstance(record, dict) else None
    return Note(name, text) if isinstance(text, str) else Unreadable(name, "no_text", at)


def _parquet(path: Path) -> Iterator[Note | Unreadable]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError("needs pyarrow", path=path, remedy="Install it with: pip install 'clinspan[ray]'") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        missing = [name for name in ("id", "text") if name not in file.schema_arrow.names]
    except (OSError, ValueError) as error:
        raise InputError(f"is no Parquet file ({type(error).__name__})", path=path, remedy=_REMEDY) from None
    if missing:
        raise InputError(f"has no column {missing[0]}", path=path, remedy="Columns id and text are read.")
    number = 0
    for batch in file.iter_batches(batch_size=256, columns=["id", "text"]):
        for row in batch.to_pylist():
            number += 1
            yield _record_note(row, f"{path.stem}-{number}", f"row {number}")


def _conll(path: Path, encoding: str) -> Iterator[Note | Unreadable]:
    found = _plain(path, path.stem, encoding)
    if isinstance(found, Unreadable):
        yield found
        return
    documents: list[list[list[str]]] = [[[]]]
    for line in found.text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if line.startswith("-DOCSTART-"):
            documents.append([[]])
        elif line.strip():
            documents[-1][-1].append(line.strip().split("\t" if "\t" in line.strip() else " ", 1)[0].strip())
        elif documents[-1][-1]:
            documents[-1].append([])
    full = [[words for words in sentences if words] for sentences in documents if any(sentences)]
    for number, sentences in enumerate(full):
        yield Note(path.stem if len(full) == 1 else f"{path.stem}-{number}", *lay_out(sentences))
