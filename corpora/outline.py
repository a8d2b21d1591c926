"""Where a sentence stands in its document: what is before and after it, its heading, and the title of the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from clinspan.corpora.headings import Heading, headings_of, title_of

if TYPE_CHECKING:
    from clinspan.corpora.types import Token


class Outline:
    """The sentences and headings of a document.

    Args:
        text: Its text.
        cut: Its tokens by sentence.
        headings: Its headings as its file gives them, in order; empty: those of `headings_of`.
    """

    def __init__(self, text: str, cut: Sequence[Sequence[Token]], headings: Sequence[Heading] = ()) -> None:
        self.text, self.cut, self._given = text, cut, tuple(headings)

    @cached_property
    def headings(self) -> Sequence[Heading]:
        """The headings, in order."""
        return self._given or headings_of(self.text)

    @cached_property
    def title(self) -> Heading:
        """The first line of the text."""
        return title_of(self.text)

    def sentence(self, number: int) -> str:
        """The text of a sentence on one line."""
        tokens = self.cut[number]
        return " ".join(self.text[tokens[0].start : tokens[-1].end].split()) if tokens else ""


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a sentence in its document.

    Attributes:
        outline: The document.
        number: The number of the sentence, counted from 0.
    """

    outline: Outline
    number: int

    def before(self, most: int) -> list[str]:
        """The texts of the sentences before it, at most so many of them."""
        return [self.outline.sentence(number) for number in range(max(0, self.number - most), self.number)]

    def after(self, most: int) -> list[str]:
        """The texts of the sentences after it, at most so many of them."""
        last = min(len(self.outline.cut), self.number + 1 + most)
        return [self.outline.sentence(number) for number in range(self.number + 1, last)]

    @property
    def heading(self) -> str:
        """The last heading before the sentence; empty if there is none, or the sentence itself begins with a heading."""
        last = next((one for one in reversed(self.outline.headings) if one.start <= self._start), None)
        return "" if last is None or last.end > self._start else last.text

    @property
    def title(self) -> str:
        """The title of the document; empty for a sentence that is part of it."""
        return self.outline.title.text if self.outline.title.end <= self._start else ""

    def parted(self, parts: Sequence[Sequence[Token]]) -> list[Position]:
        """The places of the parts that a sentence was cut into; each has the others as neighbours."""
        cut, here = self.outline.cut, self.number
        outline = Outline(self.outline.text, [*cut[:here], *parts, *cut[here + 1 :]], self.outline.headings)
        return [Position(outline, here + number) for number in range(len(parts))]

    @property
    def _start(self) -> int:
        tokens = self.outline.cut[self.number]
        return tokens[0].start if tokens else 0
