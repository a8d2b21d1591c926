"""Builds a run with a token classifier, which has no prompt, format or strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TYPE_CHECKING

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.tag_layers import TagLayers
from clinspan.metrics.scoring import Metric
from clinspan.programs.building.chosen_sentences import sentences_of
from clinspan.programs.building.load_program import check_labels, read_program
from clinspan.programs.building.text_cut import note_other_cut
from clinspan.programs.config.composition import build, load_corpus
from clinspan.programs.inference.token_classifier import ClassifierTagger, counted_sentences
from clinspan.programs.rundir.run_record import ModelRecord, ProgramRecord, RunFacts
from clinspan.programs.tagging.saved_program import CLASSIFIER, dump_classifier

if TYPE_CHECKING:
    from clinspan.lms.classifiers.classifier import TokenClassifier


@dataclass
class ClassifierComponents:
    """The components of a run with a token classifier.

    Attributes:
        corpus: The corpus of the sentences.
        sentences: The sentences of the run.
        split_ids: The sentence ids of the whole split.
        spec: The model's spec.
        metric: How tags are read.
        program: The content of `program.json`.
        asker: The tagger of the sentences.
        facts: Facts for the run's record.
    """

    corpus: Corpus
    sentences: list[Sentence]
    split_ids: list[str]
    spec: lms.ClassifierModel
    metric: Metric
    program: dict[str, Any]
    asker: ClassifierTagger
    facts: RunFacts
    alignment: ClassVar[str] = "tokens"


def build_classifier_run(
    config: DictConfig, spec: lms.ClassifierModel, started: Callable[[Corpus, lms.ClassifierModel], None]
) -> ClassifierComponents:
    """Build everything that a run needs.

    Args:
        config: The run's config.
        spec: The model's spec.
        started: Called as soon as the corpus is known, before anything heavy is loaded.

    Raises:
        InputError: The model's classes are not the corpus' tags, or `program=` names a program with a prompt.
        ModelError: The model is not available, or was not tuned.
    """
    metric: Metric = build(config.metric)
    corpus = load_corpus(config)
    sentences, split_ids = sentences_of(config, corpus)
    started(corpus, spec)
    if config.program is not None:
        content = classifier_program(config.program, spec)
        check_labels(content, corpus, Path(str(config.program)).expanduser())
        note_other_cut(content, corpus)
    classifier = lms.build_classifier(spec)
    check_classes(classifier.classes, corpus)
    facts = RunFacts(model=ModelRecord(name=spec.name, id=classifier.weights.id, revision=classifier.weights.revision))
    if config.program is not None:
        facts = facts.plus(RunFacts(program=ProgramRecord(path=str(config.program))))
    content = dump_classifier(spec, corpus)
    tagger = classifier_tagger(classifier, spec, corpus)
    return ClassifierComponents(corpus, sentences, split_ids, spec, metric, content, tagger, facts)


def classifier_tagger(classifier: TokenClassifier, spec: lms.ClassifierModel, corpus: Corpus | None) -> ClassifierTagger:
    """The tagger of a token classifier, with the train split of a corpus if its decisions weigh counts of it."""
    number = counted_sentences(classifier)
    train = [] if number is None or corpus is None else list(corpus.sentences("train"))
    return ClassifierTagger(classifier, spec.batch_size, train)


def classifier_program(program: str, spec: lms.ClassifierModel) -> dict[str, Any]:
    """The content of a token classifier's program.

    Raises:
        InputError: The program has a prompt, or it cannot be read.
    """
    content = read_program(Path(str(program)).expanduser())
    if CLASSIFIER not in content:
        problem = f"program={program} is a prompt, and model={spec.name} classifies tokens without one"
        raise InputError(problem, remedy="Leave program= out, or use a model that answers prompts.")
    return content


def check_classes(classes: Sequence[str], corpus: Corpus) -> None:
    """Refuse a model whose classes are neither the tags of a corpus nor those of a layer for each of its labels.

    Raises:
        InputError: They differ; the message names both.
    """
    names = [label.name for label in corpus.labels]
    if not _fits(classes, set(names)):
        labels = ", ".join(names)
        problem = f"the model's classes are {', '.join(classes)}; {corpus.name} has O, B- and I- of {labels}"
        raise InputError(problem, remedy="Tune one for this corpus with programs.finetune tuning=encoder.")


def _fits(classes: Sequence[str], names: set[str]) -> bool:
    try:
        layers = TagLayers.of(classes)
    except ValueError:
        return False
    return set(layers.labels) == names if layers.by_label else set(classes) == set(bio_classes(names))
