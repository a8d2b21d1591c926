"""What the note beside a token classifier's weights says about mentions: their confidence, and which of the possible ones count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.corpora import Sentence
from clinspan.corpora.tag_layers import TagLayers
from clinspan.corpora.viterbi import Floats
from clinspan.decisions import fit_classifier_decisions, NONE, TrainCounts
from clinspan.metrics.confidence_map import fit_map
from clinspan.tuning.judging import judge_mentions
from clinspan.tuning.options import Encoder


@dataclass(frozen=True)
class DevFit:
    """What was fitted on dev.

    Attributes:
        note: Entries of the note.
        f1: Micro F1 on dev by how mentions are chosen, see `ClassifierFit.f1`; None: decisions were not tried.
    """

    note: Mapping[str, Any]
    f1: Mapping[str, float] | None


def fit_on_dev(
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    tables: Sequence[Any],
    layers: TagLayers,
    options: Encoder,
    *,
    seed: int,
) -> DevFit:
    """Fit the map of confidences and, unless `options.decisions` is `tags`, the decisions.

    Args:
        train: The sentences that the classifier was trained on.
        dev: The dev sentences.
        tables: For each of them the logarithms of the probabilities, shape (words, classes).
        layers: The classes.
        options: The options of the training.
        seed: Its seed.
    """
    scores: list[Floats] = [table.astype(float) for table in tables]
    mapped = fit_map(judge_mentions(dev, scores, layers))
    note: dict[str, Any] = {"confidence": None if mapped is None else mapped.model_dump(), "decisions": None, "counted": None}
    if options.decisions == "tags" or layers.by_label or NONE in layers.labels:
        return DevFit(note, None)
    counts = TrainCounts(train, layers.labels) if options.decisions == "counted" else None
    fitted = fit_classifier_decisions(layers.lattices[0], layers.labels, dev, scores, counts=counts, seed=seed)
    if fitted is None:
        return DevFit(note, None)
    if fitted.decisions is not None:
        note["decisions"] = fitted.decisions.as_dict()
    if fitted.counted and counts is not None:
        note["counted"] = {"sentences": len(train), "sha256": counts.digest}
    return DevFit(note, fitted.f1)
