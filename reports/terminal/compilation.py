"""Progress and result of a compilation on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.metrics.confidence_map import LEAST
from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.progress import ProgressBar
from clinspan.reports.terminal.tables import bounds_of, interval_words
from clinspan.reports.wording import scored_words

_SHOWN = 10


@contextmanager
def candidates_bar() -> Iterator[Callable[[str, int, int, float], None]]:
    """Progress bar on standard error: the current candidate, and the best F1 on all of dev so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best F1 {task.fields[best]:.4f}"),
        TimeElapsedColumn(),
    )
    with ProgressBar(*columns) as bar:
        task = bar.add_task("loading", total=None, best=0.0)

        def show(name: str, done: int, total: int, best: float) -> None:
            bar.update(task, description=name, completed=done, total=total, best=best)

        yield show


def print_compiled(record: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], scores: Mapping[str, Any], scoring: str) -> None:
    """Print the best candidates, what was kept and why, what it cost, and how to score it.

    Args:
        record: The content of `run.json`.
        trials: The candidates, best first, with `best` and `reached`.
        scores: The scores of the kept program on dev.
        scoring: The command that scores the kept program on test.
    """
    console = PlainConsole()
    chosen = record["choices"]
    title = f"{record['corpus']['name']} dev: {record['model']['name']}, optimizer={record['optimizer']['name']}"
    title += f"; starting program: {chosen['strategy']}, format {chosen['format']}"
    console.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
    console.print(_candidates(record, trials))
    mapped = (record.get("best") or {}).get("mapped")
    lines = [*outcome_lines(record, trials, scores), _confidence(mapped, scores), _spent(record)]
    if record.get("pool"):
        lines.append(f"the program keeps a pool of {record['pool']} train sentences; strategy.pool=null uses all of train")
    if record.get("test_sentences") == 0:
        lines.append("dev chose the program, so these scores are optimistic, and the corpus has no test split")
    else:
        lines += ["dev chose the program, so these scores are optimistic; to score it on test:", scoring]
    lines += ["to read its prompt as the model gets it:", f"{scoring} split=dev plan=true"]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _candidates(record: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for name, side in (("", "left"), ("candidate", "left"), ("dev sentences", "right"), ("dev F1", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for trial in trials[:_SHOWN]:
        f1 = trial["f1"].get(str(trial["reached"]), 0.0)
        table.add_row("*" if trial["best"] else "", _name(record, trial), str(trial["reached"]), f"{f1:.4f}")
    if len(trials) > _SHOWN:
        table.add_row("", f"and {len(trials) - _SHOWN} more", "", "")
    return table


def _name(record: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    return start_words(record) if _is_start(record, trial) else f"{trial['number']} {trial['by']}"


def _is_start(record: Mapping[str, Any], trial: Mapping[str, Any]) -> bool:
    return bool(trial["key"] == record["start"]["key"])


def start_words(record: Mapping[str, Any]) -> str:
    """What a compilation started from: the hand-written prompt of the settings, or a saved program."""
    return "hand-written start" if (record.get("config") or {}).get("program") is None else "start, a saved program"


def outcome_lines(record: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> list[str]:
    """What was kept and why, and the F1 of the start and of the kept program. See `print_compiled` for the arguments."""
    best = next(trial for trial in trials if trial["best"])
    whole = [trial for trial in trials if trial["reached"] == best["reached"]]
    others = len(whole) - 1
    if _is_start(record, best):
        why = f"the start, as no other candidate is better ({others} more {plural(others, 'was', 'were')} measured on all of dev)"
    else:
        why = f"candidate {best['number']} ({best['by']}), the best of {len(whole)} measured on all of dev, with the start"
    interval = bounds_of(scores, "micro")
    within = "" if interval is None else f" ({interval_words(interval)})"
    target = record["target"]
    start, micro, macro = record["start"]["f1"], scores["micro"]["f1"], scores["macro"]["f1"]
    return [
        f"kept: {why}",
        f"start: {target} F1 {start:.4f}; kept: micro F1 {micro:.4f}{within}, macro F1 {macro:.4f}",
        f"measured on dev: {scored_words(scores)}",
    ]


def _confidence(mapped: int | None, scores: Mapping[str, Any]) -> str:
    """Whether the kept program maps its confidences to how often such mentions are right."""
    if mapped is not None:
        return f"confidences: mapped to how often such mentions are right, by {mapped} mentions on dev"
    if scores.get("calibration") is None:
        return "confidences: this model gives none"
    needs = f"a map needs {LEAST} mentions on dev, of which the more confident ones are right"
    return f"confidences: not mapped; {needs}, and fitted decisions have their own"


def _spent(record: Mapping[str, Any]) -> str:
    asked = [] if record.get("requests") is None else [f"{record['requests']:,} requests"]
    words = [f"{record['seconds']:.0f} s", *asked, _tokens(record["tokens"])]
    if any((record.get("writer_tokens") or {}).values()):
        words.append(f"reflection_model {_tokens(record['writer_tokens'])}")
    return ", ".join([*words, *([f"{record['cost']:.2f} USD"] if record["cost"] is not None else [])])


def _tokens(used: Mapping[str, Any]) -> str:
    return f"{used.get('prompt_tokens', 0):,} prompt and {used.get('answer_tokens', 0):,} answer tokens"
