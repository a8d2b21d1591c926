"""Shards: slices of the notes that `corpora.readers.notes` reads, written to Parquet files and read back unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clinspan.corpora.errors import InputError
from clinspan.corpora.readers.notes import Note, Unreadable
from clinspan.corpora.types import Token

_COLUMNS = ("id", "text", "cut", "error", "at")
_DIGEST = b"clinspan.sha256"
_TOGETHER = 64


def write_shard(notes: Iterable[Note | Unreadable], path: Path, digest: str) -> None:
    """Write a shard with columns id, text, cut (token offsets as JSON, if the note has tokens), error and at, zstd-compressed.

    Args:
        notes: The notes of the shard.
        path: The file.
        digest: Identifies the content of the shard; stored in the file's metadata.

    Raises:
        InputError: pyarrow is not installed.
    """
    pyarrow = _pyarrow()
    schema = pyarrow.schema([(name, pyarrow.string()) for name in _COLUMNS], metadata={_DIGEST: digest.encode()})
    rows = [_row(note) for note in notes]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def shard_digest(path: Path) -> str | None:
    """The digest in the metadata of a shard; None if the file is missing, is not Parquet or has no digest."""
    pyarrow = _pyarrow()
    try:
        digest = (pyarrow.parquet.read_schema(path).metadata or {}).get(_DIGEST)
    except (OSError, ValueError):
        return None
    return None if digest is None else str(digest.decode())


def read_shard(path: Path) -> Iterator[Note | Unreadable]:
    """Yield the notes of a shard as they were written."""
    for batch in _pyarrow().parquet.ParquetFile(path).iter_batches(batch_size=_TOGETHER):
        for row in batch.to_pylist():
            yield _note(row) if row["error"] is None else Unreadable(row["id"], row["error"], row["at"])


def _row(note: Note | Unreadable) -> dict[str, Any]:
    if isinstance(note, Unreadable):
        return {"id": note.id, "error": note.error, "at": note.at}
    cut = None if note.cut is None else json.dumps([[(t.start, t.end) for t in tokens] for tokens in note.cut])
    return {"id": note.id, "text": note.text, "cut": cut}


def _note(row: dict[str, Any]) -> Note:
    text = row["text"]
    if row["cut"] is None:
        return Note(row["id"], text)
    places = json.loads(row["cut"])
    return Note(row["id"], text, tuple(tuple(Token(text[a:b], a, b) for a, b in tokens) for tokens in places))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("shards need pyarrow", remedy="Install it with: pip install 'clinspan[ray]'") from None
    return pyarrow
