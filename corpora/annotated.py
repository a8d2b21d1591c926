"""An annotated note, and its output formats with one file per note; BioC is in `corpora.writers.bioc`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.corpora.bio import span_tags
from clinspan.corpora.types import Sentence, Token
from clinspan.corpora.writers.brat import annotation_lines, brat_type
from clinspan.corpora.writers.conll import document_rows


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity that was found.

    Attributes:
        start: Its first character in the note's text.
        end: The character behind its last one.
        label: Its type.
        text: `note.text[start:end]`.
        confidence: Probability that it is right as the model has it, 0 to 1; None if the model gives none.
    """

    start: int
    end: int
    label: str
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Annotated:
    """A note with what was found in it.

    Attributes:
        id: The note's.
        text: The note's, untouched.
        cut: Its sentences and tokens.
        mentions: In the order of the text; none share a character.
        model: Id of the model that found them.
        program: Id of the program that found them.
    """

    id: str
    text: str
    cut: tuple[tuple[Token, ...], ...]
    mentions: tuple[Mention, ...]
    model: str
    program: str

    def record(self) -> dict[str, Any]:
        """Its line of a JSON lines file, which `corpus=jsonl` reads."""
        entities = [{"start": m.start, "end": m.end, "type": m.label, "text": m.text} for m in self.mentions]
        sure = [{**entity, "confidence": m.confidence} for entity, m in zip(entities, self.mentions, strict=True)]
        return {"id": self.id, "text": self.text, "entities": sure, "model": self.model, "program": self.program}


def brat_files(note: Annotated) -> dict[str, bytes]:
    """The text as it is, in UTF-8, and the mentions beside it."""
    spans = [(mention.start, mention.end, mention.label) for mention in note.mentions]
    return {".txt": note.text.encode(), ".ann": annotation_lines(note.text, spans).encode()}


def brat_configuration(labels: Sequence[str]) -> str:
    """The content of brat's `annotation.conf`: the types, and the sections that have to be there."""
    return "\n".join(["[entities]", *map(brat_type, labels), "", "[relations]", "", "[events]", "", "[attributes]", ""])


def conll_rows(note: Annotated) -> str:
    """The note's tokens and tags as CoNLL has them."""
    rows = zip(note.cut, note_tags(note), strict=True)
    return document_rows([Sentence("", note.id, tokens, tuple(tags)) for tokens, tags in rows])


def note_tags(note: Annotated) -> list[list[str]]:
    """One tag a token, sentence by sentence. A mention begins and ends with tokens, and so it is what its tags say."""
    tokens = [token for sentence in note.cut for token in sentence]
    first = {token.start: n for n, token in enumerate(tokens)}
    last = {token.end: n for n, token in enumerate(tokens)}
    tags = iter(span_tags(len(tokens), [(first[m.start], last[m.end] + 1, m.label) for m in note.mentions]))
    return [[next(tags) for _ in sentence] for sentence in note.cut]
