"""The progress bar of commands, on standard error: a bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.progress import Progress, ProgressColumn, TaskID
from rich.text import Text

from clinspan.reports.terminal.console import display_of, PlainConsole

FIRST, EVERY = 10.0, 60.0
"""Seconds to the first line, and between further ones."""


class ProgressBar(Progress):
    """A bar of the given columns. With the display `plain` its texts are printed as lines, the last one at the end.

    Args:
        columns: The columns.
    """

    def __init__(self, *columns: ProgressColumn) -> None:
        self._display = display_of(sys.stderr)
        super().__init__(*columns, console=PlainConsole(stderr=True), disable=self._display != "rich")
        self._due, self._said = time.monotonic() + FIRST, ""

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Change what is shown of a task."""
        super().update(task_id, **fields)
        if self._display == "plain" and time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self._say()

    def stop(self) -> None:
        """End the bar; its last state stays."""
        super().stop()
        if self._display == "plain" and self.tasks:
            self._say()

    def _say(self) -> None:
        task = self.tasks[0]
        cells = [column(task) for column in self.columns if isinstance(column, ProgressColumn)]
        texts = [cell.plain for cell in cells if isinstance(cell, Text)]
        line = " ".join(" ".join(texts).split())
        if line != self._said:
            self._said = line
            print(line, file=sys.stderr, flush=True)
