r"""Rows of column text: one token per line, an empty line between sentences, a line `-DOCSTART-` or `###MEDLINE:1` for a document.

Tabs separate the columns, or spaces in a line without tabs. Where tabs separate them, a token may consist of white space only.
Comment lines (`# id = 1`) and the word ranges of CoNLL-U (`1-2`) are counted and skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from clinspan.corpora.writers.conll import DOCUMENT_MARK

_MARKER = re.compile(r"###\S.*")
_TAG = re.compile(r"O|[BIESLUM](?:-.+)?")
_RANGE = re.compile(r"[0-9]+[-.][0-9]+")
_SPECIAL = ("#", DOCUMENT_MARK)


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of a column text.

    Attributes:
        rows: The columns of each row.
        lines: The line of each row, counted from 1.
        documents: The sentences of each document that has any, as slices of the rows.
        marked: Whether the text marks its documents.
        acts: Counts of skipped lines.
    """

    rows: list[list[str]]
    lines: list[int]
    documents: list[list[slice]]
    marked: bool
    acts: Counter[str]


def parse_columns(text: str) -> Columns:
    """Split column text into rows, sentences and documents."""
    texts = text.replace("\r\n", "\n").removesuffix("\r").split("\n")
    divided = [_divided(line) if line and not line.isspace() else None for line in texts]
    shape = _Shape.of(texts, divided)
    rows: list[list[str]] = []
    lines: list[int] = []
    documents: list[list[slice]] = [[]]
    acts: Counter[str] = Counter()
    first, marked = 0, False
    for number, (line, columns) in enumerate(zip(texts, divided, strict=True), 1):
        begins = False
        if columns is not None:
            if line[0] in "#-":
                begins = shape.is_mark(line, columns)
                if not begins and line[0] == "#" and shape.is_comment(line, columns):
                    acts["comment_lines"] += 1
                    continue
            if not begins:
                if len(columns) > 2 and columns[0][:1].isdigit() and _RANGE.fullmatch(columns[0]):
                    acts["word_ranges"] += 1  # its words follow on their own lines
                else:
                    rows.append(columns)
                    lines.append(number)
                continue
        if first < len(rows):
            documents[-1].append(slice(first, len(rows)))
            first = len(rows)
        if begins:
            marked = True
            documents.append([])
    if first < len(rows):
        documents[-1].append(slice(first, len(rows)))
    return Columns(rows, lines, [document for document in documents if document], marked, acts)


def _divided(line: str) -> list[str]:
    if "\t" in line:
        return line.split("\t")
    columns = line.strip().split(" ")
    return columns if "" not in columns else [column for column in columns if column]


@dataclass(frozen=True, slots=True)
class _Shape:
    """The numbers of columns of the rows, and whether a row has tabs, by which comments and marks differ from tokens."""

    widths: frozenset[int]
    tabs: bool

    @classmethod
    def of(cls, texts: Sequence[str], divided: Sequence[list[str] | None]) -> _Shape:
        plain = [
            (line, columns)
            for line, columns in zip(texts, divided, strict=True)
            if columns is not None and (line[0] not in "#-" or not line.startswith(_SPECIAL))
        ]
        return cls(frozenset(len(columns) for _, columns in plain), any("\t" in line for line, _ in plain))

    def is_mark(self, line: str, columns: Sequence[str]) -> bool:
        """Whether a line begins a document."""
        return line.startswith(DOCUMENT_MARK) or (_MARKER.fullmatch(line) is not None and len(columns) not in self.widths)

    def is_comment(self, line: str, columns: Sequence[str]) -> bool:
        """Whether a line that begins with `#` is a comment: its columns differ from those of rows, or its last is not a tag."""
        if len(columns) == 1:
            return line.strip() != "#" or 1 not in self.widths
        if self.tabs != ("\t" in line) or len(columns) not in self.widths:
            return True
        return not self.tabs and not is_tag(columns[-1])


def word_and_tag(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Index of the token column, and negative index of the tag column: the last column that holds only tags."""
    narrowest = min(map(len, rows))
    numbered = narrowest > 2 and rows[0][0] in ("0", "1") and all(row[0].isdigit() for row in rows)
    for tag in range(-1, -narrowest + int(numbered), -1):
        if all(map(is_tag, distinct(rows, tag))):
            return int(numbered), tag
    return int(numbered), -1


def distinct(rows: Iterable[Sequence[str]], column: int) -> list[str]:
    """The different values of a column without outer white space, in the order in which they occur."""
    return list(dict.fromkeys(text.strip() for text in dict.fromkeys(row[column] for row in rows)))


def is_tag(text: str) -> bool:
    """Whether a text is a tag of any scheme.

    >>> is_tag("O"), is_tag("S-Sign"), is_tag("B"), is_tag("Sign")
    (True, True, True, False)
    """
    return _TAG.fullmatch(text) is not None


def word_of(column: str) -> str:
    """The token of a column without outer blanks; a column of blanks gives one blank."""
    return column.strip(" ") or " "


def words_of(text: str) -> Iterator[list[list[str]]]:
    """Documents of sentences of tokens from column text with or without tags."""
    columns = parse_columns(text)
    word = word_and_tag(columns.rows)[0] if columns.rows else 0
    for document in columns.documents:
        yield [[word_of(row[word]) for row in columns.rows[sentence]] for sentence in document]
