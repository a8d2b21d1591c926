"""Builds a run with a token classifier: no prompt, no format, no strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TYPE_CHECKING

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.bio import bio_classes
from clinspan.metrics.scoring import Metric
from clinspan.programs.app.build_run import choose_sentences
from clinspan.programs.app.config import build, load_corpus
from clinspan.programs.app.load_program import check_labels, read_program
from clinspan.programs.inference.token_classifier import ClassifierTagger
from clinspan.programs.tagging.saved_program import CLASSIFIER, dump_classifier

if TYPE_CHECKING:
    from clinspan.lms.classifiers.classifier import TokenClassifier


@dataclass
class ClassifierComponents:
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
    def asker(self) -> ClassifierTagger:
        """What tags the sentences."""
        return ClassifierTagger(self.classifier, self.spec.batch_size)


def build_classifier_run(
    config: DictConfig, spec: lms.ClassifierModel, started: Callable[[Corpus, lms.ClassifierModel], None]
) -> ClassifierComponents:
    """Build everything that a run needs.

    Args:
        config: The run's config.
        spec: The model.
        started: Called as soon as the corpus is known, before anything heavy is loaded.

    Raises:
        InputError: The model's classes are not the corpus' tags, or `program=` names a prompt.
        ModelError: The model is not available, or was not tuned.
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
    return ClassifierComponents(corpus, sentences, split_ids, spec, metric, classifier, dump_classifier(spec, corpus), facts)


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
