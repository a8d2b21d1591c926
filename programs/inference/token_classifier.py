"""Tags sentences with a token classifier."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from clinspan.corpora import FullMention, InputError, Sentence
from clinspan.corpora.bio import tag_spans, without_marks
from clinspan.corpora.full_mentions import flat_tags, in_order
from clinspan.corpora.tag_layers import TagLayers
from clinspan.corpora.viterbi import Lattice
from clinspan.corpora.words import Words
from clinspan.decisions import NONE, read_decisions, SpanDecider, TrainCounts
from clinspan.lms.local.oom import OutOfMemoryError
from clinspan.lms.weights.lora import NOTE
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.metrics.layer_mentions import layer_mentions
from clinspan.programs.inference.predictor import blank_record, failed_record
from clinspan.programs.telemetry.tracing import traced

if TYPE_CHECKING:
    from clinspan.lms.classifiers.classifier import Reading, TokenClassifier

_TOGETHER = 8
_AGAIN = "Train the model again."


class ClassifierTagger:
    """Tags sentences with a token classifier and stores nothing. Threads that share it take turns.

    Args:
        classifier: The model.
        batch_size: Number of sentences per batch.
        train: The train split, if decisions weigh counts of it (`counted_sentences`).

    Raises:
        InputError: The note beside the weights has decisions that cannot be read, or they weigh counts of another train split.
    """

    def __init__(self, classifier: TokenClassifier, batch_size: int, train: Sequence[Sentence] = ()) -> None:
        self.classifier, self._size = classifier, batch_size * _TOGETHER
        self._layers = TagLayers.of(classifier.classes)
        self._map = ConfidenceMap.saved(classifier.note.get("confidence"))
        self._decider = _decider(classifier, self._layers, train)
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
                elif self._decider is not None:
                    yield sentence, decided(sentence, reading, self._decider)
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


def counted_sentences(classifier: TokenClassifier) -> int | None:
    """The number of train sentences whose counts the decisions of a classifier weigh; None: they weigh none.

    Raises:
        InputError: The note beside its weights does not say it as training writes it.
    """
    counted = classifier.note.get("counted")
    if counted is None:
        return None
    if isinstance(counted, dict) and isinstance(number := counted.get("sentences"), int):
        return number
    raise InputError(f"{NOTE} beside the weights has an entry counted that cannot be read", remedy=_AGAIN)


def _decider(classifier: TokenClassifier, layers: TagLayers, train: Sequence[Sentence]) -> SpanDecider | None:
    """What chooses among possible mentions; None: the most probable legal tags are taken."""
    if not classifier.note.get("decisions"):
        return None
    if layers.by_label or NONE in layers.labels:
        problem = f"{NOTE} beside the weights has decisions, which a head like this one cannot have"
        raise InputError(problem, remedy=_AGAIN)
    counts = None
    if (number := counted_sentences(classifier)) is not None:
        counts = TrainCounts(train[:number], layers.labels)
        if counts.digest != classifier.note["counted"].get("sha256"):
            problem = "the model's decisions weigh how often its train split annotates a phrase, and this is another train split"
            remedy = "Use the corpus= settings of its training; a model for other corpora needs tuning.decisions=fitted."
            raise InputError(problem, remedy=remedy)
    named = {"name": f"the entry decisions of {NOTE} beside the weights", "remedy": _AGAIN}
    decisions = read_decisions(classifier.note["decisions"], layers.labels, **named)
    return SpanDecider(layers.lattices[0], layers.labels, decisions, counts)


def decided(sentence: Sentence, reading: Reading, decider: SpanDecider) -> dict[str, Any]:
    """A sentence's record for `predictions.jsonl`: the mentions that decisions choose, and a confidence for each tag."""
    pred, confidence = decider.tags(reading.log_probs.astype(np.float64), Words.of(sentence))
    return _record(sentence, reading, {"pred": pred, "confidence": confidence})


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
