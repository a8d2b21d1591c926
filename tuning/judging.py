"""How good a token classifier is on dev sentences, from its log probabilities for their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinspan.corpora import Sentence
from clinspan.corpora.bio import without_marks
from clinspan.corpora.full_mentions import gold_mentions
from clinspan.corpora.tag_layers import TagLayers
from clinspan.metrics import count_sentence, Counts
from clinspan.metrics.calibration import judge_entities, Judged
from clinspan.metrics.full_scores import count_full
from clinspan.metrics.layer_mentions import layer_mentions


def judge_tables(dev: Sequence[Sentence], tables: Sequence[Any], layers: TagLayers) -> dict[str, float]:
    """Mean `loss` per tag, and micro `f1` of the mentions in the most probable legal tags, from counts over all sentences.

    With a layer for each label, mentions are compared with the full mentions of the corpus.
    """
    total, number, counts = 0.0, 0, Counts()
    for sentence, table in zip(dev, tables, strict=True):
        targets = np.array(layers.targets(sentence), dtype=int).reshape(len(table), len(layers.lattices))
        for column, part in zip(targets.T, layers.parts(table), strict=True):
            total -= float(part[np.arange(len(part)), column].sum())
        number += targets.size
        counts = sum(_counts(sentence, table, layers), counts)
    return {"loss": total / max(1, number), "f1": counts.f1}


def _counts(sentence: Sentence, table: Any, layers: TagLayers) -> list[Counts]:
    if not layers.by_label:
        predicted, _ = without_marks(layers.lattices[0].decode(table), sentence.words)
        return list(count_sentence(sentence.tags, predicted, layers.labels, "conlleval").values())
    found = {(one.label, one.fragments) for one, _ in layer_mentions(layers, table, sentence.words)}
    return list(count_full(_gold(sentence), found, layers.labels).values())


def judge_mentions(dev: Sequence[Sentence], tables: Sequence[Any], layers: TagLayers) -> list[Judged]:
    """The confidence in each mention that is found, and whether it is right."""
    judged: list[Judged] = []
    for sentence, table in zip(dev, tables, strict=True):
        scores = table.astype(np.float64)
        if layers.by_label:
            gold = _gold(sentence)
            found = layer_mentions(layers, scores, sentence.words)
            judged += [(confidence, (one.label, one.fragments) in gold) for one, confidence in found]
            continue
        (lattice,) = layers.lattices
        predicted, _ = without_marks(lattice.decode(scores), sentence.words)
        judged += judge_entities(sentence.tags, predicted, lattice.confidence(scores, predicted), "conlleval")
    return judged


def _gold(sentence: Sentence) -> set[tuple[str, tuple[tuple[int, int], ...]]]:
    return {(one.label, one.fragments) for one in gold_mentions(sentence)}
