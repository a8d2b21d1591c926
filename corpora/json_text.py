"""Parsing of untrusted JSON: deep nesting, huge numbers, lone surrogates."""

from __future__ import annotations

import json
import re
from typing import Any

_LONE = re.compile("[\ud800-\udfff]")


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: It is not JSON, is nested too deeply or holds a number that is too long.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_text(value: str) -> bool:
    r"""Whether a string can be written to a file. Strings from JSON and file names may hold lone surrogates, which no file can.

    >>> is_text("\U0001f912"), is_text("\ud83e")
    (True, False)
    """
    return _LONE.search(value) is None


def without_lone_surrogates(text: str) -> str:
    r"""Replace each lone surrogate in a text by U+FFFD.

    >>> without_lone_surrogates("a\ud83e") == "a\ufffd"
    True
    """
    return _LONE.sub("\ufffd", text)
