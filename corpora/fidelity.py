"""How well tags express the annotations of a document: which annotations tags give other ends, cut or drop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from clinspan.corpora.bio import tag_spans
from clinspan.corpora.types import Corpus, Document, Entity

_SHOWN = 40  # characters of each text of an example

Change = Literal["discontinuous", "other_ends", "dropped"]


@dataclass(frozen=True, slots=True)
class ChangedMention:
    """An annotation that the tags of its document do not have at its own character offsets.

    Attributes:
        document: The document's id.
        entity: The annotation.
        change: `discontinuous`: it is in pieces, which flat tags cannot express; `other_ends`: its tags begin or end at other
            characters; `dropped`: no tag of its label covers it, as another annotation has its tokens.
    """

    document: str
    entity: Entity
    change: Change


def has_offsets(document: Document) -> bool:
    """Whether the annotations of a document have character offsets of their own; those of column files are made from tags."""
    return any(sentence.mentions is not None for sentence in document.sentences)


def tagged_entities(document: Document) -> list[Entity]:
    """The entities of the tags, with the characters of their tokens."""
    return [
        Entity(label, ((sentence.tokens[first].start, sentence.tokens[last - 1].end),))
        for sentence in document.sentences
        for first, last, label in tag_spans(sentence.tags)
    ]


def changed_mentions(documents: Iterable[Document]) -> list[ChangedMention]:
    """The annotations that tags do not express, in document order; documents without own offsets have none."""
    changed: list[ChangedMention] = []
    for document in documents:
        if not has_offsets(document):
            continue
        tagged = tagged_entities(document)
        known = set(tagged)
        for entity in dict.fromkeys(document.entities):
            if entity not in known:
                spans = [(tag.start, tag.end) for tag in tagged if tag.label == entity.label]
                changed.append(ChangedMention(document.id, entity, change_of(entity.fragments, spans)))
    return changed


def widened_example(corpus: Corpus) -> str:
    """A mention that its tokens widen, and their text, such as `HTN -> HTN/HLD`.

    It is empty if there is none, or if the corpus may hold protected health information.
    """
    for documents in () if corpus.phi else corpus.splits.values():
        for document in documents:
            for one in changed_mentions([document]):
                if one.change != "other_ends":
                    continue
                tagged = [tag for tag in tagged_entities(document) if tag.start <= one.entity.start and one.entity.end <= tag.end]
                if tagged:
                    texts = (document.text[entity.start : entity.end] for entity in (one.entity, tagged[0]))
                    return " -> ".join(" ".join(text.split())[:_SHOWN] for text in texts)
    return ""


def change_of(fragments: Sequence[tuple[int, int]], tagged: Iterable[tuple[int, int]]) -> Change:
    """Why tags do not have an annotation at its own characters.

    Args:
        fragments: The pieces of the annotation, as half-open characters.
        tagged: The spans of the tags of its document and label.
    """
    if len(fragments) > 1:
        return "discontinuous"
    ((start, end),) = fragments
    return "other_ends" if any(first < end and start < last for first, last in tagged) else "dropped"
