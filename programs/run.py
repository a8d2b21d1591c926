"""`python -m programs.run`: tag a split with a model and a strategy, and score it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.metrics.scoring import score_records
from clinspan.programs.app.corpus_verdicts import warn
from clinspan.programs.app.cross_validation import cross_validate
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.run_outcome import outcome, print_result
from clinspan.programs.app.start_run import finished, prepared
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
    progress_bar,
    PromptTagger,
    SentenceTagger,
)
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.prompt_log import PromptLog, write_prompts
from clinspan.programs.rundir.run_folder import corpus_entry, recorded, RunFolder
from clinspan.programs.rundir.usage import cost


def main(config: DictConfig) -> None:
    """Execute one run: write all results to its folder, print the scores and, last, the folder's path."""
    with prepared(config, output_folder()) as (folder, own, record):
        if not finished(record):
            with observed(own, folder, record, command="run"):
                if has_all_folds(own):
                    cross_validate(folder, own, record, tag=execute)
                else:
                    execute(folder, own, record)
    print(folder.path)


def execute(folder: RunFolder, config: DictConfig, record: dict[str, Any], within: Path | None = None) -> None:
    """Tag and score the sentences, and report the result.

    Args:
        folder: The run's folder.
        config: The run's config.
        record: The run's record.
        within: The folder of the cross-validation of which this run is a fold. Then no scores are printed.
    """
    log = log_to(folder.path)
    before = dict(record.get("model") or {})

    def started(corpus: Corpus, spec: AnySpec) -> None:
        warn(corpus)
        record["corpus"] = corpus_entry(record, corpus, config.split, folder)
        record["model"] = {**before, "name": spec.name}
        folder.write("run.json", record)

    with recorded(folder, record, log):
        error_analysis: ErrorAnalysis = build(config.errors) if "errors" in config else ErrorAnalysis()
        spec: AnySpec = build(config.model)
        parts: RunComponents | ClassifierComponents
        if isinstance(spec, lms.ClassifierModel):
            parts = build_classifier_run(config, spec, started)
        else:
            parts = build_run(config, started, Overrides.of(record))
        check_files(record, parts.facts, folder.path)
        check_revision(before, parts.facts["model"], folder.path)
        record |= parts.facts
        folder.write("run.json", record)
        folder.write("program.json", parts.program)
        log.info("tagging %d sentences with %s", len(parts.sentences), parts.spec.name)
        try:
            predict(parts, folder, config, within)
        except RunError:
            if len(folder.load_predictions()) == len(parts.sentences):  # nothing is left to do: failed sentences are in the scores
                finish(parts, folder, config, record, error_analysis, within=within)
            raise
    finish(parts, folder, config, record, error_analysis, within=within)
    log.info("done")


def predict(parts: RunComponents | ClassifierComponents, folder: RunFolder, config: DictConfig, within: Path | None) -> None:
    """Tag the sentences that the folder does not hold yet."""
    asker: SentenceTagger = parts.asker
    if isinstance(asker, PromptTagger):
        asker = replace(asker, prompts=PromptLog(folder.path, first=first_asked(parts.sentences)))
    predictor = Predictor(
        asker=asker,
        folder=folder,
        labels=[label.name for label in parts.corpus.labels],
        mode=parts.metric.mode,
        stop_after=config.stop_after,
        home=within,
    )
    with progress_bar(len(parts.sentences)) as progress:
        predictor.run(parts.sentences, progress)
    folder.sort_predictions([sentence.id for sentence in parts.sentences])
    write_prompts([folder.path], [sentence.id for sentence in parts.sentences], folder.path)


def finish(
    parts: RunComponents | ClassifierComponents,
    folder: RunFolder,
    config: DictConfig,
    record: dict[str, Any],
    error_analysis: ErrorAnalysis,
    *,
    within: Path | None,
) -> None:
    """Score the predictions, analyse their errors, complete the record and print the table."""
    records = list(folder.load_predictions().values())
    labels = [label.name for label in parts.corpus.labels]
    scores = score_records(records, labels, parts.metric, alignment=parts.alignment, cut=parts.corpus.chosen_cut)
    scores |= {"limit": config.limit, "limit_documents": config.get("limit_documents"), "sample": config.get("sample", "first")}
    folder.write("scores.json", scores)
    errors = write_analysis(folder, parts.corpus, error_analysis, mode=parts.metric.mode, seed=config.seed, split=config.split)
    record |= outcome(records, scores)
    record["cost"] = cost(Counter(record["tokens"]), parts.spec.price)
    folder.write("run.json", record)
    if within is None:
        print_result(folder, scores, record, errors, of=len(parts.split_ids))


if __name__ == "__main__":
    run_app("run", main)
