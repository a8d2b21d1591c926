"""Cross-validation as one command: every fold is a run of its own, and the predictions of all folds are scored together.

`corpus.folds=5` without `corpus.fold` asks for it. The folder of the command then holds `fold_0` to `fold_4`. The predictions on
the test parts of all folds, in which each document stands once, make the folder itself a run with `predictions.jsonl` and
`scores.json`. A fold of a training or of a compilation has a folder `test`, the run that tags its test part with the new program.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from clinspan.programs.app.run_outcome import outcome, print_result
from clinspan.programs.app.start_run import finished, new_record, part_record
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.building.load_program import program_path, read_program
from clinspan.programs.config.all_folds import of_fold, whole
from clinspan.programs.config.composition import build, compose_here, folder_path
from clinspan.programs.inference.error_report import ErrorAnalysis, write_analysis
from clinspan.programs.rundir.folds import fold_folder, TEST
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.origin import Origin, read_origin
from clinspan.programs.rundir.prompt_log import write_prompts
from clinspan.programs.rundir.run_folder import corpus_entry, now, read_object, recorded, RunFolder
from clinspan.programs.rundir.scored_run import load_scored, pooled
from clinspan.programs.tagging.saved_program import GROUPS, PLAIN, RETRIEVER, trained_on

Job = Callable[[RunFolder, DictConfig, dict[str, Any], Path], None]
"""The work of a command in a folder with a config and a record; the last argument is the folder of the cross-validation."""
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
    done: Callable[[dict[str, Any]], bool]


def cross_validate(
    folder: RunFolder, config: DictConfig, record: dict[str, Any], *, tag: Job, training: Training | None = None
) -> None:
    """Run all folds that have not ended, and write and print the scores of their predictions together.

    Args:
        folder: The folder of the cross-validation.
        config: The config, without a fold.
        record: The record so far.
        tag: Tags the test part of a fold.
        training: Makes the program that tags the test part; None: the config describes it.

    Raises:
        InputError: The corpus cannot be divided, or a setting would show sentences of the test part of a fold to the model.
    """
    log = log_to(folder.path)
    with recorded(folder, record, log):
        if config.get("split", TEST) != TEST:
            raise InputError(
                f"split={config.split} is no part of a cross-validation", remedy="Leave split out, or set corpus.fold."
            )
        corpus = whole(build(of_fold(config, 0).corpus).load())
        warn(corpus, folds=config.corpus.folds)
        refuse_seen(config, corpus)
        _check_recorded(build(config.model))
        record["corpus"] = corpus_entry(record, corpus, TEST, folder)
        record["folds"] = {"number": config.corpus.folds, "seed": config.corpus.split_seed, "group": config.corpus.group}
        folder.write("run.json", record)
        try:
            tagged = [_fold(folder, config, record, number, jobs=(training, tag)) for number in range(config.corpus.folds)]
        finally:
            log_to(folder.path)
        scores, errors = _pool(folder, config, record, tagged)
    folder.write("run.json", record)
    log.info("done")
    print_result(folder, scores, record, errors, of=sum(1 for _ in corpus.sentences(TEST)))


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


def _fold(
    folder: RunFolder, config: DictConfig, record: Mapping[str, Any], number: int, *, jobs: tuple[Training | None, Job]
) -> Path:
    """Run one fold and return the folder with the predictions on its test part."""
    training, tag = jobs
    place, folds = RunFolder(fold_folder(folder.path, number)), config.corpus.folds
    print(printable(f"clinspan: fold {number + 1} of {folds} (corpus.fold={number}): {place.path}"), file=sys.stderr, flush=True)
    config = of_fold(config, number)
    plain = OmegaConf.to_container(config, resolve=True)
    given = sorted({*record["given"], "corpus.fold"})
    kept = {key: record[key] for key in ("choices", "seed", "drawn", "python", "packages", "git", "cores") if key in record}
    own = part_record(place, {"status": "started", "started": now(), **kept, "config": plain, "given": given})
    if training is None:
        _execute(tag, place, config, own, home=folder.path, done=_is_complete)
        return place.path
    _execute(training.execute, place, config, own, home=folder.path, done=training.done)
    test = RunFolder(place.path / TEST)
    config, first = _test_run(config, own, place.path)
    _execute(tag, test, config, part_record(test, first), home=folder.path, done=_is_complete)
    return test.path


def _execute(
    job: Job, folder: RunFolder, config: DictConfig, record: dict[str, Any], *, home: Path, done: Callable[[dict[str, Any]], bool]
) -> None:
    if done(record):
        return
    if "corpus" in record:  # it has begun before
        record |= {"status": "started", "resumed": [*record.get("resumed", []), now()]}
        record.pop("error", None)
    with one_writer(folder.path):
        job(folder, config, record, home)


def _is_complete(record: dict[str, Any]) -> bool:
    """Whether a run has finished without a failed sentence, which a resumed run would ask again."""
    return finished(record) and not record["counts"]["failed"]


def _test_run(config: DictConfig, trained: Mapping[str, Any], program: Path) -> tuple[DictConfig, dict[str, Any]]:
    """The config and the first record of the run that tags the test part of a fold with the program of that fold.

    Args:
        config: The config of the training or the compilation.
        trained: Its record.
        program: Its folder.
    """
    groups = compose_here("run").keys()
    names = {key: option for key, option in trained["choices"].items() if key in groups}
    own = compose_here("run", [f"{key}={option}" for key, option in names.items()])
    OmegaConf.set_struct(own, False)
    for key in own:
        if key in config and key not in _OWN:
            own[key] = config[key]
    own.program = str(program)
    part_of_program = (*GROUPS, RETRIEVER, "prompt", *PLAIN)
    given = {key for key in trained["given"] if key.split(".")[0] in own and key.split(".")[0] not in (*part_of_program, *_OWN)}
    given |= {"program", "corpus.fold"}
    if use := trained.get("use"):
        OmegaConf.update(own, use, str(program / "model"))
        given.add(use)
    OmegaConf.set_struct(own, True)
    return new_record(own, Overrides(names, frozenset(given)), "run")


def _pool(
    folder: RunFolder, config: DictConfig, record: dict[str, Any], tagged: Sequence[Path]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the predictions, scores and errors of all folds together, and complete the record; return scores and errors."""
    runs = pooled([load_scored(path) for path in tagged])
    rows = sorted(runs.rows, key=lambda row: str(row["document"]))
    folder.predictions.unlink(missing_ok=True)
    for row in rows:
        folder.append(row)
    write_prompts(tagged, [str(row["id"]) for row in rows], folder.path)
    metric: Metric = build(config.metric)
    folds = record["folds"]
    said = f"{folds['number']}@{folds['seed']}"
    scores = score_records(rows, list(runs.labels), metric, alignment=runs.alignment, cut=runs.cut, folds=said)
    limits = {key: read_object(tagged[0] / "scores.json").get(key) for key in ("limit", "limit_documents", "sample")}
    scores |= {**limits, "folds": {**folds, **_by_fold(tagged)}}
    folder.write("scores.json", scores)
    analysis = build(config.errors) if "errors" in config else ErrorAnalysis()
    why = "the train part of each fold is another one; errors.json of each fold has it"
    errors = write_analysis(folder, None, analysis, mode=metric.mode, seed=config.seed, split=TEST, why=why)
    record |= outcome(rows, scores) | _about(folder, tagged)
    return scores, errors


def _by_fold(tagged: Sequence[Path]) -> dict[str, Any]:
    """F1 of each fold, and its standard deviation: a spread between folds, not an error of the pooled F1."""
    scores = [read_object(path / "scores.json") for path in tagged]
    f1 = {name: [float(one[name]["f1"]) for one in scores] for name in ("micro", "macro")}
    return {"f1": f1, "sd": {name: statistics.stdev(values) for name, values in f1.items()}}


def _about(folder: RunFolder, tagged: Sequence[Path]) -> dict[str, Any]:
    """What the records of the folds add to the record of the cross-validation.

    `cost` is that of all folds, with their trainings or compilations; `training` has what these used beside the answers.
    """
    tests = [read_object(path / "run.json") for path in tagged]
    trained = [read_object(path.parent / "run.json") for path in tagged if path.parent != folder.path]
    first = tests[0]
    about: dict[str, Any] = {"model": {key: first["model"][key] for key in ("name", "id") if key in first["model"]}}
    costs = [one.get("cost") for one in (*tests, *trained) if one.get("cost") is not None]
    about["cost"] = sum(costs) if costs else None
    documents = [one["corpus"]["documents"][TEST] for one in tests]
    about["folds"] = {**folder.read("run.json")["folds"], "documents": documents}
    if "retrieval" in first:
        counts = ("leaked_sentences", "excluded_chunks")
        about["retrieval"] = first["retrieval"] | {
            key: sum(one["retrieval"][key] for one in tests) for key in counts if key in first["retrieval"]
        }
    if trained:
        used = sum((Counter(one.get("tokens") or {}) for one in trained), Counter[str]())
        about["training"] = {"seconds": sum(one["seconds"] for one in trained), "tokens": dict(used)}
    return about
