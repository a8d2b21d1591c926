"""Parquet files of notes and annotated notes.

Notes are read from the columns id and text. Annotated notes are written with the columns id, text, entities (start, end, type,
text, confidence), model and program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from clinspan.corpora.annotated import Annotated
from clinspan.corpora.errors import InputError

_TOGETHER = 256


def write_parquet(notes: Iterable[Annotated], path: Path) -> None:
    """Write annotated notes, with a few hundred in memory at a time.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("to=parquet needs pyarrow", remedy="Install it with: pip install 'clinspan[ray]'") from None
    whole, text, real = pyarrow.int64(), pyarrow.string(), pyarrow.float64()
    entity = pyarrow.struct([("start", whole), ("end", whole), ("type", text), ("text", text), ("confidence", real)])
    schema = pyarrow.schema([("id", text), ("text", text), ("entities", pyarrow.list_(entity)), ("model", text), ("program", text)])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        remaining = iter(notes)
        while batch := [replace(note, full=None).record() for note in islice(remaining, _TOGETHER)]:
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


def read_rows(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the columns id and text of each row, with a few hundred rows in memory at a time; None for a row that is not UTF-8.

    Raises:
        InputError: pyarrow is not installed, or the file is not Parquet or lacks a column.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError("needs pyarrow", path=path, remedy="Install it with: pip install 'clinspan[ray]'") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        missing = [name for name in ("id", "text") if name not in file.schema_arrow.names]
        if missing:
            raise InputError(f"has no column {missing[0]}", path=path, remedy="The columns id and text are required.")
        for batch in file.iter_batches(batch_size=_TOGETHER, columns=["id", "text"]):
            yield from (_row(batch, number) for number in range(batch.num_rows))
    except InputError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        remedy = "Give a complete file; its writer may have been interrupted."
        raise InputError(f"is not a Parquet file ({type(error).__name__})", path=path, remedy=remedy) from None


def _row(batch: Any, number: int) -> dict[str, Any] | None:
    try:
        return {name: batch.column(name)[number].as_py() for name in ("id", "text")}
    except UnicodeError:
        return None
