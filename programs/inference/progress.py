"""The progress of a run on standard error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clinspan.programs.inference.spending import Spending


@contextmanager
def progress_bar(total: int, spending: Spending | None = None) -> Iterator[Callable[[int, float], None]]:
    """A bar on standard error with sentences a second, the running micro F1 and the money spent and expected."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from clinspan.reports.terminal.progress import ProgressBar

    columns = (
        TextColumn("tagging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} sentences/s"),
        TextColumn("micro F1 {task.fields[f1]:.4f}"),
        *([] if spending is None else [TextColumn("{task.fields[money]}")]),
        TimeRemainingColumn(),
    )
    lock = threading.Lock()
    with ProgressBar(*columns) as bar:
        task = bar.add_task("tagging", total=total, rate="0.0", f1=0.0, money="")
        first: int | None = None

        def show(done: int, f1: float) -> None:
            nonlocal first
            with lock:
                first = done if first is None else first
                seconds = bar.tasks[0].elapsed or 0.0
                rate = (done - first) / seconds if seconds else 0.0
                money = "" if spending is None else spending.words(done, total)
                bar.update(task, completed=done, rate=f"{rate:.1f}", f1=f1, money=money)

        yield show
