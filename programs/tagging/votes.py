"""Votes: the tags that most of several answers to the same sentence have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from clinspan.corpora import FullMention
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.corpora.full_mentions import in_order


def combined(predictions: Sequence[dspy.Prediction]) -> dspy.Prediction:
    """One prediction from several of the same sentence: tags by vote, counts and usage added up, answers by their number."""
    tags, confidence = vote([list(prediction.tags) for prediction in predictions])
    repairs: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    answers: dict[str, str] = {}
    for number, prediction in enumerate(predictions):
        repairs.update(prediction.repairs)
        usage.update(prediction.usage)
        answers |= {f"{number}:{key}" if key else str(number): text for key, text in prediction.answers.items()}
    served = sorted({name for prediction in predictions for name in prediction.get("served", ())})
    full = [prediction.get("mentions") for prediction in predictions]
    mentions = {} if None in full else {"mentions": vote_mentions(full)}
    return dspy.Prediction(
        tags=tags, confidence=confidence, repairs=dict(repairs), answers=answers, usage=dict(usage), served=served, **mentions
    )


def vote(answers: Sequence[Sequence[str]]) -> tuple[list[str], list[float | None]]:
    """Tags that most answers agree on, and for each token of a found span the share of answers that have the span.

    Of spans that share a token the one with more votes stands, of equal ones the longer, then the first.

    >>> vote([["B-A", "I-A"], ["B-A", "I-A"], ["O", "B-A"]])
    (['B-A', 'I-A'], [0.6666666666666666, 0.6666666666666666])
    """
    votes = Counter(span for tags in answers for span in tag_spans(tags))
    confidence: list[float | None] = [None] * len(answers[0])
    kept = []
    for span, n in sorted(votes.items(), key=lambda item: (-item[1], item[0][0] - item[0][1], item[0])):
        start, end, _ = span
        if 2 * n > len(answers) and all(part is None for part in confidence[start:end]):
            kept.append(span)
            confidence[start:end] = [n / len(answers)] * (end - start)
    return span_tags(len(answers[0]), kept), confidence


def vote_mentions(answers: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Full mentions that more than half of the answers have; `confidence` is the share of answers that have one.

    >>> fever = {"label": "Sign", "fragments": [[0, 1], [3, 4]], "confidence": None}
    >>> vote_mentions([[fever], [fever], []])
    [{'label': 'Sign', 'fragments': [[0, 1], [3, 4]], 'confidence': 0.6666666666666666}]
    """
    votes = Counter(mention for listed in answers for mention in {FullMention.of(one) for one in listed})
    kept = in_order(mention for mention, n in votes.items() if 2 * n > len(answers))
    return [{**mention.record(), "confidence": votes[mention] / len(answers)} for mention in kept]
