"""`python -m programs.optimize`: compile a program with train and dev; the test split is not touched."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.usage_tracker import UsageTracker
from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.lms import ModelError
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.app.build_optimizer import build_optimization
from clinspan.programs.app.config import build, output_folder
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.start_run import finished, prepared
from clinspan.programs.optimizers import OptimizationContext, Optimizer
from clinspan.programs.optimizers.candidate_evaluator import Trial
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import now, recorded, RunFolder
from clinspan.programs.rundir.usage import cost
from clinspan.reports.terminal.compilation import candidates_bar, print_compiled

_BESIDES = "besides.json"


def main(config: DictConfig) -> None:
    """One compilation: every candidate in the folder, the best as `program.json`, the folder's path last."""
    with prepared(config, output_folder(), command="optimize") as (folder, own, record):
        if not finished(record):
            with observed(own, folder, record, command="optimize"):
                execute(folder, own, record)
    print(folder.path)


def execute(folder: RunFolder, config: DictConfig, record: dict[str, Any]) -> None:
    """Compile, and say what came of it."""
    log = log_to(folder.path)
    with recorded(folder, record, log):
        refuse_batches(config)
        metric: Metric = build(config.metric)
        optimizer: Optimizer = build(config.optimizer)
        with candidates_bar() as watch:
            context = build_optimization(config, folder, record, metric, watch)
            folder.write("run.json", record)
            log.info("compiling with %s", record["optimizer"]["name"])
            optimizer.check(context)
            context.evaluator.score(context.start, whole=True)
            with dspy.track_usage() as usage:
                besides = Besides(folder, usage)
                context.evaluator.measured = besides.write
                try:
                    _compile(optimizer, context, config)
                finally:
                    besides.write()
            context.evaluator.recall(context.recall)
        result = Result.of(context, optimizer)
        scores = result.write(folder, metric, config)
        record |= result.about(scores) | _spent(context, config, besides.tokens())
    record |= {"status": "finished", "ended": now()}
    folder.write("run.json", record)
    log.info("done")
    print_compiled(record, result.table(), scores)


def _compile(optimizer: Optimizer, context: OptimizationContext, config: DictConfig) -> None:
    """Compile, and name what goes wrong inside an optimizer without its words: they may hold what was read.

    Raises:
        RunError: The optimizer stopped; names the kind of error and its place.
    """
    try:
        optimizer.compile(context)
    except (InputError, ModelError, RunError):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        remedy = "If the writing model answers badly, name a better one with reflection_model=; else check optimizer.*"
        kept = f"What was measured is kept: go on with resume={context.folder}"
        raise RunError(f"the optimizer stopped with {where}. {remedy}. {kept}") from None


def refuse_batches(config: DictConfig) -> None:
    """Refuse models that answer within a day: each step of a compilation depends on the one before.

    Raises:
        InputError: Names the model.
    """
    for key in ("model", "reflection_model"):
        if config[key] and config[key].get("batch"):
            raise InputError(f"{key}.batch=true answers too late to compile with", remedy="Use it with programs.run or annotate.")


@dataclass(frozen=True)
class Result:
    """What was tried, best first, and what is taken of it."""

    context: OptimizationContext
    trials: list[Trial]
    start: Trial
    best: Trial

    @classmethod
    def of(cls, context: OptimizationContext, optimizer: Optimizer) -> Result:
        """Take the best of what was measured on all of dev; the program it began with only where the optimizer keeps it."""
        trials = sorted(context.evaluator.trials.values(), key=lambda trial: trial.rank, reverse=True)
        start = context.evaluator.trial(context.start)
        able = [trial for trial in context.evaluator.complete if optimizer.keeps_start or trial is not start]
        return cls(context, trials, start, able[0] if able else start)

    def write(self, folder: RunFolder, metric: Metric, config: DictConfig) -> dict[str, Any]:
        """Write the program, what it said of dev, its scores, and all that was tried; gives the scores."""
        rows = self.context.evaluator.records(self.best)
        labels = [label.name for label in self.context.corpus.labels]
        alignment = self.best.candidate.adapter.alignment
        scores = {**score_records(rows, labels, metric, alignment=alignment, seed=config.seed), "limit": config.dev_limit}
        folder.write("program.json", self.best.candidate.dump())
        folder.predictions.unlink(missing_ok=True)
        for row in rows:
            folder.append(row)
        folder.write("scores.json", scores)
        folder.write(
            "candidates.json", {"sizes": self.context.evaluator.sizes, "trials": [trial.as_dict() for trial in self.trials]}
        )
        return scores

    def about(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """What `run.json` says of it."""
        best, start = self.best, self.start
        f1 = {"micro": scores["micro"]["f1"], "macro": scores["macro"]["f1"]}
        return {
            "candidates": len(self.trials),
            "best": {"key": best.key, "by": best.candidate.by, "sentences": best.reached, "tokens": dict(best.tokens), **f1},
            "start": {"key": start.key, "f1": start.f1[start.reached]},
            "target": self.context.objective.target,
        }

    def table(self) -> list[dict[str, Any]]:
        """What was tried, as tables show it."""
        return [{**trial.as_dict(), "best": trial is self.best, "reached": trial.reached} for trial in self.trials]


class Besides:
    """What an optimizer asked beside its candidates, whose tokens are in their folders: tokens by model, on disk as it goes.

    Args:
        folder: The run's; what an earlier process asked there is counted too.
        usage: DSPy's count of what this process asks.
    """

    def __init__(self, folder: RunFolder, usage: UsageTracker) -> None:
        self._folder, self._usage = folder, usage
        self._before: dict[str, dict[str, int]] = folder.read(_BESIDES) if (folder.path / _BESIDES).is_file() else {}

    def tokens(self) -> dict[str, Counter[str]]:
        """`prompt_tokens` and `answer_tokens` of each model."""
        usage = {model: Counter(counts) for model, counts in self._before.items()}
        for model, counts in self._usage.get_total_tokens().items():
            now = {"prompt_tokens": counts.get("prompt_tokens"), "answer_tokens": counts.get("completion_tokens")}
            usage.setdefault(model, Counter()).update({key: int(n or 0) for key, n in now.items()})
        return usage

    def write(self) -> None:
        """Put it on disk."""
        self._folder.write(_BESIDES, self.tokens())


def _spent(context: OptimizationContext, config: DictConfig, besides: Mapping[str, Counter[str]]) -> dict[str, Any]:
    """Tokens of the model and of the writing one where that is another, and US dollars of both; None where nothing has a price.

    Of two models with one name, what was asked beside candidates cannot be told apart: it counts as the first's.
    """
    trials = list(context.evaluator.trials.values())
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
    known = [one for one in costs if one is not None]
    return {"tokens": dict(used), "writer_tokens": dict(written), "cost": sum(known) if known else None}


def _taught(context: OptimizationContext, trial: Trial) -> bool:
    return context.writer is not context.lm and trial.candidate.lm is context.writer


if __name__ == "__main__":
    run_app("optimize", main)
