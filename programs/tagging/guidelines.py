"""Instructions that quote annotation guidelines: all of them, or the parts that concern the types, up to a number of words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora import check_number, InputError, Label
from clinspan.corpora.errors import read_text
from clinspan.programs.tagging.instructions import definitions_of, DOUBT, TASK

TITLE = "Annotation guidelines:"
_HEADING = re.compile(r"#{1,6}\s+\S")
_ITEM = re.compile(r"\s*(?:[-*+]|[0-9]{1,3}[.)])\s+\S")
_RULE = re.compile(r"\s*\|?[\s:|-]*-{3}[\s:|-]*$")
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\s-]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item or a row of a table.

    Attributes:
        text: Its lines.
        above: The headings above it, from the first level on, and the head of its table.
    """

    text: str
    above: tuple[str, ...]


def with_guidelines(
    labels: Sequence[Label], path: str | None = None, words: int | None = None, guidelines: str | None = None
) -> str:
    """Instructions with the task, one line per type with its definition, and the guidelines of the corpus.

    Args:
        labels: The types.
        path: A Markdown or text file; None: `guidelines`.
        words: The number of words of the guidelines that are quoted at most; None: all.
        guidelines: The file that the corpus names, `corpus.guidelines`.

    Raises:
        InputError: No file is named, or it cannot be read or is empty.
    """
    named = path or guidelines
    if not named:
        problem = "prompt=guidelines needs the annotation guidelines of the corpus"
        raise InputError(problem, remedy="Add corpus.guidelines=FILE, a Markdown or text file.")
    if words is not None:
        check_number("prompt.words", words, 1)
    file = Path(str(named)).expanduser()
    text = read_text(file).removeprefix("\ufeff").replace("\r\n", "\n").strip()
    if not text:
        raise InputError("is empty", path=file, remedy="Write the annotation guidelines into it.")
    quoted = text if words is None else excerpt(text, [label.name for label in labels], words)
    return "\n".join([TASK, definitions_of(labels), TITLE, quoted, DOUBT])


def excerpt(text: str, labels: Sequence[str], words: int) -> str:
    """The blocks of a text that name a label, then the others, as many as have at most `words` words together with their headings.

    Blocks stay in their order, and none is cut. One that does not fit is left out, even if later ones fit.

    >>> print(excerpt("# Rules\\n\\nMark all.\\n\\n## Ends\\n\\n- A Sign has no article.\\n- Symptoms are felt.", ["Sign"], 10))
    # Rules
    ## Ends
    - A Sign has no article.
    """
    found = list(blocks(text))
    names = [_pattern(label) for label in labels]
    ranked = sorted(range(len(found)), key=lambda n: not any(name.search(found[n].text) for name in names))
    chosen: set[int] = set()
    for number in ranked:
        if len(_joined(found, chosen | {number}).split()) <= words:
            chosen.add(number)
    return _joined(found, chosen)


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a Markdown text. Plain text is a text of paragraphs."""
    headings: list[str] = []
    table: tuple[str, ...] = ()
    lines: list[str] = []
    rows = text.split("\n")

    def flush() -> Iterator[Block]:
        if lines:
            yield Block("\n".join(lines), tuple(headings))
            lines.clear()

    for number, row in enumerate(rows):
        following = rows[number + 1] if number + 1 < len(rows) else ""
        if not row.strip():
            yield from flush()
            table = ()
        elif _HEADING.match(row):
            yield from flush()
            level = len(row) - len(row.lstrip("#"))
            headings = [one for one in headings if len(one) - len(one.lstrip("#")) < level] + [row]
        elif "|" in row and _RULE.match(following):
            yield from flush()
            table = (row, following)
        elif table and row != table[1]:
            yield Block(row, (*headings, *table))
        elif not table:
            if _ITEM.match(row):
                yield from flush()
            lines.append(row)
    yield from flush()


def _pattern(label: str) -> re.Pattern[str]:
    """Finds a label as guidelines may write it: `SkinRareDisease`, `skin rare disease`, in the plural too."""
    parts = [re.escape(part) for part in _JOINT.split(label) if part]
    return re.compile(r"(?i)\b" + r"[\s_-]?".join(parts) + r"(?:e?s)?\b")


def _joined(found: Sequence[Block], chosen: set[int]) -> str:
    lines: list[str] = []
    open_: tuple[str, ...] = ()
    for number in sorted(chosen):
        above = found[number].above
        same = next(
            (n for n, (one, other) in enumerate(zip(open_, above, strict=False)) if one != other), min(len(open_), len(above))
        )
        lines += above[same:]
        lines.append(found[number].text)
        open_ = above
    return "\n".join(lines)
