"""Text on a terminal: control characters in labels, ids and file names are escaped, and words agree with counts."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Escape the control characters, direction marks and lone surrogates of a text.

    Line feeds and tabs stay.

    >>> printable("a\\x1b]0;x\\x07b")
    'a\\\\x1b]0;x\\\\x07b'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def plural(number: float, singular: str, plural_form: str = "") -> str:
    """A word in the form that agrees with a number; without `plural_form`, the plural has an `s`.

    >>> plural(1, "sentence"), plural(0, "sentence"), plural(2, "is", "are")
    ('sentence', 'sentences', 'are')
    """
    return singular if number == 1 else plural_form or f"{singular}s"
