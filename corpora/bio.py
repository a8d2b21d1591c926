"""Conversion of character spans to BIO tags and back, by named policies; every use of a policy is counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, Literal

from clinspan.corpora.errors import InputError
from clinspan.corpora.types import Entity, Token

Overlap = Literal["longest", "first", "last"]
Discontinuous = Literal["first", "envelope", "drop"]
Crossing = Literal["split", "first", "drop"]
Partial = Literal["expand", "drop"]


@dataclass(frozen=True, slots=True)
class Policies:
    """How to convert annotations that flat BIO tags cannot represent.

    Attributes:
        overlap: Of two mentions that share a token, the `longest`, or the `first` or `last` in the file, is kept.
        discontinuous: A mention in fragments becomes its `first` fragment, the `envelope` of all, or is dropped (`drop`).
        crossing: A mention across a sentence boundary is `split` by sentence, cut to its `first` part, or dropped (`drop`).
        partial: A mention that covers only part of a token is extended to whole tokens (`expand`) or dropped (`drop`).
    """

    overlap: Overlap = "longest"
    discontinuous: Discontinuous = "first"
    crossing: Crossing = "split"
    partial: Partial = "expand"

    def __post_init__(self) -> None:
        for name, kinds in (("overlap", Overlap), ("discontinuous", Discontinuous), ("crossing", Crossing), ("partial", Partial)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(
                    f"{name}={getattr(self, name)} is not a policy", remedy=f"Use one of {', '.join(get_args(kinds))}."
                )


def tag_sentences(
    sentences: Sequence[Sequence[Token]],
    entities: Sequence[Entity],
    policies: Policies,
) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """Tag the sentences of one document.

    Args:
        sentences: Tokens by sentence, in text order.
        entities: Annotations in the order of their file, of any shape.
        policies: How to convert annotations that tags cannot represent.

    Returns:
        One tuple of tags per sentence, and how often each policy was applied.
    """
    acts: Counter[str] = Counter()
    places = Places.of(sentences)
    spans: list[tuple[int, int, str]] = []
    for entity in entities:
        spans += [(a, b, entity.label) for a, b in _token_spans(entity, places, policies, acts)]
    tags = span_tags(len(places.starts), without_overlaps(spans, policies.overlap, acts))
    result, at = [], 0
    for sentence in sentences:
        result.append(tuple(tags[at : at + len(sentence)]))
        at += len(sentence)
    return result, acts


@dataclass(frozen=True, slots=True)
class Places:
    """Start and end of each token of a document, and the number of its sentence."""

    starts: list[int]
    ends: list[int]
    sentence: list[int]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[Token]]) -> Places:
        tokens = [token for sentence in sentences for token in sentence]
        numbers = [n for n, sentence in enumerate(sentences) for _ in sentence]
        return cls([token.start for token in tokens], [token.end for token in tokens], numbers)

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """The tokens that share a character with a span, half-open; an empty range if there is none."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)

    def cut(self, start: int, end: int) -> bool:
        """Whether a span covers only a part of its first or last token."""
        first, last = self.covering(start, end)
        return self.starts[first] < start or self.ends[last - 1] > end


def _token_spans(entity: Entity, places: Places, policies: Policies, acts: Counter[str]) -> list[tuple[int, int]]:
    start, end = entity.start, entity.end
    if not entity.continuous:
        acts[f"discontinuous_{policies.discontinuous}"] += 1
        if policies.discontinuous == "drop":
            return []
        if policies.discontinuous == "first":
            start, end = entity.fragments[0]
    first, after = places.covering(start, end)
    last = after - 1
    if first > last:
        acts["empty_dropped"] += 1
        return []
    if places.cut(start, end):
        acts[f"partial_{policies.partial}"] += 1
        if policies.partial == "drop":
            return []
    if places.sentence[first] == places.sentence[last]:
        return [(first, last + 1)]
    acts[f"crossing_{policies.crossing}"] += 1
    if policies.crossing == "drop":
        return []
    begins = [first, *(i for i in range(first + 1, last + 1) if places.sentence[i] != places.sentence[i - 1])]
    parts = list(zip(begins, [*begins[1:], last + 1], strict=True))
    return parts if policies.crossing == "split" else parts[:1]


def without_overlaps(spans: Sequence[tuple[int, int, str]], overlap: Overlap, acts: Counter[str]) -> list[tuple[int, int, str]]:
    """The spans that stay by a policy for overlaps, in text order; of equally long ones the earlier one of the sequence.

    Args:
        spans: Start, end and label.
        overlap: The policy.
        acts: Counts duplicates and each span that is dropped.
    """
    order = list(range(len(spans)))
    if overlap == "longest":
        order.sort(key=lambda i: (spans[i][0] - spans[i][1], i))
    elif overlap == "last":
        order.reverse()
    taken: set[int] = set()
    disjoint: set[tuple[int, int, str]] = set()
    for i in order:
        start, end, _ = spans[i]
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            disjoint.add(spans[i])
        elif spans[i] in disjoint:
            acts["duplicate_dropped"] += 1
        else:
            acts[f"overlap_{overlap}"] += 1
    return sorted(disjoint)


def split_tag(tag: str) -> tuple[str, str] | None:
    """`(prefix, label)` of a BIO tag, `("O", "")` of O, None of anything else.

    >>> split_tag("B-Rare-Disease"), split_tag("O"), split_tag("X-Sign"), split_tag("B-")
    (('B', 'Rare-Disease'), ('O', ''), None, None)
    """
    if tag == "O":
        return "O", ""
    prefix, dash, label = tag.partition("-")
    return (prefix, label) if prefix in ("B", "I") and dash and label else None


def check_tag(tag: str) -> None:
    """Check that a tag is a BIO tag whose label fits into a column file.

    Raises:
        ValueError: The tag is not valid.
    """
    if split_tag(tag) is None:
        raise ValueError(f"{tag[:40]!r} is not a BIO tag")
    if tag[2:] != " ".join(tag[2:].split()):
        raise ValueError("a label has white space other than single blanks inside")


def bio_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """All BIO tags of some labels, `O` first.

    >>> bio_classes(["Sign"])
    ('O', 'B-Sign', 'I-Sign')
    """
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def tag_spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """`(start, end, label)` in token indices, half-open. As in conlleval, an `I-` that continues no span opens one.

    >>> tag_spans(["B-Sign", "I-Sign", "I-Disease", "O", "B-Sign", "B-Sign"])
    [(0, 2, 'Sign'), (2, 3, 'Disease'), (4, 5, 'Sign'), (5, 6, 'Sign')]
    """
    spans: list[tuple[int, int, str]] = []
    for i, tag in enumerate(tags):
        if tag == "O":
            continue
        parts = split_tag(tag)
        if parts is None:
            continue
        prefix, label = parts
        if prefix == "I" and spans and spans[-1][1] == i and spans[-1][2] == label:
            spans[-1] = (spans[-1][0], i + 1, label)
        else:
            spans.append((i, i + 1, label))
    return spans


def span_tags(length: int, spans: Sequence[tuple[int, int, str]]) -> list[str]:
    """Tags of `length` tokens from flat spans `(start, end, label)`: the inverse of `tag_spans`.

    >>> span_tags(4, [(1, 3, "Sign")])
    ['O', 'B-Sign', 'I-Sign', 'O']
    """
    tags = ["O"] * length
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def has_letter(words: Iterable[str]) -> bool:
    """Whether one of the words has a letter or digit.

    >>> has_letter(["-", "2"]), has_letter([".", "("])
    (True, False)
    """
    return any(mark.isalnum() for word in words for mark in word)


def without_marks(tags: Sequence[str], words: Sequence[str]) -> tuple[list[str], int]:
    """The tags without mentions that have no letter and no digit, and the number of these mentions.

    >>> without_marks(["B-Sign", "B-Sign", "I-Sign"], [".", "(", "rash"])
    (['O', 'B-Sign', 'I-Sign'], 1)
    """
    cleared, dropped = list(tags), 0
    for start, end, _ in tag_spans(tags):
        if not has_letter(words[start:end]):
            cleared[start:end] = ["O"] * (end - start)
            dropped += 1
    return cleared, dropped


def renamed(tags: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Tags with their labels renamed.

    >>> renamed(["B-Sign", "O"], {"Sign": "finding"})
    ['B-finding', 'O']
    """
    return [tag[:2] + names.get(tag[2:], tag[2:]) for tag in tags] if names else list(tags)
