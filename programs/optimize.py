"""`python -m programs.optimize`: compile a program with train and dev; the test split is not touched."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.lms import ModelError
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.app.cross_validation import cross_validate, Training
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.run_documents import compiled_document, give_made
from clinspan.programs.app.show_plan import show_optimization_plan
from clinspan.programs.app.start_run import prepared
from clinspan.programs.building.build_optimizer import build_optimization
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.config.composition import build, output_folder
from clinspan.programs.config.setting_files import check_files
from clinspan.programs.optimizers import OptimizationContext, Optimizer
from clinspan.programs.optimizers.besides import Besides
from clinspan.programs.optimizers.candidate_evaluator import Trial
from clinspan.programs.optimizers.effort import effort_words
from clinspan.programs.run import execute as tag
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.printed_commands import resume_command, scoring_command
from clinspan.programs.rundir.prompt_log import write_prompts
from clinspan.programs.rundir.run_folder import now, RunFolder
from clinspan.programs.rundir.run_record import BestRecord, RunFacts, StartRecord
from clinspan.programs.rundir.usage import cost
from clinspan.programs.tagging.confidence_fit import fit_confidence
from clinspan.programs.tagging.saved_program import member_states
from clinspan.reports.terminal.compilation import candidates_bar, print_compiled


def main(config: DictConfig) -> None:
    """Run one compilation: write every candidate, the best one as `program.json`, and print the folder's path last. Or plan it."""
    if config.plan:
        refuse_batches(config)
        show_optimization_plan(config)
        return
    with prepared(config, output_folder(), command="optimize") as (run, own):
        if not run.record.finished:
            with observed(own, run, command="optimize"):
                if has_all_folds(own):
                    cross_validate(run, own, tag=tag, training=Training(execute, lambda record: record.finished))
                else:
                    execute(run, own)
    give_made("optimize", run.folder.path, compiled_document)


def execute(run: OpenRun, config: DictConfig, within: Path | None = None) -> None:
    """Compile, and report the result; without a report if it is a fold of the cross-validation in the folder `within`."""
    folder, log = run.folder, log_to(run.folder.path)
    with run.recorded(log):
        refuse_batches(config)
        metric: Metric = build(config.metric)
        optimizer: Optimizer = build(config.optimizer)
        with candidates_bar() as watch:
            context, facts = build_optimization(config, folder, run.record, metric, watch, started=run.write)
            check_files(run.record, facts, folder.path)
            run.write(facts)
            log.info("compiling with %s", run.record.choices["optimizer"])
            optimizer.check(context)
            known = isinstance(optimizer, Optimizer)  # a class of one's own may lack it
            effort = optimizer.effort(context.extent) if known else None
            if effort is not None:
                print(f"clinspan: {effort_words(effort, context.extent.dev)}", file=sys.stderr)
            context.evaluator.score(context.start, whole=True)
            besides = Besides(folder)
            with besides.counting():
                context.evaluator.measured = partial(_measured, besides, context)
                try:
                    _compile(optimizer, context, config)
                finally:
                    besides.write()
            context.evaluator.recall(context.recall)
        result = Result.of(context)
        scores, mapped = result.write(folder, metric, config)
        run.add(result.about(scores, mapped).plus(_spent(context, config, besides.tokens())))
    run.write(RunFacts(status="finished", ended=now()))
    log.info("done")
    if within is None:
        record = run.record.content()
        print_compiled(record, result.table(), scores, scoring_command(record, folder.path, _weights(result, folder.path)))


def _compile(optimizer: Optimizer, context: OptimizationContext, config: DictConfig) -> None:
    """Compile.

    Raises:
        RunError: The optimizer stopped; the message names the class of the error and its place. The error is its cause.
    """
    try:
        optimizer.compile(context)
    except (InputError, ModelError, RunError):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        remedy = "If the writing model answers badly, name a better one with reflection_model=; else check optimizer.*"
        resume_hint = f"Results so far are kept: continue with: {resume_command(context.folder)}"
        raise RunError(f"the optimizer stopped with {where}. {remedy}. {resume_hint}") from error


def _measured(besides: Besides, context: OptimizationContext) -> None:
    """Write the tokens of the optimizer's own requests, and count their cost."""
    besides.write()
    evaluator = context.evaluator
    if evaluator.spending is not None:
        costs = [cost(used, evaluator.prices.get(model)) for model, used in besides.tokens().items()]
        evaluator.spending.besides = sum(dollars for dollars in costs if dollars is not None)


def refuse_batches(config: DictConfig) -> None:
    """Refuse models behind a batch API, which may answer only after a day: each step of a compilation needs the previous one.

    Raises:
        InputError: A model uses batches; the message names it.
    """
    for key in ("model", "reflection_model"):
        if config[key] and config[key].get("batch"):
            raise InputError(f"{key}.batch=true answers too late to compile with", remedy="Use it with programs.run or annotate.")


@dataclass(frozen=True)
class Result:
    """The trials, best first, with the start and the selected trial."""

    context: OptimizationContext
    trials: list[Trial]
    start: Trial
    best: Trial

    @classmethod
    def of(cls, context: OptimizationContext) -> Result:
        """Select the best trial that was measured on all of dev: the start program, if no other one is better."""
        trials = sorted(context.evaluator.trials.values(), key=lambda trial: trial.rank, reverse=True)
        start = context.evaluator.trial(context.start)
        return cls(context, trials, start, context.evaluator.complete[0])

    def write(self, folder: RunFolder, metric: Metric, config: DictConfig) -> tuple[dict[str, Any], ConfidenceMap | None]:
        """Write the program, its predictions on dev, its scores and all trials. Return the scores and the map of confidences."""
        rows = self.context.evaluator.records(self.best)
        labels = [label.name for label in self.context.corpus.labels]
        alignment = self.best.candidate.adapter.alignment
        scores = score_records(rows, labels, metric, alignment=alignment, cut=self.context.corpus.chosen_cut)
        scores["limit"] = config.dev_limit
        mapped = self.confidence(rows, metric)
        folder.write("program.json", self.best.candidate.calibrated(mapped).dump())
        folder.predictions.unlink(missing_ok=True)
        for row in rows:
            folder.append(row)
        write_prompts([self.context.evaluator.folder / self.best.key], [row["id"] for row in rows], folder.path)
        folder.write("scores.json", scores)
        folder.write(
            "candidates.json", {"sizes": self.context.evaluator.sizes, "trials": [trial.as_dict() for trial in self.trials]}
        )
        return scores, mapped

    def confidence(self, rows: Sequence[Mapping[str, Any]], metric: Metric) -> ConfidenceMap | None:
        """The map of the kept program's confidences, fitted to its predictions on dev."""
        candidate = self.best.candidate
        members = [(member, candidate.adapter) for member in candidate.members]
        return fit_confidence(rows, members, self.context.spec, metric.mode)

    def about(self, scores: Mapping[str, Any], mapped: ConfidenceMap | None) -> RunFacts:
        """The facts about the compilation for `run.json`."""
        best, start = self.best, self.start
        kept = BestRecord(
            key=best.key,
            by=best.candidate.by,
            sentences=best.reached,
            tokens=dict(best.tokens),
            micro=scores["micro"]["f1"],
            macro=scores["macro"]["f1"],
            mapped=None if mapped is None else mapped.mentions,
        )
        return RunFacts(
            candidates=len(self.trials),
            best=kept,
            pool=kept_pool(best.candidate.dump()),
            start=StartRecord(key=start.key, f1=start.f1[start.reached]),
            target=self.context.objective.target,
        )

    def table(self) -> list[dict[str, Any]]:
        """The trials as table rows."""
        return [{**trial.as_dict(), "best": trial is self.best, "reached": trial.reached} for trial in self.trials]


def _weights(result: Result, folder: Path) -> dict[str, Path]:
    """The folder of weights that were trained for the kept program, by its key of the model; empty if there are none."""
    trained = member_states(result.best.candidate.dump())[0]["settings"].get("adapter")
    return {f"model.{trained['use']}": folder / trained["folder"]} if trained else {}


def kept_pool(content: Mapping[str, Any]) -> int | None:
    """The number of train sentences among which a program looks for nearest demonstrations; None if it looks in all or for none."""
    strategies = [(state.get("settings") or {}).get("strategy") or {} for state in member_states(content)]
    pools = [strategy.get("pool") for strategy in strategies if strategy.get("demonstrations") == "nearest"]
    return max((pool for pool in pools if pool is not None), default=None)


def _spent(context: OptimizationContext, config: DictConfig, besides: Mapping[str, Counter[str]]) -> RunFacts:
    """Tokens of the model and of a separate writing model, and the cost of both in US dollars; None if neither has a price.

    If both have the same name, their requests outside candidates cannot be told apart and count for the first model.
    """
    trials = [trial for trial in context.evaluator.trials.values() if not trial.derived]
    requests = sum(trial.requests for trial in trials) + sum(counts["requests"] for counts in besides.values())
    nothing: Counter[str] = Counter()
    used = sum(
        (trial.tokens for trial in trials if not _taught(context, trial)),
        nothing + besides.get(context.lm.model, nothing),
    )
    costs = [cost(used, build(config.model).price)]
    written = sum((trial.tokens for trial in trials if _taught(context, trial)), nothing)
    if config.reflection_model:
        if context.writer.model != context.lm.model:
            written += besides.get(context.writer.model, nothing)
        costs.append(cost(written, build(config.reflection_model).price))
    known = [dollars for dollars in costs if dollars is not None]
    tokens, written_tokens = (_without_requests(one) for one in (used, written))
    return RunFacts(tokens=tokens, writer_tokens=written_tokens, requests=requests, cost=sum(known) if known else None)


def _without_requests(used: Mapping[str, int]) -> dict[str, int | float]:
    return {key: n for key, n in used.items() if key != "requests"}


def _taught(context: OptimizationContext, trial: Trial) -> bool:
    return context.writer is not context.lm and trial.candidate.lm is context.writer


if __name__ == "__main__":
    run_app("optimize", main)
