"""Reader of RareDis (Martínez-deMiguel et al. 2022) by the protocol of arXiv 2407.00731; it reproduces the paper's Table 1 exactly.

The texts belong to NORD. The authors of the corpus distribute them on request, and `path` is the user's own copy:

    T3	RAREDISEASE 0 15	ACTH deficiency

All six types are tagged first, and `ANAPHOR` becomes `O` afterwards. So an `ANAPHOR` can hide tags of other types.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora.build import assemble
from clinspan.corpora.errors import InputError
from clinspan.corpora.readers.brat import load_pair, text_files
from clinspan.corpora.readers.splitwise import Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.tokens import ascii_punctuation_tokens, ends_sentence, punctuation_sentences
from clinspan.corpora.types import Corpus, Document, Entity, Label, Token

TYPES = {
    "DISEASE": "Disease",
    "RAREDISEASE": "RareDisease",
    "SKINRAREDISEASE": "SkinRareDisease",
    "SIGN": "Sign",
    "SYMPTOM": "Symptom",
    "ANAPHOR": None,
}


def protocol_tags(tokens: Sequence[Token], entities: Sequence[Entity]) -> tuple[list[str], Counter[str]]:
    """Tag tokens by the rules of the paper.

    A token that starts where an annotation starts gets `B-`. A token that starts later and ends inside the annotation or at
    its end gets `I-`. Types are applied in the order of their first annotations, and later types overwrite earlier ones.
    Within one type the first annotation that fits a token wins. Only the first fragment of a discontinuous annotation is used.

    Args:
        tokens: All tokens of a document.
        entities: Its annotations in file order, with the corpus' own type names.

    Returns:
        One tag per token, `O` where a type is `ANAPHOR`, and counts of what the rules did.
    """
    raw = ["O"] * len(tokens)
    acts: Counter[str] = Counter(discontinuous_first=sum(not e.continuous for e in entities))
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    for label in dict.fromkeys(entity.label for entity in entities):
        for i, prefix in _fitting(starts, ends, [e.fragments[0] for e in entities if e.label == label]):
            acts["overwritten_tokens"] += raw[i] != "O"
            raw[i] = f"{prefix}-{label}"
    marked = {tag[2:] for tag in raw if tag != "O"}
    acts["labels_hidden"] = len({e.label for e in entities} - marked)
    acts["anaphor_tokens"] = sum(tag.endswith("-ANAPHOR") for tag in raw)
    known = set(starts)
    acts["starts_inside_token"] = sum(e.fragments[0][0] not in known for e in entities)
    tags = []
    for tag in raw:
        name = TYPES[tag[2:]] if tag != "O" else None
        tags.append("O" if name is None else tag[:2] + name)
    return tags, +acts


def _fitting(starts: Sequence[int], ends: Sequence[int], spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Yield `(token index, prefix)` of the tokens that the spans fit: `B` where both start, `I` inside.

    Each token goes to the first span that fits it. Union-find skips tokens that have a span, so repeated spans cost little time.
    """
    free = list(range(len(starts) + 1))

    def next_free(i: int) -> int:
        while free[i] != i:
            free[i] = free[free[i]]
            i = free[i]
        return i

    for start, end in spans:
        i = next_free(bisect_left(starts, start))
        while i < len(starts) and (starts[i] == start or ends[i] <= end):
            yield i, "B" if starts[i] == start else "I"
            free[i] = i + 1
            i = next_free(i)


def load_raredis(path: Path, *, labels: tuple[Label, ...], phi: bool) -> Corpus:
    """Read `train/`, `dev/` and `test/` (any may be missing) of RareDis."""
    folders = find_splits(path)

    def read(_: str, place: Place) -> Iterator[Part]:
        pieces: list[_Piece] = []
        pairs, passed_over = text_files(place.root)
        folders.passed_over.update(passed_over)
        for pair in pairs:
            text, annotations, acts = load_pair(pair.text, pair.annotations)
            for annotation in annotations:
                if annotation.entity.label not in TYPES:
                    remedy = f"RareDis has {', '.join(TYPES)}; read other brat folders with corpus=brat."
                    problem = f"{annotation.entity.label} is not a type of RareDis"
                    raise InputError(problem, path=pair.text.with_suffix(".ann"), line=annotation.line, remedy=remedy)
            piece, tagging_acts = _piece(pair.id, text, [annotation.entity for annotation in annotations])
            pieces.append(piece)
            yield None, acts + tagging_acts
        joining: Counter[str] = Counter()
        yield from ((piece.document, Counter()) for piece in _joined(pieces, joining))
        yield None, joining

    return read_splits(folders, read, name="raredis", labels=labels, definitions={}, phi=phi)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A document under construction: its text, its annotations, and its tokens and tags by sentence."""

    name: str
    text: str
    entities: tuple[Entity, ...]
    cut: tuple[tuple[Token, ...], ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def document(self) -> Document:
        """The document, whose annotations have the names of the labels, without those of no label."""
        named = [(TYPES[entity.label], entity.fragments) for entity in self.entities]
        entities = [Entity(name, fragments) for name, fragments in named if name is not None]
        return assemble(self.name, self.text, entities, self.cut, self.rows)

    @property
    def open(self) -> bool:
        """Whether the last sentence has no end mark."""
        return bool(self.cut) and not ends_sentence(self.text, self.cut[-1][-1])


def _piece(name: str, text: str, entities: Sequence[Entity]) -> tuple[_Piece, Counter[str]]:
    tokens = ascii_punctuation_tokens(text)
    tags, acts = protocol_tags(tokens, entities)
    cut = punctuation_sentences(text, tokens)
    rows, at = [], 0
    for sentence in cut:
        rows.append(tuple(tags[at : at + len(sentence)]))
        at += len(sentence)
    return _Piece(name, text, tuple(entities), tuple(cut), tuple(rows)), acts


def _joined(pieces: Sequence[_Piece], acts: Counter[str]) -> list[_Piece]:
    """Move a last sentence without an end mark to the front of the next document.

    In the paper a sentence ends only after a full stop, a question mark or an exclamation mark. So a sentence may continue in
    the next document, by file name. The paper's Table 1 counts it as one sentence, and recorded outputs have one answer for it.
    Text, tokens, tags and annotations move together, so every offset still points into its document's text.
    """
    result: list[_Piece] = []
    carried: _Piece | None = None
    for number, piece in enumerate(pieces):
        whole = piece if carried is None else _prefixed(carried, piece)
        carried = None
        if whole.open and number + 1 < len(pieces):
            whole, carried = _divided(whole, acts)
            acts["sentences_joined_across_documents"] += 1
        result.append(whole)
    return result


def _divided(piece: _Piece, acts: Counter[str]) -> tuple[_Piece, _Piece]:
    """Split a piece into the part before its last sentence and that sentence; an annotation goes with its first fragment."""
    at = piece.cut[-1][0].start
    head_entities: list[Entity] = []
    tail_entities: list[Entity] = []
    for entity in piece.entities:
        in_head = entity.fragments[0][0] < at
        fragments = [(start, min(end, at) if in_head else end) for start, end in entity.fragments if (start < at) == in_head]
        acts["fragments_cut_at_join"] += sum(start < at < end or (start < at) != in_head for start, end in entity.fragments)
        if in_head:
            head_entities.append(Entity(entity.label, tuple(fragments)))
        else:
            tail_entities.append(_shifted(Entity(entity.label, tuple(fragments)), -at))
    tail = tuple(Token(t.text, t.start - at, t.end - at) for t in piece.cut[-1])
    head = _Piece(piece.name, piece.text[:at], tuple(head_entities), piece.cut[:-1], piece.rows[:-1])
    return head, _Piece(piece.name, piece.text[at:], tuple(tail_entities), (tail,), piece.rows[-1:])


def _prefixed(tail: _Piece, piece: _Piece) -> _Piece:
    """Put the tail of the previous document before the first sentence of a piece."""
    text = tail.text if tail.text[-1].isspace() else tail.text + "\n"
    shift = len(text)
    cut = [tuple(Token(t.text, t.start + shift, t.end + shift) for t in sentence) for sentence in piece.cut]
    first = tail.cut[0] + (cut[0] if cut else ())
    row = tail.rows[0] + (piece.rows[0] if piece.rows else ())
    entities = (*tail.entities, *(_shifted(entity, shift) for entity in piece.entities))
    return _Piece(piece.name, text + piece.text, entities, (first, *cut[1:]), (row, *piece.rows[1:]))


def _shifted(entity: Entity, shift: int) -> Entity:
    return Entity(entity.label, tuple((start + shift, end + shift) for start, end in entity.fragments))
