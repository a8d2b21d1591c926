"""Redacted reports: words, documents and ids become hashes; prompts and answers are removed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clinspan.reports.run_views import RunView

_WORD, _NAME = 3, 6  # bytes: names must not collide, words may


class Redactor:
    """Replaces words and ids with keyed hashes that are valid in one report only.

    The key is random and never stored, so nobody can identify a word by hashing guesses. A word's hash also depends on its
    sentence. Otherwise the most frequent hash would reveal the most frequent word.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def redact(self, view: RunView) -> RunView:
        """The run with its spans, scores and confidences, but without text."""
        tables = [table for table in view.tables if not table.quotes]
        return replace(view, rows=[self._row(row) for row in view.rows], prompts=None, tables=tables, gaps=None)

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        key = str(row["id"])
        words = [self._hash(_WORD, "token", key, token) for token in row["tokens"]]
        names = {"id": self._hash(_NAME, "id", key), "document": self._hash(_NAME, "document", str(row["document"]))}
        return {**row, **names, "tokens": words, "raw": None}

    def _hash(self, size: int, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=size).hexdigest()
