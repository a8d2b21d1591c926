"""Tags sentences with a token classifier."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from clinspan.corpora import FullMention, Sentence
from clinspan.corpora.bio import tag_spans, without_marks
from clinspan.corpora.full_mentions import flat_tags, in_order
from clinspan.corpora.tag_layers import TagLayers
from clinspan.corpora.viterbi import Lattice
from clinspan.lms.local.oom import OutOfMemoryError
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.metrics.layer_mentions import layer_mentions
from clinspan.programs.inference.predictor import blank_record, failed_record
from clinspan.programs.telemetry.tracing import traced

if TYPE_CHECKING:
    from clinspan.lms.classifiers.classifier import Reading, TokenClassifier

_TOGETHER = 8


class ClassifierTagger:
    """Tags sentences with a token classifier and stores nothing. Threads that share it take turns.

    Args:
        classifier: The model.
        batch_size: Number of sentences per batch.
    """

    def __init__(self, classifier: TokenClassifier, batch_size: int) -> None:
        self.classifier, self._size = classifier, batch_size * _TOGETHER
        self._layers = TagLayers.of(classifier.classes)
        self._map = ConfidenceMap.saved(classifier.confidence)
        self._turn = threading.Lock()

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        """Yield each sentence with its record for `predictions.jsonl`. Sentences are grouped by length."""
        todo = sorted(sentences, key=lambda s: len(s.tokens))
        for start in range(0, len(todo), self._size):
            group = todo[start : start + self._size]
            with self._turn, traced("classify", sentences=len(group)):
                readings = self._readings(group)
            for sentence, reading in zip(group, readings, strict=True):
                if reading is None:
                    yield sentence, failed_record(sentence, "out_of_memory")
                elif self._layers.by_label:
                    yield sentence, tagged_by_label(sentence, reading, self._layers, self._map)
                else:
                    yield sentence, tagged(sentence, reading, self._layers.lattices[0], self._map)

    def _readings(self, group: Sequence[Sentence]) -> list[Reading | None]:
        """The model's reading of each sentence; None for a sentence that runs out of memory even alone."""
        try:
            return [*self.classifier.classify([sentence.words for sentence in group])]
        except OutOfMemoryError:
            middle = len(group) // 2
            return [None] if len(group) == 1 else [*self._readings(group[:middle]), *self._readings(group[middle:])]


def tagged(sentence: Sentence, reading: Reading, lattice: Lattice, mapped: ConfidenceMap | None = None) -> dict[str, Any]:
    """A sentence's record for `predictions.jsonl`: the most likely legal tags, and a probability for each.

    It is the posterior probability of the tag or, with a map, that of the mention which the tag belongs to.
    """
    scores = reading.log_probs.astype(np.float64)
    pred, _ = without_marks(lattice.decode(scores), sentence.words)
    confidence: list[float | None] | None = list(lattice.confidence(scores, pred))
    if mapped is not None:
        confidence = mapped.tags(pred, confidence, "conlleval")
    return _record(sentence, reading, {"pred": pred, "confidence": confidence})


def tagged_by_label(sentence: Sentence, reading: Reading, layers: TagLayers, mapped: ConfidenceMap | None = None) -> dict[str, Any]:
    """A sentence's record where each label has tags of its own: all mentions, and the tags that they make together.

    The confidence of a token without a mention is the lowest probability, over labels, that it is in no mention.
    """
    scores = reading.log_probs.astype(np.float64)
    found = {one: value if mapped is None else mapped(value) for one, value in layer_mentions(layers, scores, sentence.words)}
    pred = flat_tags(found, len(sentence.tokens), layers.labels)
    parts = zip(layers.lattices, layers.parts(scores), strict=True)
    outside = [lattice.posteriors(part)[:, lattice.tags.index("O")] for lattice, part in parts]
    confidence = np.min(outside, axis=0).tolist()
    for start, end, label in tag_spans(pred):
        confidence[start:end] = [found[FullMention(label, ((start, end),))]] * (end - start)
    mentions = [{**one.record(), "confidence": found[one]} for one in in_order(found)]
    return _record(sentence, reading, {"pred": pred, "confidence": confidence, "pred_mentions": mentions})


def _record(sentence: Sentence, reading: Reading, prediction: Mapping[str, Any]) -> dict[str, Any]:
    repairs = {"read_in_windows": 1} if reading.windows > 1 else {}
    about = {"raw": None, "repairs": repairs, "usage": {"pieces": reading.pieces}, "error": None}
    return {**blank_record(sentence), **prediction, **about}
