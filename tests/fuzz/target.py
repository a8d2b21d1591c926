"""What every fuzz target is, and a folder for those that read files."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """Something that reads what it is given.

    Attributes:
        check: Reads bytes and holds what comes of them against the promises of the reader. A broken promise is an AssertionError,
            and an exception that is not documented goes through.
        seeds: Inputs to begin with: good ones and known bad ones.
        words: What the inputs are made of, for the mutator.
    """

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[str, ...] = ()


_MEMORY = "/dev/shm"  # files are written some hundred times a second


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="clinspan-fuzz-", dir=_MEMORY if Path(_MEMORY).is_dir() else None)


def written(name: str, data: bytes) -> Path:
    """A file with this content, which stays until the next one of its name."""
    path = Path(_folder().name) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text_of(data: bytes) -> str:
    """Bytes as text of any kind: what is not UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")
