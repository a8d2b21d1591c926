"""Tagged parts of a note: joined to sentences again, and turned into mentions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clinspan.corpora import Entity, Sentence
from clinspan.corpora.annotated import FullAnnotation, Mention
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.types import Token
from clinspan.metrics.calibration import entity_confidence

Tagged = tuple[Sentence, dict[str, Any]]
"""A sentence with its line of `predictions.jsonl`."""
_DIGITS, _ALMOST = 4, 0.9999


def merge_segments(found: Sequence[Tagged], boundaries: set[int]) -> list[Tagged]:
    """Return the tagged sentences in text order, with the parts of each cut sentence joined again.

    A model that sees only the second half of a mention can only tag it as the beginning of a mention. So a mention that
    begins at a cut is treated as the rest of a mention of the same label that ends at this cut.

    Args:
        found: Sentences or parts of sentences, with their lines of `predictions.jsonl`.
        boundaries: Start offsets of the parts that follow a cut.
    """
    groups: list[list[Tagged]] = []
    for tagged in sorted(found, key=lambda tagged: tagged[0].tokens[0].start):
        if groups and tagged[0].tokens[0].start in boundaries:
            groups[-1].append(tagged)
        else:
            groups.append([tagged])
    return [_joined(group) if len(group) > 1 else group[0] for group in groups]


def _joined(parts: Sequence[Tagged]) -> Tagged:
    """Join the parts of a sentence."""
    pred: list[str] = []
    for _, record in parts:
        first, last = record["pred"][0], pred[-1] if pred else "O"
        pred += [f"I{last[1:]}" if last != "O" and first == f"B{last[1:]}" else first, *record["pred"][1:]]
    confidence = [value for _, record in parts for value in record["confidence"] or [None] * len(record["pred"])]
    full = {} if any(record.get("pred_mentions") is None for _, record in parts) else {"pred_mentions": _joined_mentions(parts)}
    tokens = tuple(token for sentence, _ in parts for token in sentence.tokens)
    sentence = replace(parts[0][0], tokens=tokens, tags=("O",) * len(tokens))
    return sentence, {**parts[0][1], "pred": pred, "confidence": confidence, **full}


def _joined_mentions(parts: Sequence[Tagged]) -> list[dict[str, Any]]:
    """The listed mentions of the parts of a sentence; one that ends at a cut and one of its label that begins there are one."""
    listed: list[dict[str, Any]] = []
    cut = 0
    for sentence, record in parts:
        for one in record["pred_mentions"]:
            mention = _shifted(one, cut)
            rest = next((earlier for earlier in listed if cut and _meet(earlier, mention, cut)), None)
            if rest is None:
                listed.append(mention)
                continue
            known = [value for value in (rest["confidence"], mention["confidence"]) if value is not None]
            rest["confidence"] = min(known) if len(known) == 2 else None
            rest["fragments"] = [[rest["fragments"][0][0], mention["fragments"][0][1]]]
        cut += len(sentence.tokens)
    return listed


def _meet(one: Mapping[str, Any], other: Mapping[str, Any], cut: int) -> bool:
    whole = len(one["fragments"]) == len(other["fragments"]) == 1 and one["label"] == other["label"]
    return whole and one["fragments"][0][1] == other["fragments"][0][0] == cut


def _shifted(mention: Mapping[str, Any], by: int) -> dict[str, Any]:
    return {**mention, "fragments": [[start + by, end + by] for start, end in mention["fragments"]]}


def merge_cut_sentences(cut: Sequence[tuple[Token, ...]], spans: Iterable[tuple[int, int]]) -> list[tuple[Token, ...]]:
    """Return the sentences; merge those that one mention crosses, so that each mention begins and ends in the same sentence.

    Args:
        cut: The sentences in order.
        spans: Start and end of each mention, in order.
    """
    merged: list[list[Token]] = []
    remaining_spans = iter(spans)
    start, end = next(remaining_spans, (-1, -1))
    for tokens in cut:
        while 0 <= end <= tokens[0].start:
            start, end = next(remaining_spans, (-1, -1))
        if merged and start < tokens[0].start < end:
            merged[-1] += tokens
        else:
            merged.append(list(tokens))
    return [tuple(tokens) for tokens in merged]


def sentence_mentions(text: str, sentence: Sentence, record: dict[str, Any]) -> list[Mention]:
    """Return the mentions in a sentence's tags, with character offsets in the note's text."""
    mentions = []
    for first, last, label in tag_spans(record["pred"]):
        start, end = sentence.tokens[first].start, sentence.tokens[last - 1].end
        confidence = _rounded(entity_confidence(record["confidence"], first, last))
        mentions.append(Mention(start, end, label, text[start:end], confidence))
    return mentions


def full_annotations(tagged: Sequence[Tagged]) -> list[FullAnnotation] | None:
    """Return the mentions that a model listed in full for the sentences of a note; None if it gave tags alone."""
    if not tagged or any(record.get("pred_mentions") is None for _, record in tagged):
        return None
    found = []
    for sentence, record in tagged:
        for one in record["pred_mentions"]:
            pieces = tuple((sentence.tokens[a].start, sentence.tokens[b - 1].end) for a, b in one["fragments"])
            found.append(FullAnnotation(Entity(one["label"], pieces), _rounded(one["confidence"])))
    return found


def _rounded(confidence: float | None) -> float | None:
    """A confidence without its last digits, which depend on the sentences of the same batch; never rounded up to 1."""
    return confidence if confidence is None or confidence >= 1 else min(round(confidence, _DIGITS), _ALMOST)
