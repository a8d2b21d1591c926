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
        """A tag `O` or prefix-label with a prefix of B, I, E, S (of BILOU: U, L); a bare label is `I-`; None for what is no tag."""
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
    """Reads a row of tags just as the paper's scorer does: seqeval's default reading of whatever stands there.

    Args:
        labels: The corpus' labels, each known as it is spelt here and, as RareDis spells its own, in capitals.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._known = {spelling: label.name for label in labels for spelling in (label.name.upper(), label.name)}

    def read(self, rows: Sequence[str], repairs: Counter[str]) -> list[str]:
        """Legal tags with the entities of known labels that seqeval sees; what is no tag at all counts as `unknown_label`."""
        from seqeval.metrics.sequence_labeling import get_entities  # imports scikit-learn: only where answers are read

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seqeval warns of each tag that is none
            found = get_entities([row or "O" for row in rows])
        result = span_tags(len(rows), [(start, end + 1, self._known[name]) for name, start, end in found if name in self._known])
        repairs["unknown_label"] += sum(row != "O" and row[2:] not in self._known for row in rows)
        repairs["orphan_i"] += sum(row[:1] == "I" and tag[:1] == "B" for row, tag in zip(rows, result, strict=True))
        return result


def legal(tags: Sequence[str], repairs: Counter[str]) -> list[str]:
    """BIO tags with the entities that seqeval's default mode sees in a row of readings.

    Args:
        tags: `O` or prefix-label with a prefix of B, I, E, S, one a token.
        repairs: Counts `orphan_i` for each tag whose reading changed.

    Returns:
        As many tags; no `I-` stands behind anything but its own entity.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    spans = [(start, end + 1, label) for label, start, end in get_entities(list(tags))]
    result = span_tags(len(tags), spans)
    repairs["orphan_i"] += sum(a != b for a, b in zip(tags, result, strict=True))
    return result
