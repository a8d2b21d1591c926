"""Errors that end a command with a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RunError(RuntimeError):
    """A run cannot start or continue. The message is one line for the user."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Convert a write error in the enclosed block to a message with the folder and the cause: a full disk, no permission.

    Raises:
        RunError: Replaces the `OSError`.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RunError(f"cannot write below {folder}: {why}; results so far are kept: fix the cause and resume") from None
