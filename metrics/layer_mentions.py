"""Mentions from the probabilities of tags in a layer for each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinspan.corpora import FullMention
from clinspan.corpora.bio import tag_spans, without_marks
from clinspan.corpora.tag_layers import TagLayers
from clinspan.corpora.viterbi import Floats
from clinspan.metrics.calibration import entity_confidence


def layer_mentions(layers: TagLayers, log_probs: Floats, words: Sequence[str]) -> list[tuple[FullMention, float]]:
    """The mentions in the most probable legal tags of each layer, by label and place, with the confidence in each.

    Args:
        layers: The classes; each label has a layer.
        log_probs: Logarithms of the probabilities, shape (words, classes).
        words: The words. A mention without a letter or digit is left out.
    """
    found: list[tuple[FullMention, float]] = []
    for label, lattice, part in zip(layers.labels, layers.lattices, layers.parts(log_probs), strict=True):
        scores = part.astype(np.float64)
        tags, _ = without_marks(lattice.decode(scores), words)
        confidence = lattice.confidence(scores, tags)
        for start, end, _ in tag_spans(tags):
            value = entity_confidence(confidence, start, end)
            assert value is not None
            found.append((FullMention(label, ((start, end),)), value))
    return found
