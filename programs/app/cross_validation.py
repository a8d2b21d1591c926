"""Cross-validation as one command: every fold is a run of its own, and the predictions of all folds are scored together.

`corpus.folds=5` without `corpus.fold` asks for it. The folder of the command then holds `fold_0` to `fold_4`. The predictions on
the test parts of all folds, in which each document stands once, make the folder itself a run with `predictions.jsonl` and
`scores.json`. A fold of a training or of a compilation has a folder `test`, the run that tags its test part with the new program.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError
from clinspan.corpora.printable import printable
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.app.corpus_verdicts import warn
from clinspan.programs.app.hydra_app import log_to
from clinspan.programs.app.next_step import interpretation
from clinspan.programs.app.run_outcome import outcome, print_result, write_report
from clinspan.programs.app.start_run import new_record, part_record
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.building.load_program import program_path, read_program
from clinspan.programs.config.all_folds import of_fold, whole
from clinspan.programs.config.composition import build, compose_here, folder_path, plain_settings
from clinspan.programs.inference.error_report import ErrorAnalysis, write_analysis
from clinspan.programs.rundir.folds import fold_folder, TEST
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.open_run import corpus_entry, OpenRun
from clinspan.programs.rundir.origin import Origin, read_origin
from clinspan.programs.rundir.prompt_log import write_prompts
from clinspan.programs.rundir.run_folder import now, read_object, read_record, RunFolder
from clinspan.programs.rundir.run_record import FoldsRecord, FoldTrainings, ModelRecord, RunFacts, RunRecord
from clinspan.programs.rundir.scored_run import load_scored, pooled
from clinspan.programs.tagging.saved_program import GROUPS, PLAIN, RETRIEVER, trained_on

Job = Callable[[OpenRun, DictConfig, Path], None]
"""The work of a command on a run with a config; the last argument is the folder of the cross-validation."""
_SHARED = ("choices", "seed", "drawn", "python", "packages", "git", "cores")
"""Entries of the record of a cross-validation that each fold has too."""
_OWN = ("limit", "limit_documents", "name", "program", "resume", "sample", "tags", "tracking", "tracing")
"""Settings of a training or a compilation that the runs on its test parts do not share."""


@dataclass(frozen=True)
class Training:
    """What makes the program of a fold.

    Attributes:
        execute: The training or the compilation.
        done: Whether a record says that it has ended.
    """

    execute: Job
    done: Callable[[RunRecord], bool]


def cross_validate(run: OpenRun, config: DictConfig, *, tag: Job, training: Training | None = None) -> None:
    """Run all folds that have not ended, and write and print the scores of their predictions together.

    Args:
        run: The cross-validation.
        config: The config, without a fold.
        tag: Tags the test part of a fold.
        training: Makes the program that tags the test part; None: the config describes it.

    Raises:
        InputError: The corpus cannot be divided, or a setting would show sentences of the test part of a fold to the model.
    """
    path = run.folder.path
    log = log_to(path)
    with run.recorded(log):
        if config.get("budget") is not None:
            raise InputError("budget is for one run, and this is a cross-validation", remedy="Set corpus.fold, or leave it out.")
        if config.get("split", TEST) != TEST:
            raise InputError(
                f"split={config.split} is no part of a cross-validation", remedy="Leave split out, or set corpus.fold."
            )
        corpus = whole(build(of_fold(config, 0).corpus).load())
        warn(corpus, folds=config.corpus.folds)
        refuse_seen(config, corpus)
        _check_recorded(build(config.model))
        folds = FoldsRecord(number=config.corpus.folds, seed=config.corpus.split_seed, group=config.corpus.group)
        run.write(RunFacts(corpus=corpus_entry(run.record, corpus, TEST, path), folds=folds))
        try:
            tagged = [_fold(path, config, run.record, number, jobs=(training, tag)) for number in range(config.corpus.folds)]
        finally:
            log_to(path)
        scores, errors, facts = _pool(run.folder, config, folds, tagged)
        run.add(facts)
    run.write()
    log.info("done")
    print_result(run, scores, errors, of=sum(1 for _ in corpus.sentences(TEST)))
    print(printable(interpretation(scores, run.record.content(), path, spec=build(config.model), has_train=True)))
    if config.get("report", True):
        write_report(run.folder, corpus)


def refuse_seen(config: DictConfig, corpus: Corpus) -> None:
    """Refuse what was made from the corpus before: each of its documents is a test document of some fold.

    Raises:
        InputError: The program, the weights or the demonstrations come from the corpus.
    """
    every = "of which each document is a test document of some fold"
    if (config.get("strategy") or {}).get("ids") is not None:
        raise InputError(f"strategy.ids names sentences of {corpus.name}, {every}", remedy="Let strategy.k draw them in each fold.")
    remedy = "Leave it out, or set corpus.fold to a fold that it has not seen."
    documents = {document.id for document in corpus.splits[TEST]}
    found: list[tuple[str, Origin]] = []
    if config.get("program") is not None:
        found.append((f"program={config.program}", read_origin(read_program(program_path(config.program)))))
    spec = build(config.model)
    if isinstance(spec, lms.LocalModel | lms.ClassifierModel) and (origin := trained_on(spec)) is not None:
        found.append((f"model={spec.name} with its weights", origin))
    for what, origin in found:
        if documents & set(origin.documents) or any(source.name == corpus.name for source in origin.corpora):
            raise InputError(f"{what} was made from {corpus.name}, {every}", remedy=remedy)


def _check_recorded(spec: object) -> None:
    """Refuse recorded outputs that do not say which sentence each is for."""
    if isinstance(spec, lms.ReplayModel) and spec.path:
        from clinspan.lms.replay import check_ids

        check_ids(folder_path(spec.path))


def _fold(path: Path, config: DictConfig, record: RunRecord, number: int, *, jobs: tuple[Training | None, Job]) -> Path:
    """Run one fold of the cross-validation in `path`, and return the folder with the predictions on its test part."""
    training, tag = jobs
    place, folds = RunFolder(fold_folder(path, number)), config.corpus.folds
    print(printable(f"clinspan: fold {number + 1} of {folds} (corpus.fold={number}): {place.path}"), file=sys.stderr, flush=True)
    config = of_fold(config, number)
    given = sorted({*record.given, "corpus.fold"})
    first = RunRecord(status="started", started=now(), config=plain_settings(config), given=given).plus(record.only(*_SHARED))
    own = part_record(place, first)
    if training is None:
        _executed(tag, place, config, own, home=path, done=_is_complete)
        return place.path
    own = _executed(training.execute, place, config, own, home=path, done=training.done)
    test = RunFolder(place.path / TEST)
    config, first = _test_run(config, own, place.path)
    _executed(tag, test, config, part_record(test, first), home=path, done=_is_complete)
    return test.path


def _executed(
    job: Job, folder: RunFolder, config: DictConfig, record: RunRecord, *, home: Path, done: Callable[[RunRecord], bool]
) -> RunRecord:
    """The record of a part of the cross-validation in `home` after its job, which is left out if it is done."""
    if done(record):
        return record
    run = OpenRun(folder, record.begun_again(now()) if record.begun else record)
    with one_writer(folder.path):
        job(run, config, home)
    return run.record


def _is_complete(record: RunRecord) -> bool:
    """Whether a run has finished without a failed sentence, which a resumed run would ask again."""
    return record.finished and record.counts is not None and not record.counts.failed


def _test_run(config: DictConfig, trained: RunRecord, program: Path) -> tuple[DictConfig, RunRecord]:
    """The config and the first record of the run that tags the test part of a fold with the program of that fold.

    Args:
        config: The config of the training or the compilation.
        trained: Its record.
        program: Its folder.
    """
    groups = compose_here("run").keys()
    names = {key: option for key, option in trained.choices.items() if key in groups}
    own = compose_here("run", [f"{key}={option}" for key, option in names.items()])
    OmegaConf.set_struct(own, False)
    for key in own:
        if key in config and key not in _OWN:
            own[key] = config[key]
    own.program = str(program)
    part_of_program = (*GROUPS, RETRIEVER, "prompt", *PLAIN)
    given = {key for key in trained.given if key.split(".")[0] in own and key.split(".")[0] not in (*part_of_program, *_OWN)}
    given |= {"program", "corpus.fold"}
    if use := trained.use:
        OmegaConf.update(own, use, str(program / "model"))
        given.add(use)
    OmegaConf.set_struct(own, True)
    return new_record(own, Overrides(names, frozenset(given)), "run")


def _pool(
    folder: RunFolder, config: DictConfig, folds: FoldsRecord, tagged: Sequence[Path]
) -> tuple[dict[str, Any], dict[str, Any], RunFacts]:
    """Write the predictions, scores and errors of all folds together. Return scores, errors and what they add to the record."""
    runs = pooled([load_scored(path) for path in tagged])
    rows = sorted(runs.rows, key=lambda row: str(row["document"]))
    folder.predictions.unlink(missing_ok=True)
    for row in rows:
        folder.append(row)
    write_prompts(tagged, [str(row["id"]) for row in rows], folder.path)
    metric: Metric = build(config.metric)
    division = f"{folds.number}@{folds.seed}"
    scores = score_records(rows, list(runs.labels), metric, alignment=runs.alignment, cut=runs.cut, folds=division)
    limits = {key: read_object(tagged[0] / "scores.json").get(key) for key in ("limit", "limit_documents", "sample")}
    scores |= {**limits, "folds": {**folds.content(), **_by_fold(tagged)}}
    folder.write("scores.json", scores)
    analysis = build(config.errors) if "errors" in config else ErrorAnalysis()
    why = "the train part of each fold is another one; errors.json of each fold has it"
    errors = write_analysis(folder, None, analysis, mode=metric.mode, seed=config.seed, split=TEST, why=why)
    return scores, errors, outcome(rows, scores).plus(_about(folder.path, folds, tagged))


def _by_fold(tagged: Sequence[Path]) -> dict[str, Any]:
    """F1 of each fold, and its standard deviation: a spread between folds, not an error of the pooled F1."""
    scores = [read_object(path / "scores.json") for path in tagged]
    f1 = {name: [float(one[name]["f1"]) for one in scores] for name in ("micro", "macro")}
    return {"f1": f1, "sd": {name: statistics.stdev(values) for name, values in f1.items()}}


def _about(path: Path, folds: FoldsRecord, tagged: Sequence[Path]) -> RunFacts:
    """What the records of the folds add to the record of the cross-validation.

    `cost` is that of all folds, with their trainings or compilations; `training` has what these used beside the answers.
    """
    tests = [read_record(run / "run.json") for run in tagged]
    trained = [read_record(run.parent / "run.json") for run in tagged if run.parent != path]
    costs = [one.cost for one in (*tests, *trained) if one.cost is not None]
    documents = [(one.corpus.documents or {})[TEST] for one in tests if one.corpus]
    facts = RunFacts(cost=sum(costs) if costs else None, folds=folds.model_copy(update={"documents": documents}))
    if model := tests[0].model:
        facts = facts.plus(RunFacts(model=ModelRecord(name=model.name, id=model.id)))
    if base := tests[0].retrieval:
        counts = [key for key in ("leaked_sentences", "excluded_chunks") if key in base]
        summed = {key: sum((one.retrieval or {})[key] for one in tests) for key in counts}
        facts = facts.plus(RunFacts(retrieval=base | summed))
    if trained:
        used = sum((Counter(one.tokens) for one in trained), Counter[str]())
        facts = facts.plus(RunFacts(training=FoldTrainings(seconds=sum(one.seconds or 0.0 for one in trained), tokens=dict(used))))
    return facts
