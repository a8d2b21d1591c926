"""`python -m programs.run`: tag a split with a model and a strategy, and score it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus, Sentence
from clinspan.corpora.printable import printable
from clinspan.metrics.scoring import score_records
from clinspan.programs.app.corpus_verdicts import warn
from clinspan.programs.app.cross_validation import cross_validate
from clinspan.programs.app.flips import check_flips, flip_rows, flip_scores, repetitions
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.next_step import interpretation
from clinspan.programs.app.observability import observed
from clinspan.programs.app.results import give
from clinspan.programs.app.run_documents import run_document
from clinspan.programs.app.run_outcome import outcome, print_result, write_report
from clinspan.programs.app.show_plan import show_plan
from clinspan.programs.app.start_run import prepared
from clinspan.programs.building.build_classifier import build_classifier_run, ClassifierComponents
from clinspan.programs.building.build_run import build_run, Overrides, RunComponents
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.config.classifier_config import AnySpec
from clinspan.programs.config.composition import build, output_folder
from clinspan.programs.config.setting_files import check_files, check_revision
from clinspan.programs.inference.error_report import ErrorAnalysis, write_analysis
from clinspan.programs.inference.predictor import (
    first_asked,
    Predictor,
    PromptTagger,
    SentenceTagger,
)
from clinspan.programs.inference.progress import progress_bar
from clinspan.programs.inference.spending import check_budget, spending_of
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.open_run import corpus_entry, OpenRun
from clinspan.programs.rundir.prompt_log import PromptLog, write_prompts
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.run_record import ModelRecord, RunFacts
from clinspan.programs.rundir.usage import cost

Parts = RunComponents | ClassifierComponents


def main(config: DictConfig) -> None:
    """Execute one run: write all results to its folder, print the scores and, last, the folder's path. Or plan it."""
    if config.plan:
        show_plan(config)
        return
    check_flips(config)
    with prepared(config, output_folder()) as (run, own):
        if not run.record.finished:
            with observed(own, run, command="run"):
                if has_all_folds(own):
                    cross_validate(run, own, tag=execute)
                else:
                    execute(run, own)
    give("run", run.folder.path, partial(run_document, run.folder.path))


def execute(run: OpenRun, config: DictConfig, within: Path | None = None) -> None:
    """Tag and score the sentences, and report the result.

    Args:
        run: The run.
        config: The run's config.
        within: The folder of the cross-validation of which this run is a fold. Then no scores are printed.
    """
    log = log_to(run.folder.path)
    with run.recorded(log):
        analysis: ErrorAnalysis = build(config.errors) if "errors" in config else ErrorAnalysis()
        parts = build_parts(run, config)
        log.info("tagging %d sentences with %s", len(parts.sentences), parts.spec.name)
        try:
            predict(parts, run.folder, config, within)
        except RunError:
            if len(run.folder.load_predictions()) == len(parts.sentences):  # all are tried: failed sentences are in the scores
                finish(run, parts, config, analysis, within=within)
            raise
    finish(run, parts, config, analysis, within=within)
    log.info("done")


def build_parts(run: OpenRun, config: DictConfig) -> Parts:
    """Build corpus, model and program, and record them.

    Raises:
        InputError: The run is resumed, and its corpus, a file or the weights have changed.
    """

    def started(corpus: Corpus, spec: AnySpec) -> None:
        warn(corpus)
        entry = corpus_entry(run.record, corpus, config.split, run.folder.path)
        model = (run.record.model or ModelRecord()).model_copy(update={"name": spec.name})
        run.write(RunFacts(corpus=entry, model=model))

    spec: AnySpec = build(config.model)
    check_budget(config.get("budget"), [spec])
    parts: Parts
    if isinstance(spec, lms.ClassifierModel):
        parts = build_classifier_run(config, spec, started)
    else:
        parts = build_run(config, started, Overrides.of(run.record))
    check_files(run.record, parts.facts, run.folder.path)
    check_revision(run.record, parts.facts, run.folder.path)
    run.write(parts.facts)
    run.folder.write("program.json", parts.program)
    return parts


def predict(parts: Parts, folder: RunFolder, config: DictConfig, within: Path | None) -> None:
    """Tag the sentences that the folder does not hold yet; with `flips=true` also with changes that should not matter."""
    price = None if isinstance(parts, ClassifierComponents) else parts.spec.price
    spending = spending_of(config.get("budget"), price, _paid(folder))
    jobs: list[tuple[SentenceTagger, list[Sentence], RunFolder]] = [(parts.asker, parts.sentences, folder)]
    if config.get("flips"):
        jobs += [(one.asker, [*one.sentences], one.folder) for one in repetitions(parts, folder)]
    for tagger, sentences, own in jobs:
        asker = tagger
        if isinstance(tagger, PromptTagger):
            asker = replace(tagger, prompts=PromptLog(own.path, first=first_asked(sentences)), spending=spending)
        predictor = Predictor(
            asker=asker,
            folder=own,
            labels=[label.name for label in parts.corpus.labels],
            mode=parts.metric.mode,
            stop_after=config.stop_after,
            home=within or folder.path,
        )
        with progress_bar(len(sentences), spending) as progress:
            predictor.run(sentences, progress)
        order = [sentence.id for sentence in sentences]
        own.sort_predictions(order)
        write_prompts([own.path], order, own.path)


def _paid(folder: RunFolder) -> Iterator[Mapping[str, Any]]:
    """All prediction records of a run; they are read when the first is asked for."""
    yield from folder.load_predictions().values()
    yield from flip_rows(folder)


def finish(run: OpenRun, parts: Parts, config: DictConfig, analysis: ErrorAnalysis, *, within: Path | None) -> None:
    """Score the predictions, analyse their errors, complete the record and print the table."""
    folder, rows = run.folder, list(run.folder.load_predictions().values())
    labels = [label.name for label in parts.corpus.labels]
    scores = score_records(rows, labels, parts.metric, alignment=parts.alignment, cut=parts.corpus.chosen_cut)
    scores |= {"limit": config.limit, "limit_documents": config.get("limit_documents"), "sample": config.get("sample", "first")}
    flips = flip_scores(parts, folder) if config.get("flips") else {}
    scores |= {"flips": flips} if flips else {}
    folder.write("scores.json", scores)
    errors = write_analysis(folder, parts.corpus, analysis, mode=parts.metric.mode, seed=config.seed, split=config.split)
    facts = outcome(rows, scores, besides=flip_rows(folder))
    run.write(facts.plus(RunFacts(cost=cost(Counter(facts.tokens), parts.spec.price))))
    if within is None:
        print_result(run, scores, errors, of=len(parts.split_ids))
        has_train = any(parts.corpus.sentences("train"))
        print(printable(interpretation(scores, run.record.content(), folder.path, spec=parts.spec, has_train=has_train)))
        if config.get("report", True):
            write_report(folder, parts.corpus)


if __name__ == "__main__":
    run_app("run", main)
