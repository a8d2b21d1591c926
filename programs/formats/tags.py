"""Reads single tags, and repairs a sequence of them to legal BIO."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags
from clinspan.corpora.labels import folded_label
from clinspan.programs.formats.matching import DASHES, VISIBLE

_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I"}
_SAME = {**str.maketrans(dict.fromkeys(DASHES, "-")), **VISIBLE}


class TagReader:
    """Reads tags of the given labels; case, spaces, underscores and hyphens in them do not matter.

    Args:
        labels: The corpus' labels.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._known = {folded_label(label.spoken): label.name for label in labels}
        self._known |= {folded_label(label.name): label.name for label in labels}

    def label(self, text: str) -> str | None:
        """The label that a spelling names, singular or plural, or None."""
        spelt = folded_label(text)
        return self._known.get(spelt) or self._known.get(spelt.removesuffix("s")) or self._known.get(spelt.removesuffix("es"))

    def read(self, raw: str) -> str | None:
        """Read a tag as `O` or prefix-label with the prefix B, I, E or S; None for a text that is no tag.

        The prefixes L, U and M of other schemes are read as E, S and I. A bare label is read as `I-`.
        """
        exact = raw.translate(_SAME).strip()
        return self._read(exact) or self._read(exact.strip(" \t\"'`[](){}*.,;"))

    def _read(self, text: str) -> str | None:
        if text in ("O", "o", "0"):
            return "O"
        prefix, dash, rest = text[:1].upper(), text[1:2], text[2:]
        if dash in ("-", "_") and prefix in _PREFIXES and (label := self.label(rest)) is not None:
            return f"{_PREFIXES[prefix]}-{label}"
        bare = self.label(text)
        return None if bare is None else f"I-{bare}"


class ExactReader:
    """Reads a sequence of tags exactly as the paper's scorer does: with seqeval's default mode, whatever the strings are.

    Args:
        labels: The corpus' labels. Each is recognized as it is spelt here and in capitals, as RareDis spells its labels.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._known = {spelling: label.name for label in labels for spelling in (label.name.upper(), label.name)}

    def read(self, rows: Sequence[str], repairs: Counter[str]) -> list[str]:
        """Legal tags for the entities of known labels that seqeval finds. A string of no known label counts as `unknown_label`."""
        from seqeval.metrics.sequence_labeling import get_entities  # imports scikit-learn, so only where answers are read

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seqeval warns about each string that is no tag
            entities = get_entities([row or "O" for row in rows])
        result = span_tags(len(rows), [(start, end + 1, self._known[name]) for name, start, end in entities if name in self._known])
        repairs["unknown_label"] += sum(row != "O" and row[2:] not in self._known for row in rows)
        repairs["orphan_i"] += sum(row[:1] == "I" and tag[:1] == "B" for row, tag in zip(rows, result, strict=True))
        return result


def legal(tags: Sequence[str], repairs: Counter[str]) -> list[str]:
    """Convert tags to legal BIO tags with the entities that seqeval's default mode finds.

    Args:
        tags: `O` or prefix-label with the prefix B, I, E or S, one per token.
        repairs: Counts `orphan_i` for each changed tag.

    Returns:
        The same number of tags. An `I-` follows only a tag of its own entity.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    spans = [(start, end + 1, label) for label, start, end in get_entities(list(tags))]
    result = span_tags(len(tags), spans)
    repairs["orphan_i"] += sum(a != b for a, b in zip(tags, result, strict=True))
    return result
