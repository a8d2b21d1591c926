"""Progress and result of a compilation on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.table import Table

from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.tables import bounds_of, interval_words
from clinspan.reports.wording import scored_words

_SHOWN = 10


@contextmanager
def candidates_bar() -> Iterator[Callable[[str, int, int, float], None]]:
    """Progress bar on standard error: the current candidate, and the best F1 on all of dev so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best F1 {task.fields[best]:.4f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=PlainConsole(file=sys.stderr)) as bar:
        task = bar.add_task("loading", total=None, best=0.0)

        def show(name: str, done: int, total: int, best: float) -> None:
            bar.update(task, description=name, completed=done, total=total, best=best)

        yield show


def print_compiled(record: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> None:
    """Print the best candidates, and the scores of the chosen one beside those of the start program."""
    console = PlainConsole()
    chosen = record["choices"]
    title = f"{record['corpus']['name']} dev: {record['model']['name']}, optimizer={record['optimizer']['name']}"
    table = Table(title=f"{title}, started from {chosen['strategy']}, {chosen['format']}", title_justify="left")
    for name, side in (("", "left"), ("candidate", "left"), ("sentences", "right"), ("F1 on these", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for trial in trials[:_SHOWN]:
        f1 = trial["f1"].get(str(trial["reached"]), 0.0)
        table.add_row("*" if trial["best"] else "", f"{trial['number']} {trial['by']}", str(trial["reached"]), f"{f1:.4f}")
    if len(trials) > _SHOWN:
        table.add_row("", f"and {len(trials) - _SHOWN} more", "", "")
    console.print(table)
    interval = bounds_of(scores, "micro")
    within = "" if interval is None else f" ({interval_words(interval)})"
    micro, macro = scores["micro"]["f1"], scores["macro"]["f1"]
    target = record["target"]
    console.print(f"start {target} F1 {record['start']['f1']:.4f}; chosen: micro F1 {micro:.4f}{within}, macro {macro:.4f}")
    console.print(scored_words(scores), highlight=False)
    used = record["tokens"]
    words = f"{record['seconds']:.0f} s, {used.get('prompt_tokens', 0):,} prompt and {used.get('answer_tokens', 0):,} answer tokens"
    console.print(words + (f", {record['cost']:.2f} USD" if record["cost"] is not None else ""))
    if record.get("pool"):
        words = f"the program keeps a pool of {record['pool']} train sentences; strategy.pool=null uses all of train"
        console.print(words, highlight=False, soft_wrap=True)
    console.print(
        "dev selected this program, so its dev scores are optimistic: "
        "evaluate it on test with python -m programs.run program=FOLDER",
        highlight=False,
    )
