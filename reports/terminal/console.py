"""The console: no markup in cells, titles or lines, control characters escaped, and the three ways to show results.

`rich` is for terminals. `plain` has no colours, no box characters and no line that is drawn again.
`none` has neither tables nor progress.
"""

from __future__ import annotations

import os
from typing import Any, get_args, IO, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clinspan.corpora.printable import printable

Display = Literal["none", "plain", "rich"]
VARIABLE = "CLINSPAN_DISPLAY"
"""The environment variable that holds the choice, also for processes that a launcher starts."""


def choose_display(display: str) -> None:
    """Show results in this way, in this process and those that it starts."""
    os.environ[VARIABLE] = display


def display_of(stream: IO[str]) -> Display:
    """How results are shown on a stream: as chosen, else `rich` on a terminal and `plain` elsewhere."""
    for display in get_args(Display):
        if os.environ.get(VARIABLE) == display:
            chosen: Display = display
            return chosen
    return "rich" if stream.isatty() else "plain"


class PlainConsole(Console):
    """A console that never interprets strings as markup, because labels and ids may look like it.

    Args:
        width: Line width in characters.
        stderr: Print to standard error.
        file: Print to this file instead.
    """

    def __init__(self, *, width: int | None = None, stderr: bool = False, file: IO[str] | None = None) -> None:
        super().__init__(width=width, stderr=stderr, file=file, markup=False, highlight=False, emoji=False)
        self.display = display_of(self.file)
        if self.display != "rich":
            self._force_terminal, self._color_system = False, None

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; tables without lines, unless the display is `rich`."""
        table = objects[0] if len(objects) == 1 else None
        if self.display == "rich" or not isinstance(table, Table):
            super().print(*objects, **options)
            return
        if table.title:
            super().print(table.title, soft_wrap=True)
        table.title, table.box, table.pad_edge, table.padding = None, None, False, (0, 2, 0, 0)
        with self.capture() as captured:
            super().print(table, **options)
        self.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()) + "\n")

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a string with control characters escaped."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})
