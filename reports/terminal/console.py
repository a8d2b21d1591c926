"""The console: no markup in cells, titles or lines, and control characters escaped."""

from __future__ import annotations

from typing import Any, IO

from rich.console import Console
from rich.text import Text

from clinspan.corpora.printable import printable


class PlainConsole(Console):
    """A console that never interprets strings as markup, because labels and ids may look like it.

    Args:
        width: Line width in characters.
        stderr: Print to standard error.
        file: Print to this file instead.
    """

    def __init__(self, *, width: int | None = None, stderr: bool = False, file: IO[str] | None = None) -> None:
        super().__init__(width=width, stderr=stderr, file=file, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a string with control characters escaped."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})
