"""Tagging with a model that was tuned to classify tokens: no prompt, no format, no strategy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

import lms
from corpora import Corpus, InputError, Sentence
from corpora.bio import bio_classes
from corpora.viterbi import Lattice
from lms.memory import OutOfMemoryError
from programs.assemble import choose_sentences
from programs.compiled import check_labels, CLASSIFIER, dump_classifier, read_program
from programs.composing import build, load_corpus
from programs.predict import blank_record, failed_record
from programs.scoring import Metric
from programs.tracing import traced

if TYPE_CHECKING:
    from lms.classifier import Reading, TokenClassifier

_TOGETHER = 8


@dataclass
class Classification:
    """What a run with a token classifier is made of.

    Attributes:
        corpus: Where the sentences are from.
        sentences: Those of the run.
        split_ids: Of the whole split.
        spec: The model.
        metric: How tags are read.
        classifier: The model, loaded.
        program: The content of `program.json`.
        facts: For the run's record.
    """

    corpus: Corpus
    sentences: list[Sentence]
    split_ids: list[str]
    spec: lms.ClassifierModel
    metric: Metric
    classifier: TokenClassifier
    program: dict[str, Any]
    facts: dict[str, Any]
    alignment: ClassVar[str] = "tokens"

    @property
    def asker(self) -> ClassifierAsker:
        """What tags the sentences."""
        return ClassifierAsker(self.classifier, self.spec.batch_size)


class ClassifierAsker:
    """Has sentences tagged by a token classifier; keeps nothing. Threads that share it take turns.

    Args:
        classifier: The model.
        batch_size: Sentences that are read together.
    """

    def __init__(self, classifier: TokenClassifier, batch_size: int) -> None:
        self.classifier, self._size = classifier, batch_size * _TOGETHER
        self._lattice = Lattice.of(classifier.classes)
        self._turn = threading.Lock()

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        """Each sentence with its line of `predictions.jsonl`, those alike in length together."""
        todo = sorted(sentences, key=lambda s: len(s.tokens))
        for start in range(0, len(todo), self._size):
            group = todo[start : start + self._size]
            with self._turn, traced("classify", sentences=len(group)):
                readings = self._readings(group)
            for sentence, reading in zip(group, readings, strict=True):
                if reading is None:
                    yield sentence, failed_record(sentence, "out_of_memory")
                else:
                    yield sentence, tagged(sentence, reading, self._lattice)

    def _readings(self, group: Sequence[Sentence]) -> list[Reading | None]:
        """What the model says of each; None of one that memory does not hold even alone."""
        try:
            return [*self.classifier.classify([sentence.words for sentence in group])]
        except OutOfMemoryError:
            middle = len(group) // 2
            return [None] if len(group) == 1 else [*self._readings(group[:middle]), *self._readings(group[middle:])]


def tagged(sentence: Sentence, reading: Reading, lattice: Lattice) -> dict[str, Any]:
    """A sentence's line of `predictions.jsonl`: the likeliest legal tags, and the posterior probability of each."""
    scores = reading.log_probs.astype(np.float64)
    pred = lattice.decode(scores)
    said = {"pred": pred, "confidence": lattice.confidence(scores, pred), "raw": None}
    return {**blank_record(sentence), **said, "repairs": {}, "usage": {"pieces": reading.pieces}, "error": None}


def build_classification(
    config: DictConfig, spec: lms.ClassifierModel, started: Callable[[Corpus, lms.ClassifierModel], None]
) -> Classification:
    """Build everything that a run needs.

    Args:
        config: The run's config.
        spec: The model.
        started: Called as soon as the corpus is known, before anything heavy is loaded.

    Raises:
        InputError: The model's classes are not the corpus' tags, or `program=` names a prompt.
        ModelError: The model cannot be had, or was not tuned.
    """
    metric: Metric = build(config.metric)
    corpus = load_corpus(config)
    sentences, split_ids = choose_sentences(corpus, config.split, config.limit)
    started(corpus, spec)
    facts: dict[str, Any] = {}
    if config.program is not None:
        check_labels(classifier_program(config.program, spec), corpus)
        facts["program"] = {"path": str(config.program)}
    classifier = lms.build_classifier(spec)
    check_classes(classifier.classes, corpus)
    facts["model"] = {"name": spec.name, "id": classifier.weights.id, "revision": classifier.weights.revision}
    return Classification(corpus, sentences, split_ids, spec, metric, classifier, dump_classifier(spec, corpus), facts)


def classifier_program(program: str, spec: lms.ClassifierModel) -> dict[str, Any]:
    """The content of the program that goes with a model.

    Raises:
        InputError: It is a prompt, or cannot be read.
    """
    content = read_program(Path(str(program)).expanduser())
    if CLASSIFIER not in content:
        problem = f"program={program} is a prompt, and model={spec.name} classifies tokens without one"
        raise InputError(problem, remedy="Leave program= out, or use a model that answers prompts.")
    return content


def check_classes(classes: Sequence[str], corpus: Corpus) -> None:
    """Refuse a model whose classes are not the tags of a corpus.

    Raises:
        InputError: Names both sides'.
    """
    if set(classes) != set(bio_classes(label.name for label in corpus.labels)):
        labels = ", ".join(label.name for label in corpus.labels)
        problem = f"the model tells apart {', '.join(classes)}; {corpus.name} has O, B- and I- of {labels}"
        raise InputError(problem, remedy="Tune one for this corpus with programs.finetune tuning=encoder.")
