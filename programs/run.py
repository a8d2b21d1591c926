"""`python -m programs.run`: tag a split with a model and a strategy, and score it."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.corpora.printable import plural, printable
from clinspan.metrics.scoring import score_records
from clinspan.programs.app.build_classifier import build_classifier_run, ClassifierComponents
from clinspan.programs.app.build_run import build_run, Overrides, RunComponents
from clinspan.programs.app.classifier_config import AnySpec
from clinspan.programs.app.config import build, output_folder
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.setting_files import check_files
from clinspan.programs.app.start_run import finished, prepared
from clinspan.programs.inference.error_report import ErrorAnalysis, write_analysis
from clinspan.programs.inference.predictor import may_pass, Predictor, progress_bar
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import corpus_entry, now, recorded, RunFolder
from clinspan.programs.rundir.usage import changed_model, cost
from clinspan.reports.page.error_tables import errors_line
from clinspan.reports.terminal.tables import print_scores


def main(config: DictConfig) -> None:
    """Execute one run: write all results to its folder, print the scores and, last, the folder's path."""
    with prepared(config, output_folder()) as (folder, own, record):
        if not finished(record):
            with observed(own, folder, record, command="run"):
                execute(folder, own, record)
    print(folder.path)


def execute(folder: RunFolder, config: DictConfig, record: dict[str, Any]) -> None:
    """Tag and score the sentences, and report the result."""
    log = log_to(folder.path)

    def started(corpus: Corpus, spec: AnySpec) -> None:
        record["corpus"] = corpus_entry(record, corpus, config.split, folder)
        record["model"] = {"name": spec.name}
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
        record |= parts.facts
        folder.write("run.json", record)
        folder.write("program.json", parts.program)
        log.info("tagging %d sentences with %s", len(parts.sentences), parts.spec.name)
        try:
            predict(parts, folder, config)
        except RunError:
            if len(folder.load_predictions()) == len(parts.sentences):  # nothing is left to do: failed sentences are in the scores
                finish(parts, folder, config, record, error_analysis)
            raise
    finish(parts, folder, config, record, error_analysis)
    log.info("done")


def predict(parts: RunComponents | ClassifierComponents, folder: RunFolder, config: DictConfig) -> None:
    """Tag the sentences that the folder does not hold yet."""
    predictor = Predictor(
        asker=parts.asker,
        folder=folder,
        labels=[label.name for label in parts.corpus.labels],
        mode=parts.metric.mode,
        stop_after=config.stop_after,
    )
    with progress_bar(len(parts.sentences)) as progress:
        predictor.run(parts.sentences, progress)
    folder.sort_predictions([sentence.id for sentence in parts.sentences])


def finish(
    parts: RunComponents | ClassifierComponents,
    folder: RunFolder,
    config: DictConfig,
    record: dict[str, Any],
    error_analysis: ErrorAnalysis,
) -> None:
    """Score the predictions, analyse their errors, complete the record and print the table."""
    records = list(folder.load_predictions().values())
    labels = [label.name for label in parts.corpus.labels]
    scores = score_records(records, labels, parts.metric, alignment=parts.alignment, seed=config.seed, cut=parts.corpus.chosen_cut)
    scores |= {"limit": config.limit, "limit_documents": config.get("limit_documents"), "sample": config.get("sample", "first")}
    folder.write("scores.json", scores)
    errors = write_analysis(folder, parts.corpus, error_analysis, mode=parts.metric.mode, seed=config.seed, split=config.split)
    used: Counter[str] = Counter()
    for row in records:
        used.update(row["usage"])
    record["status"], record["ended"] = "finished", now()
    record["counts"] = {"sentences": len(records), "failed": scores["failed"], "repairs": scores["repairs"]}
    record["tokens"] = dict(used)
    served = Counter(name for row in records for name in row.get("served", ()))
    if served:
        record["served"] = dict(served.most_common())
    record["cost"] = cost(used, parts.spec.price)
    folder.write("run.json", record)
    print_scores(scores, record, of=len(parts.split_ids))
    print(printable(errors_line(errors)))
    if len(served) > 1:
        print(printable(changed_model(served)), file=sys.stderr)
    if retryable := sum(map(may_pass, records)):
        failed = plural(retryable, "sentence failed with an error", "sentences failed with errors")
        print(f"{retryable} {failed} that may be temporary: resume={folder.path} retries {plural(retryable, 'it', 'them')}")


if __name__ == "__main__":
    run_app("run", main)
