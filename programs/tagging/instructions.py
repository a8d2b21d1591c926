"""Hand-written instructions. Instructions of optimizers are part of compiled programs."""

from __future__ import annotations

from collections.abc import Sequence

from clinspan.corpora import Label

_TASK = (
    "You annotate clinical text. Read one sentence, which is given as tokens, and find every mention of the entity "
    "types below. The first token of a mention gets the tag B- and its type, each further token of it I- and its "
    "type, every other token O."
)
_ADVICE = (
    "Mark a mention in full, with the words that make it a different finding, but without articles and words of "
    "degree such as severe. Abbreviations and negated mentions count too. Words that only point back, such as "
    "the disease or this disorder, do not. If in doubt whether a word is part of a mention, tag it O."
)


def handwritten(labels: Sequence[Label]) -> str:
    """Instructions with the task, one line per type with its definition, and advice on boundaries."""
    lines = [f"- {label.name}: {label.definition}" if label.definition else f"- {label.name}" for label in labels]
    return "\n".join([_TASK, *lines, _ADVICE])


def bare(labels: Sequence[Label]) -> str:
    """Instructions with only the names of the types."""
    return f"Tag the mentions of {', '.join(label.name for label in labels)} in the sentence with BIO tags."
