"""The tokens of a sentence with the spacing that prompts and answers show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clinspan.corpora.types import Sentence


class Words(list[str]):
    """The tokens of a sentence, and which of them follow the one before without a blank.

    Args:
        tokens: The tokens.
        joined: Numbers of the tokens that prompts and answers show without a blank before them.

    >>> words = Words(["HTN", "/", "HLD", "today"], joined=[1, 2])
    >>> words.text(), words.text(1, 3)
    ('HTN/HLD today', '/HLD')
    """

    def __init__(self, tokens: Iterable[str] = (), joined: Iterable[int] = ()) -> None:
        super().__init__(tokens)
        self.joined = frozenset(joined)

    def gap(self, number: int) -> str:
        """What stands before a token: a blank, or nothing."""
        return "" if number in self.joined else " "

    def text(self, start: int = 0, end: int | None = None) -> str:
        """The text of the tokens from `start` to `end`, half-open."""
        return "".join(word if n == start else self.gap(n) + word for n, word in enumerate(self[start:end], start))

    def number(self, start: int, end: int) -> int:
        """Number of words among the tokens from `start` to `end`, half-open; tokens without a blank between them are one.

        >>> Words(["HTN", "/", "HLD", "today"], joined=[1, 2]).number(0, 4)
        2
        """
        return sum(place == start or place not in self.joined for place in range(start, end))

    @classmethod
    def of(cls, sentence: Sentence) -> Words:
        """The tokens of a sentence of a corpus or a note."""
        return cls(sentence.words, sentence.joined)

    @classmethod
    def as_given(cls, tokens: Sequence[str], joined: Iterable[int] = ()) -> Words:
        """The tokens as `Words`, unless they are already."""
        return tokens if isinstance(tokens, cls) else cls(tokens, joined)
