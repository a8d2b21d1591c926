"""An annotated note, and its output formats with one file per note; BioC is in `corpora.writers.bioc`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.corpora.bio import span_tags
from clinspan.corpora.types import Entity, Sentence, Token
from clinspan.corpora.writers.brat import annotation_lines, brat_type
from clinspan.corpora.writers.conll import document_rows


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity that a model tagged in a note.

    Attributes:
        start: Its first character in the note's text.
        end: The character after its last one.
        label: Its type.
        text: `note.text[start:end]`.
        confidence: The model's probability that it is right, 0 to 1; None if the model gives none.
    """

    start: int
    end: int
    label: str
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Annotated:
    """A note with its tagged mentions.

    Attributes:
        id: Id of the note.
        text: The unchanged text of the note.
        cut: Its sentences and tokens.
        mentions: In text order, without overlaps.
        model: Id of the model that tagged the note.
        program: Id of the program that tagged the note.
    """

    id: str
    text: str
    cut: tuple[tuple[Token, ...], ...]
    mentions: tuple[Mention, ...]
    model: str
    program: str

    def record(self) -> dict[str, Any]:
        """The note as an object for one line of a JSON lines file that `corpus=jsonl` reads."""
        entities = [{"start": m.start, "end": m.end, "type": m.label, "text": m.text} for m in self.mentions]
        with_confidence = [{**entity, "confidence": m.confidence} for entity, m in zip(entities, self.mentions, strict=True)]
        return {"id": self.id, "text": self.text, "entities": with_confidence, "model": self.model, "program": self.program}


def brat_files(note: Annotated) -> dict[str, bytes]:
    """The unchanged text in UTF-8 and its annotations, by file suffix; confidences are notes of the annotations."""
    entities = [Entity(mention.label, ((mention.start, mention.end),)) for mention in note.mentions]
    notes = ["" if mention.confidence is None else f"confidence {mention.confidence}" for mention in note.mentions]
    return {".txt": note.text.encode(), ".ann": annotation_lines(note.text, entities, notes).encode()}


def brat_configuration(labels: Sequence[str]) -> str:
    """The content of brat's `annotation.conf`: the types and the required sections."""
    return "\n".join(["[entities]", *map(brat_type, labels), "", "[relations]", "", "[events]", "", "[attributes]", ""])


def conll_rows(note: Annotated) -> str:
    """The tokens and tags of a note as CoNLL columns."""
    rows = zip(note.cut, note_tags(note), strict=True)
    return document_rows([Sentence("", note.id, tokens, tuple(tags)) for tokens, tags in rows])


def note_tags(note: Annotated) -> list[list[str]]:
    """One tag per token, by sentence. Mentions start and end at token boundaries, so the tags represent them exactly."""
    tokens = [token for sentence in note.cut for token in sentence]
    first = {token.start: n for n, token in enumerate(tokens)}
    last = {token.end: n for n, token in enumerate(tokens)}
    tags = iter(span_tags(len(tokens), [(first[m.start], last[m.end] + 1, m.label) for m in note.mentions]))
    return [[next(tags) for _ in sentence] for sentence in note.cut]
