"""Parsing of untrusted JSON: deep nesting, huge numbers, lone surrogates."""

from __future__ import annotations

import json
import re
from typing import Any

_LONE = re.compile("[\ud800-\udfff]")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is none, or cannot be parsed: nested too deeply, or a number too long.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_text(value: str) -> bool:
    r"""Whether a string is text that any file can hold: JSON and names of files can have halves of surrogate pairs in theirs.

    >>> is_text("\U0001f912"), is_text("\ud83e")
    (True, False)
    """
    return _LONE.search(value) is None


def without_lone_surrogates(text: str) -> str:
    r"""The text with halves of surrogate pairs replaced, character by character.

    >>> without_lone_surrogates("a\ud83e") == "a\ufffd"
    True
    """
    return _LONE.sub("\ufffd", text)
