"""Data types of a corpus. All offsets are half-open character offsets into `Document.text`: `text[start:end]`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from clinspan.corpora.outline import Position

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `document.text[start:end] == text`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entity:
    """One annotated mention. `fragments` are its pieces in file order; a continuous mention has one.

    >>> Entity("Sign", ((18, 25), (0, 7))).start
    0
    """

    label: str
    fragments: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        return min(start for start, _ in self.fragments)

    @property
    def end(self) -> int:
        return max(end for _, end in self.fragments)

    @property
    def continuous(self) -> bool:
        return len(self.fragments) == 1


@dataclass(frozen=True, slots=True, order=True)
class FullMention:
    """A mention of a sentence with all its pieces: half-open ranges of tokens, in text order, with tokens between them.

    >>> FullMention("Sign", ((0, 1), (3, 4))).continuous
    False
    """

    label: str
    fragments: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        return self.fragments[0][0]

    @property
    def end(self) -> int:
        return self.fragments[-1][1]

    @property
    def continuous(self) -> bool:
        return len(self.fragments) == 1

    def record(self) -> dict[str, Any]:
        """The mention as predictions and demonstrations have it.

        >>> FullMention("Sign", ((0, 1), (3, 4))).record()
        {'label': 'Sign', 'fragments': [[0, 1], [3, 4]]}
        """
        return {"label": self.label, "fragments": [list(piece) for piece in self.fragments]}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> FullMention:
        """The inverse of `record`; further keys are ignored."""
        return cls(str(record["label"]), tuple(sorted((start, end) for start, end in record["fragments"])))


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens of one sentence and their gold tags (`O`, `B-label`, `I-label`), one tag per token.

    `mentions` are the annotations that begin in the sentence, as they were read; None if the corpus has tags alone. `spaced`
    says whether prompts show blanks between all tokens; False: only where the text has white space, for tokens within words.
    `position` is its place in the document; None: not known.
    `full` are its mentions with all their pieces, by their last and their first token, nested and overlapping ones too; None
    unless the corpus was read with `corpus.mentions=full`.
    """

    id: str
    document: str
    tokens: tuple[Token, ...]
    tags: tuple[str, ...]
    mentions: tuple[Entity, ...] | None = None
    spaced: bool = True
    position: Position | None = field(default=None, compare=False, repr=False)
    full: tuple[FullMention, ...] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(token.text for token in self.tokens)

    @property
    def joined(self) -> tuple[int, ...]:
        """The tokens, by number, that prompts show without a blank before them."""
        if self.spaced:
            return ()
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return tuple(number for number, (left, right) in enumerate(pairs, 1) if left.end == right.start)

    @property
    def text(self) -> str:
        """The sentence as prompts show it, on one line."""
        joined = set(self.joined)
        return "".join(word if n in joined or not n else f" {word}" for n, word in enumerate(self.words))


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its unchanged text, its annotations as they were read, and its sentences."""

    id: str
    text: str
    entities: tuple[Entity, ...]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """An entity type: its name in tags, its definition, and its name in plain words."""

    name: str
    definition: str = ""
    phrase: str = ""

    @property
    def spoken(self) -> str:
        """
        >>> Label("RareDisease").spoken
        'rare disease'
        """
        if self.phrase:
            return self.phrase
        words = "".join(
            f" {c.lower()}" if c.isupper() and not b.isupper() else c for b, c in zip(" " + self.name, self.name, strict=False)
        )
        return words.replace("_", " ").strip().lower()


@dataclass(frozen=True)
class Corpus:
    """Documents by split, the labels in a fixed order, and counts of the conversion.

    `conversion` counts every conversion that was not one to one, by split and name, for example
    `{"test": {"overlap_longest": 3}}`. `passed_over` counts files and folders beside the corpus that were not read, by suffix
    or folder name. `phi` says whether the texts hold protected health information. `cut` names the `tokenizer` and the rule of
    `sentences` that cut the texts; None if the files have tokens and sentences of their own. `divided` says whether the splits
    were made here, by `corpora.division`. `full` says whether sentences have their mentions with all pieces (`Sentence.full`).
    """

    name: str
    splits: Mapping[str, tuple[Document, ...]]
    labels: tuple[Label, ...]
    phi: bool = True
    conversion: Mapping[str, Counter[str]] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, Any] | None = None
    divided: bool = False
    full: bool = False

    def sentences(self, split: str) -> Iterator[Sentence]:
        """The sentences of a split in corpus order."""
        for document in self.splits.get(split, ()):
            yield from document.sentences

    @property
    def chosen_cut(self) -> Mapping[str, Any] | None:
        """The rules that cut the texts, unless they follow the protocol of the RareDis paper; None too if there are none."""
        return None if self.cut is None or {self.cut["tokenizer"], self.cut["sentences"]} == {"punctuation"} else self.cut

    @property
    def sha256(self) -> str:
        """A digest of texts, tokens, tags, labels and any full mentions; it does not depend on where the corpus was read."""
        digest = hashlib.sha256(json.dumps([label.name for label in self.labels]).encode())
        for split in SPLITS:
            for document in self.splits.get(split, ()):
                rows: list[list[Any]] = [[s.id, [[t.start, t.end] for t in s.tokens], s.tags] for s in document.sentences]
                if self.full:
                    rows = [[*row, [astuple(m) for m in s.full or ()]] for row, s in zip(rows, document.sentences, strict=True)]
                digest.update(json.dumps([split, document.id, document.text, rows]).encode())
        return digest.hexdigest()
