"""Feedback about the tags of one sentence in words, for models that rewrite instructions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from clinspan.metrics.counts import entities, Mode, Span
from clinspan.metrics.errors import classify, overlap, SpanError, WRONG_BOTH, WRONG_ENDS, WRONG_TYPE

MAX_ERRORS = 12
MAX_WORDS = 16


def feedback(tokens: Sequence[str], gold: Sequence[str], pred: Sequence[str], *, definitions: Mapping[str, str], mode: Mode) -> str:
    """The errors of one sentence as a short text, one line each, for the reflection of GEPA (Agrawal et al. 2025).

    The definition of the gold type follows each missed span and each span of the wrong type, but only once per type. At most
    twelve errors are listed; the rest are counted. The middle of a long span is left out. The same sentence gives the same
    text. The text quotes the sentence, so it is as confidential as the corpus.

    Args:
        tokens: The words of the sentence.
        gold: Gold tags, one per token.
        pred: Predicted tags, one per token.
        definitions: What each type means, by its name in tags; a type without one gets no line.
        mode: How tags are read, see `metrics.counts.entities`.

    Raises:
        ValueError: The lists differ in length, or the mode is `strict` and a tag is not IOB2.

    >>> print(feedback(["Mild", "fever"], ["O", "B-Sign"], ["O", "O"], definitions={"Sign": "what can be seen"}, mode="strict"))
    0 of 1 entities right, 1 error:
    - Missed: "fever" is Sign.
      Sign: what can be seen
    """
    if len(tokens) != len(gold):
        raise ValueError(f"{len(tokens)} tokens but {len(gold)} gold tags")
    errors, truth, guess = classify(gold, pred, mode), entities(gold, mode), entities(pred, mode)
    if not errors:
        return f"Every entity is right ({len(truth)})." if truth else "Right: there is no entity, and none was tagged."
    plural = "" if len(errors) == 1 else "s"
    lines = [f"{len(truth & guess)} of {len(truth)} entities right, {len(errors)} error{plural}:"]
    defined: set[str] = set()
    for error in errors[:MAX_ERRORS]:
        lines.append(f"- {_describe(error, tokens, truth, guess)}")
        label = _decisive(error)
        if label not in defined and definitions.get(label):
            defined.add(label)
            lines.append(f"  {label}: {definitions[label]}")
    if len(errors) > MAX_ERRORS:
        lines.append(f"and {len(errors) - MAX_ERRORS} more")
    return "\n".join(lines)


def _decisive(error: SpanError) -> str:
    """The label whose definition explains the error; empty if the type was right or there is no gold span."""
    return "" if error.gold is None or error.kind == WRONG_ENDS else error.gold[0]


def _describe(error: SpanError, tokens: Sequence[str], truth: Collection[Span], guess: Collection[Span]) -> str:
    gold, pred = error.gold, error.pred
    if gold is None:
        assert pred is not None
        return f"Invented: {_name(tokens, pred)} was tagged {pred[0]} but is no entity{_of_its_own(pred, truth)}."
    if pred is None:
        return f"Missed: {_name(tokens, gold)} is {gold[0]}{_of_its_own(gold, guess)}."
    if error.kind == WRONG_TYPE:
        return f"Typed wrongly: {_name(tokens, gold)} is {gold[0]} but was tagged {pred[0]}."
    head = "Cut and typed wrongly" if error.kind == WRONG_BOTH else "Cut wrongly"
    sides = f"{_name(tokens, gold)} is {gold[0]} but {_name(tokens, pred)} was tagged {pred[0]}"
    parts = [("too many", _rest(tokens, pred, gold)), ("lacking", _rest(tokens, gold, pred))]
    return f"{head}: {sides}; {'; '.join(f'{problem}: {words}' for problem, words in parts if words)}."


def _of_its_own(span: Span, others: Collection[Span]) -> str:
    """` of its own` if a span overlaps a span of the other side, which then has a better partner; else empty."""
    return " of its own" if any(overlap(span, other) for other in others) else ""


def _rest(tokens: Sequence[str], span: Span, other: Span) -> str:
    """The quoted words of a span that lie before and after an overlapping span; empty if there are none."""
    sides = [tokens[span[1] : other[1]], tokens[other[2] + 1 : span[2] + 1]]
    return " and ".join(_quote(words) for words in sides if words)


def _name(tokens: Sequence[str], span: Span) -> str:
    """The quoted words of a span and, if the sentence repeats them, the number of their occurrence."""
    words = list(tokens[span[1] : span[2] + 1])
    places = [i for i in range(len(tokens)) if list(tokens[i : i + len(words)]) == words]
    occurrence = f" (number {places.index(span[1]) + 1} of {len(places)})" if len(places) > 1 else ""
    return f"{_quote(words)}{occurrence}"


def _quote(words: Sequence[str]) -> str:
    if len(words) > MAX_WORDS:
        half = MAX_WORDS // 2
        words = [*words[:half], "[...]", *words[-half:]]
    return f'"{" ".join(words)}"'
