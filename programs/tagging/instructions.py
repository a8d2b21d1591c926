"""Instructions that are written by hand or read from a file. Instructions of optimizers are part of compiled programs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora import InputError, Label
from clinspan.corpora.errors import read_text

TASK = (
    "You annotate clinical text. Read one sentence, which is given as tokens, and find every mention of the entity "
    "types below. The first token of a mention gets the tag B- and its type, each further token of it I- and its "
    "type, every other token O."
)
DOUBT = "If in doubt whether a word is part of a mention, tag it O."
PLACEHOLDERS = ("labels", "definitions")
"""The placeholders of a file of instructions."""
_BRACED = re.compile(r"(?<!\{)\{([^{}\n]{1,40})\}(?!\})")


def handwritten(labels: Sequence[Label], advice: str = "") -> str:
    """Instructions with the task, one line per type with its definition, and advice on the boundaries of mentions.

    Args:
        labels: The types.
        advice: What the guideline of the corpus says about mentions, `corpus.advice`.
    """
    return "\n".join([TASK, definitions_of(labels), f"{advice} {DOUBT}".strip()])


def bare(labels: Sequence[Label]) -> str:
    """Instructions with only the names of the types."""
    return f"Tag the mentions of {_names(labels)} in the sentence with BIO tags."


def from_file(labels: Sequence[Label], path: str | None = None) -> str:
    """Instructions from a text file. `{labels}` becomes the names of the types, `{definitions}` one line per type.

    Other braces stay as they are.

    Args:
        labels: The types.
        path: The file.

    Raises:
        InputError: There is no file or no text in it, or a word in braces resembles a placeholder; the message names the line.
    """
    if not path:
        raise InputError("prompt=file needs prompt.path", remedy="Add prompt.path=FILE, a text file with the instructions.")
    file = Path(str(path)).expanduser()
    text = read_text(file).removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        raise InputError("is empty", path=file, remedy="Write the instructions for the model into it.")
    values = {"labels": _names(labels), "definitions": definitions_of(labels)}

    def filled(match: re.Match[str]) -> str:
        word = match[1]
        if word in values:
            return values[word]
        near = difflib.get_close_matches(word.strip().casefold(), PLACEHOLDERS, n=1, cutoff=0.75)
        if near:
            line = text.count("\n", 0, match.start()) + 1
            remedy = f"Did you mean {{{near[0]}}}? Write {{{{{word}}}}} if the model is to see it."
            raise InputError(f"{{{word}}} is not a placeholder", path=file, line=line, remedy=remedy)
        return match[0]

    return _BRACED.sub(filled, text).strip()


def with_types_reversed(instructions: str, labels: Sequence[Label]) -> str:
    """Instructions that name the types in reverse order, as far as they were written from the labels.

    >>> with_types_reversed("Tag Sign, Age:\\n- Sign\\n- Age", [Label("Sign"), Label("Age")])
    'Tag Age, Sign:\\n- Age\\n- Sign'
    """
    other = labels[::-1]
    return instructions.replace(definitions_of(labels), definitions_of(other)).replace(_names(labels), _names(other))


def _names(labels: Sequence[Label]) -> str:
    return ", ".join(label.name for label in labels)


def definitions_of(labels: Sequence[Label]) -> str:
    """One line per type, with its definition if it has one."""
    return "\n".join(f"- {label.name}: {label.definition}" if label.definition else f"- {label.name}" for label in labels)
