"""Builds the components of a run from its config: corpus, model, format, program."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.build import Cutting
from clinspan.lms.protocols import LocalEngine
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.metrics.scoring import Metric
from clinspan.programs.building.build_demonstrations import check_drawn, DRAWN, GIVEN, tell
from clinspan.programs.building.build_tagger import build_tagger, BuiltTagger
from clinspan.programs.building.chosen_sentences import sentences_of
from clinspan.programs.building.demonstration_checks import check_demonstrations
from clinspan.programs.building.load_program import (
    adapter_folder,
    check_labels,
    check_sources,
    classifier_model,
    maker,
    program_cut,
    program_path,
    read_program,
)
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.building.text_cut import note_other_cut, with_cut
from clinspan.programs.building.workload import workload_of
from clinspan.programs.config.classifier_config import prompted
from clinspan.programs.config.composition import build, chosen_options, group_option, load_corpus, overridden_keys
from clinspan.programs.config.privacy import check_destinations, Permission
from clinspan.programs.config.system_text import check_system_text
from clinspan.programs.formats import Format
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.rundir.origin import read_origin
from clinspan.programs.rundir.run_record import ModelRecord, ProgramRecord, RunFacts
from clinspan.programs.tagging.calibrated import CONFIDENCE
from clinspan.programs.tagging.confidence_fit import confidence_fingerprint
from clinspan.programs.tagging.saved_program import CLASSIFIER, dump_program, fingerprint, GROUPS, member_states, PLAIN, RETRIEVER
from clinspan.programs.tagging.tagger import Ensemble, Tagger


@dataclass
class RunComponents:
    """The components of a run. The model is built last, because it takes longest."""

    corpus: Corpus
    sentences: list[Sentence]
    split_ids: list[str]
    spec: lms.ModelSpec
    adapter: Format
    metric: Metric
    tagger: Tagger | Ensemble
    lm: dspy.LM
    facts: RunFacts
    built: BuiltProgram

    @property
    def program(self) -> dict[str, Any]:
        """The content of `program.json`."""
        return dump_program(self.tagger, self.corpus)

    @property
    def asker(self) -> PromptTagger:
        """The tagger of the sentences."""
        how: dict[str, Any] = {"concurrency": self.spec.concurrency, "price": self.spec.price}
        return PromptTagger(tagger=self.tagger, lm=self.lm, adapter=self.adapter, **how)

    @property
    def alignment(self) -> str:
        """How answers are aligned to tokens."""
        return self.adapter.alignment


@dataclass(frozen=True)
class Overrides:
    """The user's overrides of this run, or of the run that is resumed.

    Attributes:
        choices: The option of each group.
        keys: Keys and groups that were set, which take precedence over the program's own.
    """

    choices: Mapping[str, str]
    keys: frozenset[str]

    @classmethod
    def now(cls) -> Overrides:
        """The overrides on the command line."""
        return cls(chosen_options(), frozenset(overridden_keys()))

    @classmethod
    def of(cls, record: RunFacts) -> Overrides:
        """The overrides in a run's record."""
        return cls(record.choices, frozenset(record.given))


def build_run(
    config: DictConfig, started: Callable[[Corpus, lms.ModelSpec], None], overrides: Overrides | None = None
) -> RunComponents:
    """Build everything that a run needs.

    Args:
        config: The run's config.
        started: Called as soon as corpus and model are known, before anything heavy is loaded.
        overrides: The user's overrides; None: those on the command line.
    """
    metric: Metric = build(config.metric)
    spec = prompted(build(config.model), "and this run needs a prompt")
    corpus = load_corpus(config)
    sentences, split_ids = sentences_of(config, corpus)
    texts = protected_texts(config, corpus)
    check_destinations(texts, what=f"model={spec.name}", addresses=spec.endpoints, leave=Permission.of(config))
    build(config.strategy)
    started(corpus, spec)
    outputs = _recorded(spec, corpus, split_ids, [sentence.id for sentence in sentences])
    overrides = overrides or Overrides.now()
    check_system_text(config, overrides.keys, spec)
    program = build_program(config, corpus, sentences, spec, overrides=overrides)
    lm = lms.build(spec, outputs=outputs, workload=functools.partial(workload_of, program.members, sentences))
    check_system_text(config, overrides.keys, spec, lm.engine)
    facts = program.facts.plus(RunFacts(model=model_record(spec, lm)))
    return RunComponents(corpus, sentences, split_ids, spec, program.adapter, metric, program.on(lm), lm, facts, program)


def model_record(spec: lms.ModelSpec, lm: dspy.LM) -> ModelRecord:
    """The model's name, id and revision; of a local one also the number format and the devices that it computes in and on."""
    engine = lm.engine
    if not isinstance(engine, LocalEngine):
        return ModelRecord(name=spec.name, id=lm.model, revision=None)
    facts = {"name": spec.name, "id": engine.weights.id, "revision": engine.weights.revision}
    return ModelRecord.model_validate(facts | getattr(engine, "computing", {}))


@dataclass(frozen=True)
class BuiltProgram:
    """A program before its model is loaded.

    Attributes:
        members: Its taggers, each with its format. Several taggers vote.
        votes: Whether it is an ensemble, possibly of one member.
        source: Path and fingerprint of the saved program; None if the config describes the program.
        confidence: The saved program's map of confidences, if it was fitted to this prompt and model.
    """

    members: tuple[BuiltTagger, ...]
    votes: bool = False
    source: ProgramRecord | None = None
    confidence: ConfidenceMap | None = None

    @property
    def facts(self) -> RunFacts:
        """What `run.json` says about the program: where members differ, the last one."""
        facts = RunFacts() if self.source is None else RunFacts(program=self.source)
        for member in self.members:
            facts = facts.plus(member.facts)
        return facts

    @property
    def adapter(self) -> Format:
        """The format; for an ensemble that of its first member."""
        return self.members[0].adapter

    def on(self, lm: dspy.LM) -> Tagger | Ensemble:
        """The program with its model, and with its map of confidences."""
        if not self.votes:
            return self.members[0].tagger.calibrated(self.confidence)
        return Ensemble([member.tagger.on(lm, member.adapter) for member in self.members]).calibrated(self.confidence)


def build_program(
    config: DictConfig,
    corpus: Corpus,
    sentences: Sequence[Sentence],
    spec: lms.ModelSpec,
    *,
    overrides: Overrides,
    quiet: bool = False,
) -> BuiltProgram:
    """Build the program that the config describes or that `program=` names.

    Unless it is to be `quiet`, say on standard error what new fixed demonstrations show.
    """
    if config.program is None:
        check_drawn(config, overrides.keys)
        built = build_tagger(config, corpus, sentences, spec, chosen=overrides.choices)
        tell([] if quiet else built.tagger.tag.demos, corpus)
        check_demonstrations(built, corpus, sentences, quiet=quiet)
        return BuiltProgram((built,))
    path = program_path(config.program)
    content = read_program(path)
    if CLASSIFIER in content:
        problem = f"program={config.program} is a token classifier, and model={spec.name} answers prompts"
        raise InputError(problem, remedy="Leave model= out: the program brings its own.")
    check_labels(content, corpus, path)
    note_other_cut(content, corpus)
    members = []
    for state in member_states(content):
        check_sources(path, state["settings"], overrides.keys)
        own, chosen = with_settings(config, state["settings"], overrides.keys)
        check_drawn(own, overrides.keys)
        saved = saved_parts(state, overrides.keys)
        options = {**overrides.choices, **chosen}
        origin = read_origin(content) if saved else None
        trained = state["settings"].get("adapter")
        trained = trained and {**trained, "folder": str(adapter_folder(path, state["settings"], _own_weights(config, overrides)))}
        members.append(build_tagger(own, corpus, sentences, spec, chosen=options, state=saved, origin=origin, trained=trained))
        tell([] if quiet or "demos" in saved else members[-1].tagger.tag.demos, corpus)
        check_demonstrations(members[-1], corpus, sentences, saved="demos" in saved, quiet=quiet)
    source = ProgramRecord(path=str(config.program), id=fingerprint(content), **maker(path))
    confidence = _confidence(content, members, spec, quiet=quiet)
    return BuiltProgram(tuple(members), votes="members" in content, source=source, confidence=confidence)


def _confidence(
    content: Mapping[str, Any], members: Sequence[BuiltTagger], spec: lms.ModelSpec, *, quiet: bool
) -> ConfidenceMap | None:
    """The program's map of confidences; None if it has none, or, which is said, if it belongs to another prompt or model."""
    saved = ConfidenceMap.saved(content.get(CONFIDENCE))
    if saved is None or saved.fingerprint == confidence_fingerprint([(one.tagger, one.adapter) for one in members], spec):
        return saved
    if not quiet:
        problem = "the program's map of confidences was fitted to another prompt or model, and is not used"
        print(f"clinspan: {problem}. To fit one: programs.optimize optimizer=confidence", file=sys.stderr)
    return None


def saved_parts(state: Mapping[str, Any], overrides: frozenset[str]) -> dict[str, Any]:
    """The demonstrations and instructions of a saved tagger, without those that the overrides replace."""
    parts = {"signature": state["tag"]["signature"], "demos": state["tag"]["demos"]}
    if overrides & {"strategy", "strategy.demonstrations", *DRAWN, *GIVEN}:
        del parts["demos"]
    if any(key.partition(".")[0] == "prompt" for key in overrides):
        del parts["signature"]
    return parts


def program_settings(config: DictConfig, overrides: Overrides | None = None) -> tuple[DictConfig, dict[str, str]]:
    """The config with the settings and trained weights of the program that it names, and the options of the program's groups.

    The user's overrides, by default those on the command line, take precedence over the program's settings.
    """
    if config.program is None:
        return with_cut(config, Cutting("clinical", "clinical"), frozenset()), {}
    overrides = overrides or Overrides.now()
    path = program_path(config.program)
    content = read_program(path)
    config = with_cut(config, program_cut(content, path), overrides.keys)
    if CLASSIFIER in content:
        return with_classifier(config, path, content, overrides)
    settings = member_states(content)[0]["settings"]
    check_sources(path, settings, overrides.keys)
    own, chosen = with_settings(config, settings, overrides.keys)
    trained = settings.get("adapter", {})
    use = "path" if trained.get("use") == "path" else "adapter"
    if trained.get("model") == own.model.name and own.model.get(use, "") is None:
        own.model[use] = str(adapter_folder(path, settings, {}))
    return own, chosen


def _own_weights(config: DictConfig, overrides: Overrides) -> dict[str, str | None]:
    """The `path` and `adapter` of the model that the user has set."""
    return {use: config.model.get(use) if f"model.{use}" in overrides.keys else None for use in ("path", "adapter")}


def with_classifier(
    config: DictConfig, path: Path, content: Mapping[str, Any], overrides: Overrides
) -> tuple[DictConfig, dict[str, str]]:
    """The config with the token classifier of a program, and its `model` option. A model that the user has set takes precedence."""
    name, keys = classifier_model(path, content, _own_weights(config, overrides))
    if "model" in overrides.keys and overrides.choices.get("model") != name:
        return config, {}
    own = config.copy()
    OmegaConf.set_struct(own, False)
    own.model = group_option("model", name)
    own.model.update(keys)
    for key in overrides.keys:
        if key.startswith("model."):
            OmegaConf.update(own, key, OmegaConf.select(config, key))
    OmegaConf.set_struct(own, True)
    return own, {"model": name}


def with_settings(config: DictConfig, settings: Mapping[str, Any], overrides: frozenset[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config with a program's settings, and the options of its groups. Keys that the user has set take precedence."""
    own = config.copy()
    OmegaConf.set_struct(own, False)
    chosen: dict[str, str] = {}
    for group in (*GROUPS, RETRIEVER):
        if group not in overrides and group in settings:
            keys = dict(settings[group])
            chosen[group] = str(keys.pop("choice"))
            own[group] = OmegaConf.merge(group_option(group, chosen[group]), keys)
            if group == RETRIEVER and "url" in own[group]:
                own[group].url = config[group].get("url")
    own.update({key: settings[key] for key in PLAIN if key not in overrides})
    for key in overrides:
        if "." in key and key.split(".")[0] in chosen:
            OmegaConf.update(own, key, OmegaConf.select(config, key))
    OmegaConf.set_struct(own, True)
    return own, chosen


def _recorded(
    spec: lms.ModelSpec, corpus: Corpus, split_ids: Sequence[str], requested: Sequence[str]
) -> dict[tuple[str, str], str] | None:
    if not isinstance(spec, lms.ReplayModel):
        return None
    from clinspan.lms.replay import load_outputs

    if not spec.path:
        raise InputError("model=replay needs recorded outputs", remedy="Add model.path=FILE.jsonl.")
    every = {sentence.id for split in corpus.splits for sentence in corpus.sentences(split)} if corpus.divided else set()
    return load_outputs(Path(spec.path).expanduser(), split_ids, requested, others=every - set(split_ids))
