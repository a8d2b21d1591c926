"""Tests of mentions that are read from a layer of tags for each label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinspan.corpora import FullMention
from clinspan.corpora.bio import without_overlaps
from clinspan.corpora.tag_layers import layer_classes, TagLayers
from clinspan.metrics.layer_mentions import layer_mentions

LABELS = ("Sign", "Organ")
LAYERS = TagLayers.of(layer_classes(LABELS))
SPAN = st.tuples(st.integers(0, 6), st.integers(1, 7)).filter(lambda span: span[0] < span[1])


def table(rows: list[list[str]], sure: float = 0.98) -> np.ndarray:
    """Log probabilities that are `sure` of these tags, a row for each label."""
    parts = []
    for lattice, row in zip(LAYERS.lattices, rows, strict=True):
        chosen = np.array([[tag == name for name in lattice.tags] for tag in row])
        parts.append(np.log(np.where(chosen, sure, (1 - sure) / 2)))
    return np.hstack(parts)


@given(st.lists(st.tuples(SPAN, st.sampled_from(LABELS)), max_size=6))
def test_sure_layers_give_back_all_mentions_of_different_labels(drawn: list[tuple[tuple[int, int], str]]) -> None:
    from collections import Counter

    by_label = [
        without_overlaps([(*span, name) for span, name in drawn if name == label], "longest", Counter()) for label in LABELS
    ]
    rows = [["O"] * 7 for _ in LABELS]
    for row, spans in zip(rows, by_label, strict=True):
        for start, end, label in spans:
            row[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    found = layer_mentions(LAYERS, table(rows), ["word"] * 7)
    assert {one for one, _ in found} == {FullMention(label, ((a, b),)) for spans in by_label for a, b, label in spans}
    assert all(0.9 < value <= 1 for _, value in found)


def test_the_confidence_is_that_of_the_layer_and_marks_are_no_mention() -> None:
    rows = [["B-Sign", "I-Sign", "B-Sign"], ["O", "O", "B-Organ"]]
    found = layer_mentions(LAYERS, table(rows, 0.6), ["rash", "here", "."])
    assert [one.fragments for one, _ in found] == [((0, 2),)]
    lattice = LAYERS.lattices[0]
    posteriors = lattice.posteriors(table(rows, 0.6)[:, :3])
    assert found[0][1] == pytest.approx(float(np.sqrt(posteriors[0, 1] * posteriors[1, 2])))
