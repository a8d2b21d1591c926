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
class FullAnnotation:
    """A mention that a model listed in full.

    Attributes:
        entity: Its label and its pieces, as characters of the note's text.
        confidence: As of a `Mention`.
    """

    entity: Entity
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
        full: All mentions that the model listed, nested and overlapping ones and those in pieces too; None: it gave tags alone.
    """

    id: str
    text: str
    cut: tuple[tuple[Token, ...], ...]
    mentions: tuple[Mention, ...]
    model: str
    program: str
    full: tuple[FullAnnotation, ...] | None = None

    def record(self) -> dict[str, Any]:
        """The note as an object for one line of a JSON lines file that `corpus=jsonl` reads, with any full mentions."""
        flat = [
            {"start": m.start, "end": m.end, "type": m.label, "text": m.text, "confidence": m.confidence} for m in self.mentions
        ]
        entities = flat if self.full is None else [self._full_record(one) for one in self.full]
        return {"id": self.id, "text": self.text, "entities": entities, "model": self.model, "program": self.program}

    def _full_record(self, one: FullAnnotation) -> dict[str, Any]:
        entity = one.entity
        pieces = {} if entity.continuous else {"fragments": [list(piece) for piece in entity.fragments]}
        text = " ".join(self.text[start:end] for start, end in entity.fragments)
        about = {"start": entity.start, "end": entity.end, "type": entity.label, "text": text, "confidence": one.confidence}
        return {**about, **pieces}

    @property
    def annotations(self) -> tuple[FullAnnotation, ...]:
        """The full mentions, or those of the tags where there are no others."""
        flat = (FullAnnotation(Entity(m.label, ((m.start, m.end),)), m.confidence) for m in self.mentions)
        return tuple(flat) if self.full is None else self.full


def brat_files(note: Annotated) -> dict[str, bytes]:
    """The unchanged text in UTF-8 and its annotations, by file suffix; confidences are notes of the annotations."""
    entities = [one.entity for one in note.annotations]
    notes = ["" if one.confidence is None else f"confidence {one.confidence}" for one in note.annotations]
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
