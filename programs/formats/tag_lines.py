"""Normalizes the ways in which models write token tags to one `token : TAG` per line.

Besides the requested form, the module reads a Markdown table, quoted or plain columns with commas, semicolons or tabs, a JSON list
of pairs or of tags alone, `token/TAG`, several pairs on one line, line ends written as `\\n`, and thoughts or fences around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from clinspan.programs.formats.replies import unfenced, without_thoughts

_QUOTED = re.compile(r"""\s{0,9}(["'])(?P<token>.{0,200}?)\1\s{0,9}[,;:\t]\s{0,9}(["']?)(?P<tag>[^"',;]{1,100})\3\s{0,9}""")
_PAIR = re.compile(r"(?P<token>\S{1,200}?)\s{0,9}(?: : |: |/|\t)\s{0,9}(?P<tag>[^\s,;]{1,100})[,;]?(?:\s+|\Z)")
_SPACED = re.compile(r"(?P<token>\S{1,200})\s{1,9}:\s{1,9}(?P<tag>[^\s,;]{1,100})[,;]?(?:\s+|\Z)")
_RULES = frozenset("| \t:+=-")
_LONGEST = 1_000
Reads = Callable[[str], str | None]


def plain_lines(text: str, reads: Reads) -> str:
    """Rewrite each line of a known shape to `token : TAG`. A text in the requested form stays unchanged.

    Args:
        text: The text that the model wrote.
        reads: Returns the tag that a text stands for, or None.
    """
    body = without_thoughts(text)
    if "\n" not in body.strip() and "\\n" in body:
        body = body.replace("\\n", "\n")
    if (pairs := _json_pairs(body, reads)) is not None:
        return "\n".join(pairs)
    lines = [line for line in body.split("\n") if line.strip()]
    if len(lines) == 1 and (line_pairs := _one_line(lines[0], reads)) is not None:
        return "\n".join(line_pairs)
    return "\n".join(_plain(line, reads) for line in body.split("\n") if not _is_ruler(line))


def _is_ruler(line: str) -> bool:
    """Whether a line is the separator below the header of a table."""
    return "|" in line and "-" in line and _RULES.issuperset(line.strip())


def _plain(line: str, reads: Reads) -> str:
    text = line.strip()
    if len(text) > _LONGEST:
        return line
    if text.startswith("|") and text.endswith("|") and text.count("|") >= 3:
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        return "" if reads(cells[-1]) is None else f"{cells[-2] or '|'} : {cells[-1]}"
    if (quoted := _QUOTED.fullmatch(text)) is not None:
        return "" if reads(quoted["tag"]) is None else f"{quoted['token']} : {quoted['tag']}"
    head, slash, tail = text.rpartition("/")
    if slash and head and ":" not in text and " " not in text and reads(tail) is not None:
        return f"{head} : {tail}"
    return line


def _json_pairs(text: str, reads: Reads) -> list[str] | None:
    body = unfenced(text)
    if not body.startswith(("[", "{")):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, dict):
        value = [list(pair) for pair in value.items()]
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, str) and reads(item) is not None for item in value):
        return list(value)
    rows = []
    for item in value:
        parts = list(item.values()) if isinstance(item, dict) else item
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            return None
        if reads(parts[1]) is None:
            return None
        rows.append(f"{parts[0]} : {parts[1]}")
    return rows


def _one_line(line: str, reads: Reads) -> list[str] | None:
    """The `token : TAG` pairs of a line that holds only pairs, at least two; None for any other line."""
    for pattern in (_SPACED, _PAIR):
        rows, at = [], 0
        text = line.strip()
        while at < len(text) and (match := pattern.match(text, at)) is not None and reads(match["tag"]) is not None:
            rows.append(f"{match['token']} : {match['tag']}")
            at = match.end()
        if len(rows) > 1 and at == len(text):
            return rows
    return None
