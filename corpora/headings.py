"""Headings and titles that the lines of a text give.

A line is a heading if it has at most 60 characters and ends with a colon, is all capitals with at least four letters, or begins
with `#` marks and a blank. The capitals before a colon at the beginning of a longer line (`IMPRESSION: No fracture.`) are one too,
again with at least four letters, so that `BP: 120/80` is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"[^\n\r\f\v\x1c-\x1e\x85\u2028\u2029]+")
_MARKED = re.compile(r"#{1,6}[ \t]+(?=\S)")
_CAPITALS = re.compile(r"([A-Z][A-Z /&(),'-]{2,47}[A-Z)]):(?=\s)")
_LONGEST, _LETTERS = 60, 3
_TITLE = 200
"""Most characters of a title."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and where it stands, as half-open character offsets; equal ones if it is not part of the text."""

    text: str
    start: int
    end: int


def is_heading(line: str) -> bool:
    """Whether a line without blanks around it ends with a colon, or is short and all capitals."""
    return line.endswith(":") or (len(line) <= _LONGEST and line.isupper() and sum(map(str.isalpha, line)) > _LETTERS)


def headings_of(text: str) -> list[Heading]:
    """The headings of a text, in order.

    >>> [heading.text for heading in headings_of("HPI:\\nNo fever.\\nBP: 120/80\\nPAST HISTORY: None.\\n# Plan")]
    ['HPI', 'PAST HISTORY', 'Plan']
    """
    found = []
    for match in _LINE.finditer(text):
        line = match[0].strip()
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        marked, capitals = _MARKED.match(line), _CAPITALS.match(line)
        if line and len(line) <= _LONGEST and (marked or is_heading(line)):
            name = (line[marked.end() :] if marked else line).rstrip(": \t")
            found.append(Heading(name, start, start + len(line)))
        elif capitals and sum(map(str.isalpha, capitals[1])) > _LETTERS:
            found.append(Heading(capitals[1], start, start + capitals.end()))
    return [heading for heading in found if heading.text]


def title_of(text: str) -> Heading:
    """The first line of a text that is not blank: its first 200 characters, and the offsets of the whole line."""
    for match in _LINE.finditer(text):
        if line := " ".join(match[0].split()):
            shown = line if len(line) <= _TITLE else line[: _TITLE + 1].rsplit(" ", 1)[0][:_TITLE]
            return Heading(shown, match.start(), match.end())
    return Heading("", 0, 0)
