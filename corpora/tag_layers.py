"""Classes of token classifiers: BIO tags in one layer for all labels, or in a layer for each label.

In one layer a token has one tag. In a layer for each label it has one tag of every label, so mentions of different labels may share
tokens. Mentions of one label that share tokens, and mentions in pieces, do not fit into a layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clinspan.corpora.bio import bio_classes
from clinspan.corpora.full_mentions import flat_tags, gold_mentions
from clinspan.corpora.types import Sentence
from clinspan.corpora.viterbi import Floats, Lattice


def layer_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes of a layer for each label.

    >>> layer_classes(["Sign", "Organ"])
    ('O-Sign', 'B-Sign', 'I-Sign', 'O-Organ', 'B-Organ', 'I-Organ')
    """
    return tuple(f"{prefix}-{label}" for label in labels for prefix in "OBI")


@dataclass(frozen=True, slots=True)
class TagLayers:
    """The classes of a model by layer.

    Attributes:
        labels: The labels, in the order of the classes.
        lattices: The tags of each layer, in the order of the classes.
        by_label: Whether each label has a layer.
    """

    labels: tuple[str, ...]
    lattices: tuple[Lattice, ...]
    by_label: bool

    @classmethod
    def of(cls, classes: Sequence[str]) -> TagLayers:
        """The layers of some classes.

        Raises:
            ValueError: They are neither BIO tags nor those of `layer_classes`.
        """
        labels = tuple(dict.fromkeys(name[2:] for name in classes if name != "O"))
        if labels and tuple(classes) == layer_classes(labels):
            return cls(labels, tuple(Lattice.of(bio_classes([label])) for label in labels), True)
        return cls(labels, (Lattice.of(classes),), False)

    @property
    def width(self) -> int:
        """Number of classes in a layer."""
        return len(self.lattices[0].tags)

    def tags(self, sentence: Sentence) -> list[Sequence[str]]:
        """The gold tags of a sentence in each layer."""
        if not self.by_label:
            return [sentence.tags]
        rows = ([one for one in gold_mentions(sentence) if one.label == label] for label in self.labels)
        return [flat_tags(row, len(sentence.tokens), [label]) for row, label in zip(rows, self.labels, strict=True)]

    def targets(self, sentence: Sentence) -> list[tuple[int, ...]]:
        """For each word the number of its gold tag in each layer."""
        numbers = [{tag: n for n, tag in enumerate(lattice.tags)} for lattice in self.lattices]
        rows = [[number[tag] for tag in row] for number, row in zip(numbers, self.tags(sentence), strict=True)]
        return list(zip(*rows, strict=True))

    def parts(self, log_probs: Floats) -> list[Floats]:
        """The columns of each layer, from logarithms of probabilities of shape (words, classes)."""
        return [log_probs[:, start : start + self.width] for start in range(0, self.width * len(self.lattices), self.width)]
