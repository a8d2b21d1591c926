"""Mentions that are not flat: nested, overlapping and in pieces, as token ranges (`corpus.mentions=full`).

Tags stay as the policies of `corpora.bio` make them. The full mentions stand beside them, and no policy for overlaps or pieces
applies to them. `partial` and `crossing` do, as pieces are ranges of whole tokens of one sentence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args, Literal

from clinspan.corpora.bio import Places, Policies, span_tags, tag_spans, without_overlaps
from clinspan.corpora.errors import InputError
from clinspan.corpora.fidelity import has_offsets
from clinspan.corpora.types import Corpus, Document, Entity, FullMention, Label, Sentence, Token

Mentions = Literal["flat", "full"]


def check_mentions(name: str, value: str | None) -> None:
    """Refuse a way to read or ask for mentions that is not known.

    Raises:
        InputError: It is neither `flat` nor `full`.
    """
    if value not in get_args(Mentions):
        raise InputError(f"{name}={value} is not known", remedy="Use flat or full.")


def in_order(mentions: Iterable[FullMention]) -> list[FullMention]:
    """Different mentions by their last token, then their first, then label: inner ones of equal end come last."""
    return sorted(set(mentions), key=lambda one: (one.end, one.start, one.fragments, one.label))


def merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges in order, joined where they touch or overlap.

    >>> merged([(4, 5), (0, 2), (1, 3), (3, 3)])
    ((0, 3), (4, 5))
    """
    result: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((start, end))
    return tuple(result)


def of_tags(tags: Sequence[str]) -> list[FullMention]:
    """The mentions that tags have, as full mentions.

    >>> of_tags(["B-Sign", "I-Sign", "O"])
    [FullMention(label='Sign', fragments=((0, 2),))]
    """
    return in_order(FullMention(label, ((start, end),)) for start, end, label in tag_spans(tags))


def gold_mentions(sentence: Sentence) -> Sequence[FullMention]:
    """The gold mentions of a sentence: its full ones, or those of its tags if it was read without."""
    return of_tags(sentence.tags) if sentence.full is None else sentence.full


def flat_tags(mentions: Iterable[FullMention], length: int, labels: Sequence[str]) -> list[str]:
    """Tags of full mentions by the default policies of corpora: the first piece of a mention; of two that share a token the longer
    one, of equally long ones that of the earlier label.

    >>> flat_tags([FullMention("Sign", ((0, 1), (3, 4))), FullMention("Sign", ((2, 4),))], 4, ["Sign"])
    ['B-Sign', 'O', 'B-Sign', 'I-Sign']
    """
    order = {label: number for number, label in enumerate(labels)}
    spans = {(*mention.fragments[0], mention.label) for mention in mentions}
    by_label = sorted(spans, key=lambda span: (order[span[2]], span[0]))
    return span_tags(length, without_overlaps(by_label, "longest", Counter()))


def full_rows(
    sentences: Sequence[Sequence[Token]], entities: Iterable[Entity], policies: Policies
) -> tuple[list[tuple[FullMention, ...]], Counter[str]]:
    """The full mentions of the sentences of a document.

    Args:
        sentences: Tokens by sentence, in text order.
        entities: The annotations, of any shape.
        policies: `partial` for pieces that cut a token, `crossing` for mentions in several sentences.

    Returns:
        The mentions of each sentence as `in_order` gives them, and the count `pieces_in_two_sentences` of mentions in pieces that
        no one sentence has.
    """
    places, acts = Places.of(sentences), Counter[str]()
    first = [0]
    for tokens in sentences:
        first.append(first[-1] + len(tokens))
    rows: list[list[FullMention]] = [[] for _ in sentences]
    for entity in entities:
        parts = _by_sentence(entity, places, policies)
        acts["pieces_in_two_sentences"] += len(parts) > 1 and not entity.continuous
        for number, ranges in parts if policies.crossing == "split" or len(parts) == 1 else _some(parts, policies):
            shifted = [(start - first[number], end - first[number]) for start, end in ranges]
            rows[number].append(FullMention(entity.label, merged(shifted)))
    return [tuple(in_order(row)) for row in rows], +acts


_Part = tuple[int, list[tuple[int, int]]]
"""The number of a sentence, and token ranges of its document."""


def _some(parts: list[_Part], policies: Policies) -> list[_Part]:
    return parts[:1] if policies.crossing == "first" else []


def _by_sentence(entity: Entity, places: Places, policies: Policies) -> list[_Part]:
    """The tokens of a mention in each sentence; nothing if it has no token, or cuts one and is dropped for it."""
    parts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, end in entity.fragments:
        first, last = places.covering(start, end)
        if first >= last:
            continue
        if policies.partial == "drop" and places.cut(start, end):
            return []
        for token in range(first, last):
            parts[places.sentence[token]].append((token, token + 1))
    return sorted(parts.items())


def with_full_mentions(corpus: Corpus, policies: Policies, *, closed: bool = False) -> Corpus:
    """The corpus with the full mentions of each sentence; where annotations have no offsets of their own, those of the tags.

    Args:
        corpus: The corpus.
        policies: As for its tags.
        closed: Whether the labels of the corpus are all; False: labels that only mentions without tags have are added.

    Raises:
        InputError: The labels are all, and a mention has another one.
    """
    conversion = {split: Counter(counts) for split, counts in corpus.conversion.items()}
    splits: dict[str, tuple[Document, ...]] = {}
    for split, documents in corpus.splits.items():
        done = [_with_full(document, policies) for document in documents]
        splits[split] = tuple(document for document, _ in done)
        for _, acts in done:
            conversion.setdefault(split, Counter()).update(acts)
    known = {label.name for label in corpus.labels}
    present = {m.label for documents in splits.values() for d in documents for s in d.sentences for m in s.full or ()}
    labels = corpus.labels
    if hidden := sorted(present - known):
        if closed:
            remedy = f"Add it to corpus.labels, or leave it out with corpus.map={{{hidden[0]}: null}}."
            raise InputError(
                f"corpus {corpus.name} has mentions of the label {hidden[0]}, which corpus.labels lacks", remedy=remedy
            )
        labels = tuple(sorted((*corpus.labels, *map(Label, hidden)), key=lambda label: label.name))
    return replace(corpus, splits=splits, labels=labels, conversion=conversion, full=True)


def _with_full(document: Document, policies: Policies) -> tuple[Document, Counter[str]]:
    acts: Counter[str] = Counter()
    if has_offsets(document):
        rows, acts = full_rows([sentence.tokens for sentence in document.sentences], document.entities, policies)
    else:
        rows = [tuple(of_tags(sentence.tags)) for sentence in document.sentences]
    sentences = tuple(replace(sentence, full=row) for sentence, row in zip(document.sentences, rows, strict=True))
    return replace(document, sentences=sentences), acts
