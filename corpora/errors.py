"""The exception of this package: invalid input that a user can fix."""

from __future__ import annotations

import math
from pathlib import Path

from clinspan.corpora.printable import printable


class InputError(ValueError):
    """Input that cannot be used. The message says which file and line, what is wrong and what to do.

    Args:
        problem: What is wrong, in one clause.
        path: The file (or folder) that holds the problem.
        line: Its line, counted from 1.
        remedy: What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        remedy: str = "",
    ) -> None:
        self.path, self.line, self.remedy = path, line, remedy
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(printable(where + problem + (f". {remedy}" if remedy else "")))


def check_number(key: str, value: object, least: float, *, most: float = math.inf, whole: bool = True) -> None:
    """Check that a setting is a number in its range.

    Args:
        key: Its name in the config.
        value: Its value.
        least: The smallest allowed value.
        most: The largest allowed value.
        whole: Whether it must be a whole number.

    Raises:
        InputError: The value is not valid; the message names the range.

    >>> check_number("limit", 0, 1)
    Traceback (most recent call last):
    clinspan.corpora.errors.InputError: limit=0 is not a whole number of at least 1
    """
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:  # type: ignore[operator]
        kind, upto = "whole number" if whole else "number", "" if most == math.inf else f" and at most {most}"
        raise InputError(f"{key}={value} is not a {kind} of at least {least}{upto}")


def read_text(path: Path) -> str:
    """Read a file as UTF-8 text with unchanged line ends; raise `InputError` if it is missing or binary."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="Check the path and its permissions.") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remedy = "Save it as UTF-8."
        raise InputError(f"is not UTF-8 text (byte {error.start})", path=path, line=line, remedy=remedy) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError("holds a NUL character, so it is not text", path=path, line=line, remedy="Give a text file.")
    return text
