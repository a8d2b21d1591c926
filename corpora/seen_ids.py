"""A set of ids on disk, for inputs whose ids do not fit into memory."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from pathlib import Path


class SeenIds:
    """A set of ids in a temporary file, with a digest of 16 bytes per id. Use it in a `with` statement.

    >>> with SeenIds() as seen:
    ...     seen.first("a"), seen.first("b"), seen.first("a")
    (True, True, False)
    """

    def __enter__(self) -> SeenIds:
        self._folder = tempfile.TemporaryDirectory(prefix="clinspan-")
        self._base = sqlite3.connect(Path(self._folder.name) / "ids", isolation_level=None)
        for sql in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            "CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID",
        ):
            self._base.execute(sql)
        self._base.execute("BEGIN")  # never committed: the file is deleted at exit
        return self

    def __exit__(self, *raised: object) -> None:
        self._base.close()
        self._folder.cleanup()

    def first(self, name: str) -> bool:
        """Add an id; return whether it is new."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        return self._base.execute("INSERT OR IGNORE INTO ids VALUES (?)", (digest,)).rowcount == 1
