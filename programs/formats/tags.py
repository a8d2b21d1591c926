"""Reading what a model wrote where a tag belongs, and making a row of such readings legal BIO."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from seqeval.metrics.sequence_labeling import get_entities

from corpora import Label
from corpora.bio import span_tags

_SEPARATORS = re.compile(r"[\s_\-]+")


class TagReader:
    """Reads tags of the given labels.

    Args:
        labels: The corpus' labels.
        exact: Take a label only as the corpus or its source spells it (`RareDisease`, `RAREDISEASE`), as the
            paper's scorer does; otherwise case, spaces, underscores and hyphens do not matter.
    """

    def __init__(self, labels: Sequence[Label], *, exact: bool) -> None:
        self.exact = exact
        self._known: dict[str, str] = {}
        for label in labels:
            spellings = {label.name, label.name.upper()} if exact else {_fold(label.name), _fold(label.spoken)}
            self._known |= dict.fromkeys(spellings, label.name)

    def label(self, text: str) -> str | None:
        """The label that a spelling names, or None."""
        return self._known.get(text if self.exact else _fold(text))

    def read(self, raw: str) -> str | None:
        """A tag `O` or prefix-label with a prefix of B, I, E, S; None for what is no tag.

        A bare label is read as seqeval reads it: by its first letter, which makes `SIGN` a one-token
        entity (`S-`) and `DISEASE` a continued one (`I-`).
        """
        text = raw if self.exact else raw.strip(" \t\"'`[](){}*.,;")
        if text == "O" or (not self.exact and text in ("o", "0")):
            return "O"
        prefix, dash, rest = (text[:1], text[1:2], text[2:])
        if dash in ("-", "_") and (not self.exact or dash == "-"):
            prefix = prefix if self.exact else prefix.upper()
            label = self.label(rest) if prefix in ("B", "I", "E", "S") else None
            if label is not None:
                return f"{prefix}-{label}"
        bare = self.label(text)
        if bare is None:
            return None
        first = text[0].upper()
        return "O" if first == "O" else f"{first if first in 'BIES' else 'I'}-{bare}"


def _fold(text: str) -> str:
    return _SEPARATORS.sub("", text).casefold()


def legal(tags: Sequence[str], repairs: Counter[str]) -> list[str]:
    """BIO tags with the entities that seqeval's default mode sees in a row of readings.

    Args:
        tags: `O` or prefix-label with a prefix of B, I, E, S, one a token.
        repairs: Counts `orphan_i` for each tag whose reading changed.

    Returns:
        As many tags; no `I-` stands behind anything but its own entity.
    """
    spans = [(start, end + 1, label) for label, start, end in get_entities(list(tags))]
    result = span_tags(len(tags), spans)
    repairs["orphan_i"] += sum(a != b for a, b in zip(tags, result, strict=True))
    return result
