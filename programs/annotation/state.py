"""Resume state of an annotation job: one line per finished document in `state.jsonl`, without text.

If a document has several lines, the last one is valid.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora.annotated import Annotated, FullAnnotation, Mention
from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.types import Entity, Token

Pieces = tuple[tuple[int, int], ...]
Full = tuple[Pieces, str, float | None]
"""The pieces of a full mention as characters of the text, its label and its confidence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the resume state.

    Attributes:
        id: Id of the document.
        sha256: SHA-256 of its text and of the tokens that came with it, if any.
        by: Fingerprint of the annotator, see `programs.annotation.annotator.Facts`.
        to: Formats in which it was written.
        entities: Start, end, label and confidence of each entity.
        counts: Sentences, cuts and tokens used.
        repairs: Number of faults in answers, by name of the fault.
        full: Pieces, label and confidence of each full mention; None: the model gave tags alone.
    """

    id: str
    sha256: str
    by: str
    to: tuple[str, ...]
    entities: tuple[tuple[int, int, str, float | None], ...]
    counts: Mapping[str, int]
    repairs: Mapping[str, int]
    full: tuple[Full, ...] | None = None

    @classmethod
    def of(cls, note: Annotated, *, sha256: str, by: str, to: Iterable[str], counts: Counter[str], repairs: Counter[str]) -> Entry:
        """Return the entry of a document that was just annotated."""
        entities = tuple((m.start, m.end, m.label, m.confidence) for m in note.mentions)
        listed = None if note.full is None else tuple((one.entity.fragments, one.entity.label, one.confidence) for one in note.full)
        return cls(note.id, sha256, by, tuple(to), entities, dict(+counts), dict(+repairs), listed)

    def annotated(self, text: str, cut: Iterable[tuple[Token, ...]], model: str, program: str) -> Annotated:
        """Rebuild the annotated document from its text and tokens."""
        mentions = tuple(Mention(start, end, label, text[start:end], confidence) for start, end, label, confidence in self.entities)
        listed = None if self.full is None else tuple(FullAnnotation(Entity(label, at), value) for at, label, value in self.full)
        return Annotated(self.id, text, tuple(cut), mentions, model, program, listed)


class ResumeState:
    """The file `state.jsonl`. Memory holds the position of each document's line, not its content.

    Args:
        path: The file; it may be missing.

    Raises:
        InputError: A line is not a valid entry. A truncated last line is removed instead.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[str, str, int]] = {}
        self._end = 0
        if not path.exists():
            return
        with path.open("rb+") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    file.truncate(self._end)
                    break
                self._note(line, number)
                self._end += len(line)

    def _note(self, line: bytes, number: int) -> None:
        try:
            entry = _entry(line)
            self._places[entry.id] = (entry.sha256, entry.by, self._end)
        except (ValueError, KeyError, TypeError):
            remedy = "Remove the line: that document is then annotated again."
            raise InputError("is not a valid entry", path=self.path, line=number, remedy=remedy) from None

    def find(self, name: str, digest: str, by: str) -> Entry | None:
        """Return the entry of a document, if it is for the same text and the same annotator."""
        place = self._places.get(name)
        if place is None or place[:2] != (digest, by):
            return None
        with self.path.open("rb") as file:
            file.seek(place[2])
            return _entry(file.readline())

    def add(self, entry: Entry) -> None:
        """Append an entry to the file and close the file, so that the entry survives a kill of this process."""
        row = {name: getattr(entry, name) for name in Entry.__slots__}
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        with self.path.open("ab") as file:
            file.write(line)
        self._places[entry.id] = (entry.sha256, entry.by, self._end)
        self._end += len(line)


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file one by one; a truncated last line is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _entry(line)


def _entry(line: bytes) -> Entry:
    """Parse a line of the file.

    Raises:
        KeyError, TypeError, ValueError: The line is not a valid entry.
    """
    row = parse_json(line)
    entities = tuple((int(start), int(end), str(label), confidence) for start, end, label, confidence in row["entities"])
    name, sha256, by = (str(row[key]) for key in ("id", "sha256", "by"))
    counts, repairs = ({str(kind): int(n) for kind, n in dict(row[key]).items()} for key in ("counts", "repairs"))
    full = row.get("full")
    listed = None if full is None else tuple((_pieces(pieces), str(label), confidence) for pieces, label, confidence in full)
    return Entry(name, sha256, by, tuple(map(str, row["to"])), entities, counts, repairs, listed)


def _pieces(pieces: Iterable[tuple[int, int]]) -> Pieces:
    return tuple((int(start), int(end)) for start, end in pieces)


def digest_of(note: Note) -> str:
    """Return the SHA-256 of the annotated content: the text and the tokens that came with the note, if any."""
    cut = "" if note.cut is None else json.dumps([[[t.start, t.end] for t in tokens] for tokens in note.cut])
    return hashlib.sha256(note.text.encode() + b"\0" + cut.encode()).hexdigest()
