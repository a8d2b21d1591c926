"""How often answers change although nothing changed that should matter: the order of the types, the full stop of the sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clinspan.corpora import Sentence
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.types import Token
from clinspan.metrics.counts import count_sentence, Counts, Mode

LABEL_ORDER, FULL_STOP = "label_order", "full_stop"


def with_other_end(sentence: Sentence) -> Sentence | None:
    """The sentence without its full stop or, if it has none, with one; None if nothing else is in it.

    A full stop that is part of the last token is taken from it.
    """
    tokens, tags = sentence.tokens, sentence.tags
    if not any(token.text.strip(".") for token in tokens):
        return None
    last = tokens[-1]
    if last.text == ".":
        return replace(sentence, tokens=tokens[:-1], tags=tags[:-1], mentions=None)
    if last.text.endswith("."):
        shorter = Token(last.text[:-1], last.start, last.end - 1)
        return replace(sentence, tokens=(*tokens[:-1], shorter), mentions=None)
    return replace(sentence, tokens=(*tokens, Token(".", last.end, last.end)), tags=(*tags, "O"), mentions=None)


def flip_rates(
    records: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]], labels: Sequence[str], mode: Mode
) -> dict[str, Any]:
    """How often the mentions of a sentence changed.

    Args:
        records: Prediction records by sentence id.
        others: The records of the same sentences with the change.
        labels: The corpus' labels.
        mode: How tags are read, for F1.

    Returns:
        `sentences` that were compared, how many `changed`, their `share` (None if none was compared), the sentences that `failed`
        in one of the two, which are left out, and the micro `f1` of the changed sentences' answers.
    """
    pairs = [(records[key], other) for key, other in others.items() if key in records]
    answered = [(one, other) for one, other in pairs if one["error"] is None and other["error"] is None]
    changed = sum(_mentions(one, other) != _mentions(other, one) for one, other in answered)
    tables = [count_sentence(other["gold"], other["pred"], labels, mode) for _, other in pairs]
    counts = sum((sum(table.values(), Counts()) for table in tables), Counts())
    return {
        "sentences": len(answered),
        "changed": changed,
        "share": changed / len(answered) if answered else None,
        "failed": len(pairs) - len(answered),
        "f1": counts.f1,
    }


def _mentions(record: Mapping[str, Any], other: Mapping[str, Any]) -> set[tuple[int, int, str]]:
    """The predicted mentions, cut to the tokens that both records have."""
    shared = min(len(record["pred"]), len(other["pred"]))
    return {(start, min(end, shared), label) for start, end, label in tag_spans(record["pred"]) if start < shared}
