"""Checks of texts that are passed in Python, and batches of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text

_TAKES = "Pass a text (str) or a list of texts."
_PIPED = "Pass a list or another iterable of texts; for one text call the annotator itself."


def texts_of(value: object) -> list[str]:
    """Return a text or a list of texts as a list.

    Raises:
        InputError: The value is neither, or an item of it is no text.
    """
    if isinstance(value, str):
        return [_text(value, "the text", _TAKES)]
    if not isinstance(value, (list, tuple)):
        remedy = f"{_TAKES} For other iterables use pipe." if isinstance(value, Iterable) else _TAKES
        raise InputError(f"the argument is {_kind(value)}", remedy=_decoding(value) or remedy)
    return list(checked(value))


def checked(texts: object) -> Iterator[str]:
    """Check an iterable of texts at once, and its items as they are read.

    Raises:
        InputError: It is a single text or no iterable; from the iterator: an item is no text.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise InputError(f"the texts are {_kind(texts)}", remedy=_PIPED)
    return (_text(text, f"text {number}", "Each text is a str.") for number, text in enumerate(texts, 1))


def batches(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    """Yield the texts in lists of this size, the last one shorter."""
    while batch := list(itertools.islice(texts, size)):
        yield batch


def _text(value: object, name: str, remedy: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {_kind(value)}", remedy=_decoding(value) or remedy)
    if not is_text(value):
        raise InputError(f"{name} contains a lone surrogate", remedy="Decode it again from its bytes.")
    return value


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"


def _decoding(value: object) -> str:
    return "Decode it first: text.decode()." if isinstance(value, bytes) else ""
