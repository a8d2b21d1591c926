"""Builds an annotator, or loads a program, from a config of `programs.annotate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.tag_layers import TagLayers
from clinspan.lms.specs import Loadable
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.annotation.min_confidence import MinConfidence, refuse_unknown
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.building.build_classifier import classifier_program, classifier_tagger
from clinspan.programs.building.build_run import build_program, model_record, Overrides, program_settings
from clinspan.programs.building.load_program import program_path, read_program
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.classifier_config import PROMPT_KEYS, without_prompt
from clinspan.programs.config.composition import build, compose, load_corpus
from clinspan.programs.config.privacy import check_chroma, check_destinations, Permission
from clinspan.programs.config.setting_types import check_types
from clinspan.programs.config.system_text import check_system_text
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.inference.spending import check_budget, Spending
from clinspan.programs.inference.token_classifier import counted_sentences
from clinspan.programs.rundir.run_record import ModelRecord, RunFacts
from clinspan.programs.tagging.saved_program import dump_classifier, dump_program, fingerprint
from clinspan.programs.tagging.tagger import Ensemble, Tagger


def load_annotator(*, program: str | Path | None, model: str | None, settings: Sequence[str], **config_keys: Any) -> Annotator:
    """Load an annotator; see `Annotator.load` for arguments and errors. `config_keys` are keys of `conf/annotate.yaml`."""
    overrides = [*([] if model is None else [f"model={model}"]), *settings]
    config, chosen, keys = compose("annotate", overrides)
    for key, value in config_keys.items():
        if value is not None:
            config[key] = dict(value) if isinstance(value, Mapping) else value
    check_types(config)
    if program is not None:
        config.program = str(program)
    return build_annotator(*annotator_settings(config, Overrides(chosen, keys)))


def load_program(path: str | Path, *, model: str | None = None, settings: Sequence[str] = ()) -> Tagger | Ensemble:
    """Load a compiled program with its model and format as a DSPy module: `program(tokens=["No", "fever"]).tags`.

    Args:
        path: A `program.json`, or an output folder of `programs.run` or `programs.optimize`.
        model: Same values as `model=` on the command line; None: the default.
        settings: Further overrides, such as `model.path=FOLDER`.

    Raises:
        InputError: The path holds no program, or the program of a token classifier; `Annotator.load` takes the latter.
        ModelError: The model is not available.
    """
    annotator = load_annotator(program=path, model=model, settings=settings, phi=True, allow_remote=False)
    bound = annotator.tagger
    if not isinstance(bound, PromptTagger):
        raise InputError(f"{path} classifies tokens and has no prompt", remedy="Use Annotator.load(program=...).")
    return bound.tagger if isinstance(bound.tagger, Ensemble) else bound.tagger.on(bound.lm, bound.adapter)


def annotator_settings(config: DictConfig, overrides: Overrides) -> tuple[DictConfig, Overrides]:
    """Return the config with the settings of the program that it names, and the overrides with the options of these settings.

    Raises:
        InputError: The program cannot be read, or an override concerns prompts and the model has none.
    """
    config, chosen = program_settings(config, overrides)
    options = {**overrides.choices, **chosen}
    if isinstance(build(config.model), lms.ClassifierModel):
        config = without_prompt(config, overrides.keys, what=f"model={options['model']}")
        options = {key: option for key, option in options.items() if key not in PROMPT_KEYS}
    return config, Overrides(options, overrides.keys)


def build_annotator(config: DictConfig, overrides: Overrides) -> Annotator:
    """Build the annotator that the config describes.

    Raises:
        InputError, ModelError, RunError: As `Annotator.load`.
    """
    spec, segmenter = _checked(config)
    if isinstance(spec, lms.ClassifierModel):
        return _classifying(config, spec, segmenter)
    return _prompting(config, spec, segmenter, overrides)


def check_settings(config: DictConfig, overrides: Overrides) -> bool:
    """Make the checks that `build_annotator` makes before it loads anything, above all whether texts may go to the servers.

    Returns:
        Whether the model is on a server.

    Raises:
        InputError, ModelError, RunError: As `Annotator.load`.
    """
    spec, _ = _checked(config)
    if not isinstance(spec, lms.ClassifierModel):
        _guarded_corpus(config, spec, overrides)
    return not isinstance(spec, Loadable)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _checked(config: DictConfig) -> tuple[Any, Segmenter]:
    segmenter = Segmenter(config.tokenizer, config.sentences, config.longest, _plain(config.rules))
    spec = build(config.model)
    check_budget(config.get("budget"), [spec])
    if isinstance(spec, lms.ReplayModel):
        remedy = "Use it with programs.run, or another model here."
        raise InputError("model=replay only has answers for the sentences of a corpus", remedy=remedy)
    return spec, segmenter


def _classifying(config: DictConfig, spec: lms.ClassifierModel, segmenter: Segmenter) -> Annotator:
    if config.program is not None:
        classifier_program(config.program, spec)
    classifier = lms.build_classifier(spec)
    try:
        labels = TagLayers.of(classifier.classes).labels
    except ValueError:
        problem = f"the model's classes are {', '.join(classifier.classes)}, which are not BIO tags"
        raise InputError(problem, remedy="Tune one with programs.finetune tuning=encoder.") from None
    weights = classifier.weights
    model = ModelRecord(name=spec.name, id=weights.id, revision=weights.revision)
    facts = RunFacts(model=model)
    content = dump_classifier(spec, Corpus("", {}, tuple(map(Label, labels))))
    program = fingerprint([weights.revision, classifier.classes, classifier.note.get("decisions")])
    least = MinConfidence.of(_plain(config.min_confidence), labels)
    by = fingerprint([facts.content(), program, repr(segmenter), *least.identity()])
    tagger = classifier_tagger(classifier, spec, load_corpus(config) if counted_sentences(classifier) else None)
    return Annotator(tagger, Facts(labels, _model_id(model), program, by, facts, content), segmenter, least)


def _prompting(config: DictConfig, spec: lms.ModelSpec, segmenter: Segmenter, overrides: Overrides) -> Annotator:
    corpus = _guarded_corpus(config, spec, overrides)
    check_system_text(config, overrides.keys, spec)
    built = build_program(config, corpus, [], spec, overrides=overrides)
    lm = lms.build(spec)
    check_system_text(config, overrides.keys, spec, lm.engine)
    tagger, adapter = built.on(lm), built.adapter
    model = model_record(spec, lm)
    facts = built.facts.plus(RunFacts(model=model))
    content = dump_program(tagger, corpus)
    program = fingerprint(content)
    base = facts.retrieval or {}
    retrieval = [base.get("content_sha256"), base.get("chunks"), facts.embedder, base.get("embedder")]
    train_sha256 = None if facts.embedder is None else corpus.sha256
    labels = tuple(label.name for label in corpus.labels)
    least = MinConfidence.of(_plain(config.min_confidence), labels)
    spending = None if spec.price is None else Spending(config.get("budget"))
    how: dict[str, Any] = {"concurrency": spec.concurrency, "price": spec.price, "spending": spending}
    prompt_tagger = PromptTagger(tagger=tagger, lm=lm, adapter=adapter, **how)
    if least and not prompt_tagger.gives_confidences:
        refuse_unknown()
    what = [content, model.content(), lm.model, repr(segmenter), config.constrained, retrieval, train_sha256]
    by = fingerprint([*what, *least.identity()])
    return Annotator(prompt_tagger, Facts(labels, _model_id(model), program, by, facts, content, spec.price), segmenter, least)


def _guarded_corpus(config: DictConfig, spec: lms.ModelSpec, overrides: Overrides) -> Corpus:
    """Return the corpus of labels and demonstrations, after checking that its texts and the input go only to permitted servers."""
    leave, texts = Permission.of(config), protected_texts(config)
    check_destinations(texts, what=f"model={spec.name}", addresses=spec.endpoints, leave=leave)
    build(config.strategy)
    check_chroma(texts, url=config.retriever.get("url"), leave=leave)  # a member of an ensemble may search there
    corpus = label_corpus(config, overrides)
    if config.strategy.get("examples") is not None:  # their texts may be of the same kind as the input
        corpus = replace(corpus, phi=corpus.phi or bool(config.phi))
    check_destinations(protected_texts(config, corpus), what=f"model={spec.name}", addresses=spec.endpoints, leave=leave)
    return corpus


def label_corpus(config: DictConfig, overrides: Overrides) -> Corpus:
    """Return the corpus of labels, definitions and demonstrations; `programs.annotation.annotator` says which corpus it is."""
    corpus = load_corpus(config)
    if config.program is None or any(key.split(".")[0] == "corpus" for key in overrides.keys):
        return corpus
    names = list(read_program(program_path(config.program))["labels"])
    if sorted(label.name for label in corpus.labels) == sorted(names):
        return corpus
    return Corpus("the program's labels", {}, tuple(map(Label, names)), phi=False)


def _model_id(model: ModelRecord) -> str:
    return f"{model.id}@{model.revision}" if model.revision else str(model.id)
