"""How good a token classifier is on dev sentences, from its log probabilities for their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinspan.corpora import Sentence
from clinspan.corpora.viterbi import Lattice
from clinspan.metrics import count_sentence, Counts
from clinspan.metrics.calibration import judge_entities, Judged


def judge_tables(dev: Sequence[Sentence], tables: Sequence[Any], lattice: Lattice) -> dict[str, float]:
    """Mean `loss` per word, and micro `f1` of the entities in the most probable legal tags, from counts over all sentences."""
    column = {tag: n for n, tag in enumerate(lattice.tags)}
    labels = [tag[2:] for tag in lattice.tags if tag.startswith("B-")]
    total, words, counts = 0.0, 0, Counts()
    for sentence, table in zip(dev, tables, strict=True):
        total -= float(table[np.arange(len(table)), [column[tag] for tag in sentence.tags]].sum())
        words += len(table)
        predicted = lattice.decode(table)
        counts = sum(count_sentence(sentence.tags, predicted, labels, "conlleval").values(), counts)
    return {"loss": total / max(1, words), "f1": counts.f1}


def judge_mentions(dev: Sequence[Sentence], tables: Sequence[Any], lattice: Lattice) -> list[Judged]:
    """The confidence in each mention that is found, and whether it is right."""
    judged: list[Judged] = []
    for sentence, table in zip(dev, tables, strict=True):
        scores = table.astype(np.float64)
        predicted = lattice.decode(scores)
        judged += judge_entities(sentence.tags, predicted, lattice.confidence(scores, predicted), "conlleval")
    return judged
