"""Errors that end a command with a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RunError(RuntimeError):
    """A run that cannot start or go on; the message is one line for the user."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say where something could not be written and why: a full disk, no permission.

    Raises:
        RunError: In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RunError(f"cannot write below {folder}: {why}; what was computed is kept, fix that and go on") from None
