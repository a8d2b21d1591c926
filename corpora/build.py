"""Builds a `Corpus` from texts and annotations: tokenization, sentence splitting, tagging, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clinspan.corpora.bio import Policies, tag_sentences, tag_spans
from clinspan.corpora.errors import InputError
from clinspan.corpora.labels import check_labels, flat_definitions
from clinspan.corpora.tokens import SPLITTERS, TOKENIZERS
from clinspan.corpora.types import Corpus, Document, Entity, Label, Sentence, Token


@dataclass(frozen=True, slots=True)
class Cutting:
    """Rules to split a text: `tokenizer` is `punctuation` or `whitespace`; `sentences` is `punctuation`, `lines` or `clinical`."""

    tokenizer: str = "punctuation"
    sentences: str = "punctuation"

    def __post_init__(self) -> None:
        for name, value, known in (("tokenizer", self.tokenizer, TOKENIZERS), ("sentences", self.sentences, SPLITTERS)):
            if value not in known:
                raise InputError(f"{name}={value} is not known", remedy=f"Use one of {', '.join(known)}.")

    def __call__(self, text: str) -> list[tuple[Token, ...]]:
        return SPLITTERS[self.sentences](text, TOKENIZERS[self.tokenizer](text))


def build_document(
    name: str, text: str, entities: Sequence[Entity], *, cutting: Cutting, policies: Policies
) -> tuple[Document, Counter[str]]:
    """Tokenize, split and tag one text; also return how often each policy was applied."""
    cut = cutting(text)
    tags, acts = tag_sentences(cut, entities, policies)
    return assemble(name, text, entities, cut, tags), acts


def assemble(
    name: str,
    text: str,
    entities: Sequence[Entity],
    cut: Sequence[Sequence[Token]],
    tags: Sequence[Sequence[str]],
) -> Document:
    """Build a document. The id of a sentence is the document's id, a colon and the sentence's number, counted from 0."""
    sentences = tuple(
        Sentence(f"{name}:{n}", name, tuple(tokens), tuple(row)) for n, (tokens, row) in enumerate(zip(cut, tags, strict=True))
    )
    return Document(name, text, tuple(entities), sentences)


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
            row.append(Token(word, at, at + len(word)))
            at += len(word) + 1
        cut.append(tuple(row))
        lines.append(" ".join(words))
    return "\n".join(lines), tuple(cut)


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
            two labels differ only in case or separators, or a document id occurs twice in a split.
    """
    tag_labels = sorted({label for documents in splits.values() for label in _labels(documents)})
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
    check_labels([label.name for label in chosen], name)
    for split, documents in splits.items():
        twice = [key for key, n in Counter(document.id for document in documents).items() if n > 1]
        if twice:
            raise InputError(f"document {twice[0]} occurs twice in {split} of {name}", remedy="Give each its own id.")
    return Corpus(name, {s: tuple(d) for s, d in splits.items()}, chosen, phi, dict(conversion or {}), dict(passed_over or {}))


def _labels(documents: Iterable[Document]) -> Iterable[str]:
    for document in documents:
        for sentence in document.sentences:
            yield from (label for _, _, label in tag_spans(sentence.tags))
