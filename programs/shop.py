"""From a config to what an optimizer works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dspy
from omegaconf import DictConfig, OmegaConf

import lms
from corpora import Corpus, InputError
from programs.assemble import build_program, choose_sentences, load_corpus, model_facts, Said
from programs.compiled import GROUPS, PLAIN
from programs.composing import build, group_option
from programs.member import build_member
from programs.optimizers import Judge, Objective, Workshop
from programs.optimizers.candidate import Candidate
from programs.optimizers.judge import Watch
from programs.privacy import check_privacy
from programs.promptless import prompted
from programs.records import note_corpus, RunFolder
from programs.scoring import Metric
from programs.tagger import Ensemble, Tagger

_MISSING = object()


def without_test(corpus: Corpus) -> Corpus:
    """The corpus as optimizers see it: train and dev."""
    return replace(corpus, splits={name: documents for name, documents in corpus.splits.items() if name != "test"})


def limited(corpus: Corpus, split: str, limit: int | None) -> Corpus:
    """The corpus with the first so many sentences of a split.

    Raises:
        InputError: The limit is not positive.
    """
    if limit is None:
        return corpus
    kept = {sentence.id for sentence in choose_sentences(corpus, split, limit)[0]}
    documents = [replace(d, sentences=tuple(s for s in d.sentences if s.id in kept)) for d in corpus.splits[split]]
    return replace(corpus, splits={**corpus.splits, split: tuple(d for d in documents if d.sentences)})


def with_pool(config: DictConfig) -> DictConfig:
    """The config whose programs take demonstrations from where they are compiled, so that later runs take the same."""
    if config.train_limit is None or config.strategy.get("pool") is not None:
        return config
    own = config.copy()
    own.strategy.pool = config.train_limit
    return own


def open_shop(config: DictConfig, folder: RunFolder, record: dict[str, Any], metric: Metric, watch: Watch) -> Workshop:
    """Load corpus and models, and build the program to begin with."""
    spec = prompted(build(config.model), "so there is no prompt to optimize")
    whole = load_corpus(config)
    config = with_pool(config)
    corpus = limited(without_test(whole), "train", config.train_limit)
    train, _ = choose_sentences(corpus, "train", None)
    dev, _ = choose_sentences(corpus, "dev", config.dev_limit)
    writer_spec: lms.ModelSpec | None = build(config.reflection_model) if config.reflection_model else None
    for what, one in (("model", spec), ("reflection_model", writer_spec)):
        if one is not None:
            check_privacy(corpus, f"{what}={one.name}", one.remote_host, config.allow_remote)
    note_corpus(record, whole, "dev", folder)
    about = OmegaConf.to_container(config.optimizer, resolve=True)
    assert isinstance(about, dict)
    record["optimizer"] = {
        "name": record["choices"]["optimizer"],
        **{key: value for key, value in about.items() if key != "_target_"},
    }
    record["trainset"], record["devset"] = [s.id for s in train], [s.id for s in dev]
    record["test"] = "not seen: the test split is left out before anything is built"
    record["model"] = {"name": spec.name}
    folder.write("run.json", record)
    facts: dict[str, Any] = {}
    tagger, adapter, bind = build_program(config, corpus, dev, spec, facts, said=Said.of(record))
    if isinstance(tagger, Ensemble):
        raise InputError("a program that votes cannot be optimized further", remedy="Begin with one of its members.")
    lm = lms.build(spec)
    bind(lm)
    record |= facts | {"model": model_facts(spec, lm)}
    writer = lms.build(writer_spec) if writer_spec else lm
    record["reflection_model"] = writer_spec.name if writer_spec else spec.name
    objective = Objective(
        tuple(label.name for label in corpus.labels),
        metric.mode,
        config.target,
        {label.name: label.definition for label in corpus.labels},
        adapter.called,
    )
    judge = Judge(
        dev,
        objective,
        lm=lm,
        concurrency=spec.concurrency,
        halving=build(config.halving),
        folder=folder.path / "candidates",
        seed=config.seed,
        watch=watch,
        stop_after=config.stop_after,
    )

    def settled(one: Tagger, form: Any, model: dspy.LM) -> Tagger:
        one.setting = lambda: dspy.context(lm=model, adapter=form, disable_history=True)
        return one

    def variant(changes: Mapping[str, Any], by: str) -> Candidate:
        own, chosen = changed(config, changes)
        one, form = build_member(with_pool(own), corpus, dev, spec, {}, chosen={**record["choices"], **chosen})
        return Candidate(settled(one, form, lm), form, corpus, by)

    start = Candidate(settled(tagger, adapter, lm), adapter, corpus, "start")
    teacher = None
    if writer_spec is not None:
        one, form, _ = build_program(config, corpus, dev, writer_spec, {}, said=Said.of(record))
        assert isinstance(one, Tagger)
        teacher = Candidate(settled(one, form, writer), form, corpus, "teacher", writer, writer_spec.concurrency)
    return Workshop(
        corpus=corpus,
        train=train,
        start=start,
        judge=judge,
        objective=objective,
        lm=lm,
        writer=writer,
        teacher=teacher,
        seed=config.seed,
        spec=spec,
        folder=folder.path,
        progress=lambda step, steps, loss: watch(f"training, loss {loss:.3f}", step, steps, judge.best_f1),
        variant=variant,
    )


def changed(config: DictConfig, changes: Mapping[str, Any]) -> tuple[DictConfig, dict[str, str]]:
    """The config with other settings, and the options that were chosen: groups first, then keys.

    Raises:
        InputError: There is no such key, or it is none that a program keeps.
    """
    own = config.copy()
    chosen: dict[str, str] = {}
    groups = (*GROUPS, "prompt")
    for group in (key for key in changes if key in groups):
        chosen[group] = str(changes[group])
        OmegaConf.set_struct(own, False)
        own[group] = group_option(group, chosen[group])
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
