"""The segmenter: splits notes into sentences that fit the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinspan.corpora.build import Cutting
from clinspan.corpora.clinical import cut_long, cut_words
from clinspan.corpora.errors import InputError
from clinspan.corpora.fitted_tokens import Rules
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.types import Token

MOST_CHARACTERS = 200
_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Segmenter:
    """Splits notes into sentences of limited length.

    Attributes:
        tokenizer: `clinical`, `punctuation` or `whitespace`; see `corpora.tokens`.
        sentences: `clinical`, `punctuation` (the protocol of the RareDis paper) or `lines`.
        rules: The rules of the tokenizer `fit`; None for the others.
        longest: Maximum number of tokens in a sentence; longer ones are cut at the best place, see `cut_long`.
    """

    tokenizer: str = "clinical"
    sentences: str = "clinical"
    longest: int = 128
    rules: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.cutting()
        if self.longest < 1:
            raise InputError(f"longest={self.longest} leaves no token", remedy="Use a positive number.")

    def cutting(self) -> Cutting:
        """The rules that cut texts.

        Raises:
            InputError: They are not known.
        """
        return Cutting(self.tokenizer, self.sentences, None if self.rules is None else Rules.of(self.rules))

    def __call__(self, note: Note) -> tuple[list[tuple[Token, ...]], int, set[int]]:
        """Split a note into sentences.

        Tokens and sentences that come with the note are kept, except those that are too long. A byte order mark is in no token.

        Returns:
            The sentences, the number of cuts inside tokens and sentences, and the start offsets of the parts of cut sentences
            that follow a cut.
        """
        sentences = note.cut if note.cut is not None else self._sentences(note.text)
        cut: list[tuple[Token, ...]] = []
        cut_count, boundaries = 0, set[int]()
        for tokens in sentences:
            pieces = cut_words(tokens, MOST_CHARACTERS)
            parts = cut_long(note.text, pieces, self.longest) if pieces else []
            cut_count += len(pieces) - len(tokens) + max(0, len(parts) - 1)
            boundaries.update(part[0].start for part in parts[1:])
            cut += parts
        return cut, cut_count, boundaries

    def _sentences(self, text: str) -> list[tuple[Token, ...]]:
        cutting = self.cutting()
        if not text.startswith(_MARK):
            return cutting(text)
        return [tuple(Token(t.text, t.start + 1, t.end + 1) for t in tokens) for tokens in cutting(text[1:])]
