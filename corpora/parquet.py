"""Annotated notes as a Parquet file: columns id, text, entities (start, end, type, text, confidence), model, program."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from corpora.annotated import Annotated
from corpora.errors import InputError

_TOGETHER = 256


def write_parquet(notes: Iterable[Annotated], path: Path) -> None:
    """Write them, a few hundred at a time in memory.

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
        rest = iter(notes)
        while some := [note.record() for note in islice(rest, _TOGETHER)]:
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))
