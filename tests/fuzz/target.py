"""The type of all fuzz targets, and a folder for targets that read files."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        check: Reads bytes and checks the result against the reader's contract. A violation raises AssertionError, and an
            undocumented exception propagates.
        seeds: Initial inputs: valid ones and known bad ones.
        words: Typical parts of inputs, as a dictionary for the mutator.
    """

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[str, ...] = ()


_MEMORY = "/dev/shm"  # files are written some hundred times a second


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="clinspan-fuzz-", dir=_MEMORY if Path(_MEMORY).is_dir() else None)


def written(name: str, data: bytes) -> Path:
    """Write a file with this content; the next file with the same name replaces it."""
    path = Path(_folder().name) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text_of(data: bytes) -> str:
    """Decode bytes to text; bytes that are not UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")
