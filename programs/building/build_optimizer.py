"""Builds the context of an optimizer from a config of `programs.optimize`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.printable import plural
from clinspan.metrics.scoring import Metric
from clinspan.programs.building.build_run import build_program, model_record, Overrides, saved_parts, with_settings
from clinspan.programs.building.build_tagger import build_tagger
from clinspan.programs.building.chosen_sentences import choose_sentences
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.classifier_config import prompted
from clinspan.programs.config.composition import build, group_option, load_corpus, object_of, plain_settings
from clinspan.programs.config.privacy import check_destinations, Permission
from clinspan.programs.config.system_text import check_system_text
from clinspan.programs.formats import Format
from clinspan.programs.inference.spending import check_budget, Spending
from clinspan.programs.optimizers import CandidateEvaluator, OptimizationContext, SeqevalF1
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.candidate_evaluator import Watch
from clinspan.programs.rundir.open_run import corpus_entry
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.run_record import ModelRecord, OptimizerRecord, RunFacts, RunRecord
from clinspan.programs.tagging.saved_program import GROUPS, member_states, PLAIN
from clinspan.programs.tagging.tagger import Ensemble, Tagger

_MISSING = object()


def without_test(corpus: Corpus) -> Corpus:
    """The corpus that optimizers see: train and dev only."""
    return replace(corpus, splits={name: documents for name, documents in corpus.splits.items() if name != "test"})


def limited(corpus: Corpus, split: str, limit: int | None) -> Corpus:
    """The corpus with only the first `limit` sentences of a split; None: all of them."""
    if limit is None:
        return corpus
    ids = {sentence.id for sentence in choose_sentences(corpus, split, limit)[0]}
    documents = [replace(d, sentences=tuple(s for s in d.sentences if s.id in ids)) for d in corpus.splits[split]]
    return replace(corpus, splits={**corpus.splits, split: tuple(d for d in documents if d.sentences)})


def about_test(whole: Corpus, train: Sequence[Sentence], dev: Sequence[Sentence]) -> str:
    """The note on the test split for a run's record: it is left out, and how many of its sentences also occur in train or dev."""
    words = {sentence.words for sentence in (*train, *dev)}
    test = list(whole.sentences("test"))
    overlap = sum(sentence.words in words for sentence in test)
    note = "not seen: the test split is left out before anything is built"
    have = plural(overlap, "has", "have")
    return f"{note}; {overlap} of its {len(test)} sentences {have} the same words as a train or dev sentence" if overlap else note


def refuse_test_demonstrations(tagger: Tagger, whole: Corpus) -> None:
    """Refuse a start program with a demonstration from the test split: a later test score would not be on unseen sentences.

    Raises:
        InputError: There is such a demonstration; the message names the sentence.
    """
    ids = {sentence.id for sentence in whole.sentences("test")}
    train = {sentence.words for sentence in whole.sentences("train")}
    words = {sentence.words for sentence in whole.sentences("test")} - train
    for demo in tagger.tag.demos:
        if demo.get("id") in ids or tuple(demo["tokens"]) in words:
            problem = f"the program's demonstration {demo.get('id', '')} is a sentence of the test split"
            raise InputError(problem, remedy="Start from another program, or use other demonstrations: strategy=few_shot.")


def check_writer(config: DictConfig, spec: lms.ModelSpec, optimizer: str) -> None:
    """Refuse an optimizer whose instructions a local model would write unasked: few of them can.

    Raises:
        InputError: It is one, and no writing model is named.
    """
    writes = getattr(object_of(config.optimizer._target_), "writes_instructions", False)
    if writes and not config.reflection_model and isinstance(spec, lms.LocalModel):
        remedy = "Name a capable model that writes them: reflection_model=gpt5, or another one, also a local one."
        raise InputError(f"optimizer={optimizer} needs a model that writes instructions, besides model={spec.name}", remedy=remedy)


def with_pool(config: DictConfig) -> DictConfig:
    """The config with `strategy.pool` set to `train_limit` by default.

    Later runs of the program then take demonstrations from the same sentences as its compilation.
    """
    if config.train_limit is None or config.strategy.get("pool") is not None:
        return config
    own = config.copy()
    own.strategy.pool = config.train_limit
    return own


def build_optimization(
    config: DictConfig,
    folder: RunFolder,
    record: RunRecord,
    metric: Metric,
    watch: Watch,
    *,
    started: Callable[[RunFacts], None],
) -> tuple[OptimizationContext, RunFacts]:
    """Load corpus and models, and build the start program and the context of the optimizer.

    Args:
        config: The compilation's config.
        folder: Its folder, where the candidates are kept.
        record: Its record so far: the user's overrides and, if it is resumed, its corpus.
        metric: How tags are read.
        watch: Called with the progress.
        started: Called with facts for the record as soon as corpus and models are known, before anything heavy is loaded.

    Returns:
        The context, and further facts for the record.
    """
    spec = prompted(build(config.model), "so there is no prompt to optimize")
    whole = load_corpus(config)
    config = with_pool(config)
    corpus = limited(without_test(whole), "train", config.train_limit)
    train, _ = choose_sentences(corpus, "train", None)
    dev, _ = choose_sentences(corpus, "dev", config.dev_limit)
    writer_spec: lms.ModelSpec | None = build(config.reflection_model) if config.reflection_model else None
    for group, model in (("model", spec), ("reflection_model", writer_spec)):
        if model is not None:
            texts = protected_texts(config, corpus)
            check_destinations(texts, what=f"{group}={model.name}", addresses=model.endpoints, leave=Permission.of(config))
    check_budget(config.budget, filter(None, [spec, writer_spec]))
    settings = {key: value for key, value in plain_settings(config.optimizer).items() if key != "_target_"}
    facts = RunFacts(
        corpus=corpus_entry(record, whole, "dev", folder.path),
        optimizer=OptimizerRecord.model_validate({"name": record.choices["optimizer"], **settings}),
        trainset=[s.id for s in train],
        devset=[s.id for s in dev],
        test=about_test(whole, train, dev),
        test_sentences=sum(1 for _ in whole.sentences("test")),
        model=ModelRecord(name=spec.name),
    )
    started(facts)
    check_system_text(config, record.given, spec)
    check_writer(config, spec, record.choices["optimizer"])
    program = build_program(config, corpus, dev, spec, overrides=Overrides.of(record))
    if program.votes:
        raise InputError("a program that votes cannot be optimized further", remedy="Start from one of its members.")
    tagger, adapter = program.members[0].tagger, program.adapter
    refuse_test_demonstrations(tagger, whole)
    lm = lms.build(spec)
    check_system_text(config, record.given, spec, lm.engine)
    writer = lms.build(writer_spec) if writer_spec else lm
    writing = writer_spec.name if writer_spec else spec.name
    built_facts = program.facts.plus(RunFacts(model=model_record(spec, lm), reflection_model=writing))
    objective = SeqevalF1(
        tuple(label.name for label in corpus.labels),
        metric.mode,
        config.target,
        {label.name: label.definition for label in corpus.labels},
        adapter.called,
    )
    evaluator = CandidateEvaluator(
        dev,
        objective,
        lm=lm,
        concurrency=spec.concurrency,
        halving=build(config.halving),
        folder=folder.path / "candidates",
        seed=config.seed,
        watch=watch,
        stop_after=config.stop_after,
        prices={lm.model: spec.price, **({} if writer_spec is None else {writer.model: writer_spec.price})},
    )
    if any(evaluator.prices.values()):
        evaluator.spending = Spending(config.budget, evaluator.spent())

    maker = _Maker(config, corpus, dev, spec, lm, record, trained=tagger.settings.get("adapter"))
    start = Candidate(tagger.on(lm, adapter, disable_history=True), adapter, corpus, "start")
    teacher = None
    if writer_spec is not None:
        member = build_program(config, corpus, dev, writer_spec, overrides=Overrides.of(record), quiet=True).members[0]
        taught = member.tagger.on(writer, member.adapter, disable_history=True)
        teacher = Candidate(taught, member.adapter, corpus, "teacher", writer, writer_spec.concurrency)
    context = OptimizationContext(
        corpus=corpus,
        train=train,
        start=start,
        evaluator=evaluator,
        objective=objective,
        lm=lm,
        writer=writer,
        teacher=teacher,
        seed=config.seed,
        spec=spec,
        folder=folder.path,
        progress=lambda step, steps, loss: watch(f"training, loss {loss:.3f}", step, steps, evaluator.best_f1),
        variant=maker.variant,
        allow=maker.allow,
        recall=maker.recall,
    )
    return context, built_facts


@dataclass(frozen=True)
class _Maker:
    """Makes candidates on the run's model.

    Attributes:
        config: The run's config.
        corpus: Train and dev.
        dev: The dev sentences that candidates are measured on.
        spec: The model's spec.
        lm: The model.
        record: The run's record.
        trained: The start program's settings of its own trained weights; None if it has none.
    """

    config: DictConfig
    corpus: Corpus
    dev: Sequence[Sentence]
    spec: lms.ModelSpec
    lm: dspy.LM
    record: RunRecord
    trained: Any

    def variant(self, changes: Mapping[str, Any], by: str) -> Candidate:
        """See `OptimizationContext.variant`."""
        own, chosen = self._changed(changes)
        tagger, form = self._member(with_pool(own), chosen, None)
        return Candidate(tagger, form, self.corpus, by)

    def allow(self, changes: Mapping[str, Any]) -> None:
        """See `OptimizationContext.allow`."""
        if self.config.program is not None:
            raise InputError("settings are searched from the start, without program=", remedy="Leave program= out.")
        build(self._changed(changes)[0].strategy)

    def recall(self, content: Mapping[str, Any], by: str) -> Candidate | None:
        """See `OptimizationContext.recall`."""
        members = []
        for state in member_states(content):
            if state["settings"].get("adapter") != self.trained:
                return None
            own, chosen = with_settings(self.config, state["settings"], frozenset())
            tagger, form = self._member(own, chosen, saved_parts(state, frozenset()))
            tagger.settings = dict(state["settings"])
            members.append((tagger, form))
        tagger, form = members[0]
        return Candidate(Ensemble([member for member, _ in members]) if "members" in content else tagger, form, self.corpus, by)

    def _changed(self, changes: Mapping[str, Any]) -> tuple[DictConfig, dict[str, str]]:
        return changed(self.config, changes, self.record.given)

    def _member(self, config: DictConfig, chosen: Mapping[str, str], state: Mapping[str, Any] | None) -> tuple[Tagger, Format]:
        options = {**self.record.choices, **chosen}
        built = build_tagger(config, self.corpus, self.dev, self.spec, chosen=options, state=state)
        return built.tagger.on(self.lm, built.adapter, disable_history=True), built.adapter


def changed(config: DictConfig, changes: Mapping[str, Any], given: Collection[str] = ()) -> tuple[DictConfig, dict[str, str]]:
    """The config with the changes applied, and the changed groups with their new options. Groups are changed before keys.

    Args:
        config: The config of the compiled program.
        changes: Values by key or group.
        given: Keys that the user has set. They also apply to another option of their group, unless they are changed.

    Raises:
        InputError: A key does not exist, or a program does not save it.
    """
    own = config.copy()
    chosen: dict[str, str] = {}
    groups = (*GROUPS, "prompt")
    for group in (key for key in changes if key in groups):
        chosen[group] = str(changes[group])
        OmegaConf.set_struct(own, False)
        own[group] = group_option(group, chosen[group])
        for key in given:
            if key.startswith(f"{group}.") and OmegaConf.select(own, key, default=_MISSING) is not _MISSING:
                OmegaConf.update(own, key, OmegaConf.select(config, key))
        OmegaConf.set_struct(own, True)
    for key, value in changes.items():
        if key in groups:
            continue
        if key not in (*PLAIN, "seed") and key.split(".")[0] not in GROUPS:
            raise InputError(f"{key} is not searched", remedy=f"Search keys of {', '.join((*groups, *PLAIN, 'seed'))}.")
        if OmegaConf.select(own, key, default=_MISSING) is _MISSING:
            raise InputError(f"there is no {key} to search", remedy="See conf/ for the keys.")
        OmegaConf.update(own, key, value)
    return own, chosen
