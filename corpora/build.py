"""Builds a `Corpus` from texts and annotations: tokenization, sentence splitting, tagging, labels."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clinspan.corpora.bio import Policies, split_tag, tag_sentences, tag_spans
from clinspan.corpora.clinical import parted_at_stops
from clinspan.corpora.errors import InputError
from clinspan.corpora.fitted_tokens import Rules
from clinspan.corpora.headings import Heading
from clinspan.corpora.labels import flat_definitions
from clinspan.corpora.outline import Outline, Position
from clinspan.corpora.tokens import clinical_pieces, punctuation_tokens, SPLITTERS, TOKENIZERS
from clinspan.corpora.types import Corpus, Document, Entity, Label, Sentence, Token

_PROBED = 3
FIT = "fit"
"""The tokenizer that learns from the train split."""
PROTOCOL = {"tokenizer": "punctuation", "sentences": "punctuation"}
"""How the RareDis paper cuts texts, and how the bundled corpus is cut."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """Rules to split a text: `tokenizer` is one of `TOKENIZERS`, `sentences` one of `SPLITTERS`.

    With the tokenizers `clinical` and `fit`, sentences are found on the tokens of `punctuation`, which have whole abbreviations and
    numbers. `fit` cuts the tokens of `clinical` further by `rules`, see `corpora.fitted_tokens`.
    """

    tokenizer: str = "punctuation"
    sentences: str = "punctuation"
    rules: Rules | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("tokenizer", self.tokenizer, (*TOKENIZERS, FIT)), ("sentences", self.sentences, SPLITTERS)):
            if value not in known:
                raise InputError(f"{name}={value} is not known", remedy=f"Use one of {', '.join(known)}.")
        if self.tokenizer == FIT and self.rules is None:
            remedy = "Set rules= to what a program has in its cut, or use tokenizer=clinical."
            raise InputError("tokenizer=fit has no rules here: it learns them from the train split of a corpus", remedy=remedy)

    def __call__(self, text: str) -> list[tuple[Token, ...]]:
        if not self.within_words:
            return self.split(text, TOKENIZERS[self.tokenizer](text))
        words = punctuation_tokens(text)
        if self.sentences == "clinical":
            words = parted_at_stops(words)
        return [tuple(piece for word in words for piece in self._pieces(word)) for words in self.split(text, words)]

    def _pieces(self, word: Token) -> list[Token]:
        pieces = clinical_pieces(word)
        if self.tokenizer != FIT or self.rules is None:
            return pieces
        return [part for piece in pieces for part in self.rules.pieces(piece)]

    @property
    def within_words(self) -> bool:
        """Whether tokens may be parts of words, which prompts then show without blanks between them."""
        return self.tokenizer in ("clinical", FIT)

    @property
    def names(self) -> dict[str, Any]:
        """The names of the two rules, for the record, and the `rules` of a fitted tokenizer."""
        rules = {"rules": self.rules.as_dict()} if self.tokenizer == FIT and self.rules is not None else {}
        return {"tokenizer": self.tokenizer, "sentences": self.sentences, **rules}

    def of(self, corpus: Corpus) -> Corpus:
        """The corpus with a note that these rules cut it, unless its files have tokens or sentences of their own."""
        first = [document for documents in corpus.splits.values() for document in documents[:_PROBED]]
        tags_alone = any(sentence.mentions is None for document in first for sentence in document.sentences)
        own = tags_alone or any([s.tokens for s in document.sentences] != self(document.text) for document in first)
        return replace(corpus, cut=None if own else self.names)

    def split(self, text: str, tokens: Iterable[Token]) -> list[tuple[Token, ...]]:
        """Split the given tokens of a text into sentences."""
        return SPLITTERS[self.sentences](text, tokens)


def build_document(
    name: str,
    text: str,
    entities: Sequence[Entity],
    *,
    cutting: Cutting,
    policies: Policies,
    headings: Sequence[Heading] = (),
) -> tuple[Document, Counter[str]]:
    """Tokenize, split and tag one text; also return how often each policy was applied."""
    cut = cutting(text)
    tags, acts = tag_sentences(cut, entities, policies)
    return assemble(name, text, entities, cut, tags, spaced=not cutting.within_words, headings=headings), acts


def assemble(
    name: str,
    text: str,
    entities: Sequence[Entity],
    cut: Sequence[Sequence[Token]],
    tags: Sequence[Sequence[str]],
    *,
    annotated: bool = True,
    spaced: bool = True,
    headings: Sequence[Heading] = (),
) -> Document:
    """Build a document. The id of a sentence is the document's id, a colon and the sentence's number, counted from 0.

    Args:
        name: The id of the document.
        text: Its text.
        entities: Its annotations.
        cut: Its tokens by sentence.
        tags: The tags of these tokens.
        annotated: Whether the annotations have character offsets of their own; False: they are those of the tags.
        spaced: Whether prompts show blanks between all tokens; False: only where the text has white space.
        headings: Its headings, if the file gives them; empty: they are found in the text.
    """
    outline = Outline(text, cut, headings)
    mentions = _by_sentence(entities, cut) if annotated else [None] * len(cut)
    sentences = tuple(
        Sentence(f"{name}:{n}", name, tuple(tokens), tuple(row), begun, spaced, position=Position(outline, n))
        for n, (tokens, row, begun) in enumerate(zip(cut, tags, mentions, strict=True))
    )
    return Document(name, text, tuple(entities), sentences)


def _by_sentence(entities: Sequence[Entity], cut: Sequence[Sequence[Token]]) -> list[tuple[Entity, ...]]:
    """The annotations that begin in each sentence; one between two sentences belongs to the second, as it covers its tokens."""
    rows: list[list[Entity]] = [[] for _ in cut]
    ends = [tokens[-1].end for tokens in cut]
    for entity in entities if cut else ():
        rows[min(bisect_right(ends, entity.start), len(cut) - 1)].append(entity)
    return [tuple(row) for row in rows]


def lay_out(sentences: Iterable[Sequence[str]]) -> tuple[str, tuple[tuple[Token, ...], ...]]:
    """Build a text from words, with one blank between words and one line per sentence; also return its tokens.

    >>> text, cut = lay_out([["No", "fever"], ["Rash"]])
    >>> text, [token.start for tokens in cut for token in tokens]
    ('No fever\\nRash', [0, 3, 9])
    """
    cut: list[tuple[Token, ...]] = []
    lines: list[str] = []
    at = 0
    for words in sentences:
        row = []
        for word in words:
            end = at + len(word)
            row.append(Token(word, at, end))
            at = end + 1
        cut.append(tuple(row))
        lines.append(" ".join(words))
    return "\n".join(lines), tuple(cut)


def document_of_words(name: str, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Document:
    """Build a document from tokens and IOB2 tags by sentence; its text is that of `lay_out`."""
    text, cut = lay_out(sentences)
    entities = [
        Entity(label, ((tokens[first].start, tokens[last - 1].end),))
        for row, tokens in zip(tags, cut, strict=True)
        for first, last, label in tag_spans(row)
    ]
    return assemble(name, text, entities, cut, tags, annotated=False)


def build_corpus(
    name: str,
    splits: Mapping[str, Sequence[Document]],
    *,
    labels: Sequence[Label] = (),
    definitions: Mapping[str, str] | None = None,
    phi: bool = True,
    conversion: Mapping[str, Counter[str]] | None = None,
    passed_over: Mapping[str, int] | None = None,
) -> Corpus:
    """Build a corpus. Its labels are `labels` or, if that is empty, those of its tags in alphabetical order.

    Raises:
        InputError: A tag has a label that is not in `labels`, a definition names a label that the corpus lacks,
            or a document id occurs twice in a split.
    """
    tag_labels = sorted(set().union(*map(_labels, splits.values())))
    if labels:
        known = [label.name for label in labels]
        if extra := [label for label in tag_labels if label not in known]:
            remedy = f"Add it to corpus.labels (now: {', '.join(known)}) or fix the data."
            raise InputError(f"corpus {name} has tags of the label {extra[0]}, which corpus.labels lacks", remedy=remedy)
    texts = flat_definitions(definitions)
    chosen = tuple(labels) or tuple(Label(label, texts.get(label, "")) for label in tag_labels)
    if strange := [key for key in texts if key not in [label.name for label in chosen]]:
        remedy = f"The labels are {', '.join(label.name for label in chosen)}."
        raise InputError(f"corpus.definitions defines {strange[0]}, which is not a label of {name}", remedy=remedy)
    for split, documents in splits.items():
        twice = [key for key, n in Counter(document.id for document in documents).items() if n > 1]
        if twice:
            raise InputError(f"document {twice[0]} occurs twice in {split} of {name}", remedy="Give each its own id.")
    return Corpus(name, {s: tuple(d) for s, d in splits.items()}, chosen, phi, dict(conversion or {}), dict(passed_over or {}))


def _labels(documents: Iterable[Document]) -> set[str]:
    tags = {tag for document in documents for sentence in document.sentences for tag in sentence.tags}
    return {parts[1] for tag in tags if (parts := split_tag(tag)) is not None and parts[0] != "O"}
