"""Votes: the tags that most of several answers to the same sentence have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dspy

from clinspan.corpora.bio import span_tags, tag_spans


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
    return dspy.Prediction(
        tags=tags, confidence=confidence, repairs=dict(repairs), answers=answers, usage=dict(usage), served=served
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
