"""A spool of annotated texts, kept until formats with one file for all notes are written.

The input can change while it is annotated, as export folders of hospitals do. So the second pass reads the spool instead of the
input, and every format contains the text that was annotated. The spool is in the output folder and is removed at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from clinspan.corpora.json_text import parse_json
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.types import Token

SPOOL = "texts.part"


class TextSpool:
    """Notes in input order, stored on disk; memory holds two numbers per note.

    Args:
        folder: Output folder of the session.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / SPOOL
        self._places: list[tuple[int, int]] = []
        self._end = 0
        self.path.unlink(missing_ok=True)  # left by a session that was killed

    def add(self, number: int, note: Note) -> None:
        """Append a note.

        Args:
            number: Position of the note in the input.
            note: The note.
        """
        cut = None if note.cut is None else [[[t.text, t.start, t.end] for t in tokens] for tokens in note.cut]
        line = (json.dumps([note.id, note.text, cut]) + "\n").encode()
        with self.path.open("ab") as file:
            file.write(line)
        self._places.append((number, self._end))
        self._end += len(line)

    def __iter__(self) -> Iterator[Note]:
        if not self._places:
            return
        with self.path.open("rb") as file:
            for _, place in sorted(self._places):
                file.seek(place)
                name, text, cut = parse_json(file.readline())
                whole = None if cut is None else tuple(tuple(Token(*token) for token in tokens) for tokens in cut)
                yield Note(name, text, whole)

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
