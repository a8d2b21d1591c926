"""Style of figures, and their export as files and as parts of the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Okabe and Ito (2008): eight colours that people with any kind of colour vision can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "---", "+++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, GRID = "#1e2227", "#d5d2cb"
_THEME = {INK: "currentColor", GRID: "var(--rule)"}
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names may have dollar signs in them
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the common style to everything drawn inside. matplotlib reads sizes and colours when an object is created."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def axes(*, width: float, height: float) -> tuple[Any, Any]:
    """A figure and its only panel; sizes are in inches."""
    figure, panels = grid(width=width, height=height, rows=1, columns=1)
    return figure, panels[0][0]


def grid(*, width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    """A figure and the array of its panels, which share their x axis; sizes are in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True)


def legend_above(figure: Any, panel: Any) -> None:
    """Put the panel's legend above it, because bars may cover any place inside."""
    handles, names = panel.get_legend_handles_labels()
    line_length = int(figure.get_figwidth() * 16)  # characters
    fitting = max(1, line_length // (max(map(len, names)) + 6))
    figure.legend(handles, names, loc="outside upper left", ncols=fitting, frameon=False, fontsize=8)


def drawn(text: str, most: int = 24) -> str:
    """Prepare a name for a figure: replace unprintable characters and cut it to `most` characters.

    >>> drawn("a\\tb"), drawn("RareDisease", 6)
    ('a\ufffdb', 'RareD…')
    """
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def save_figure(figure: Any, folder: Path, name: str) -> str:
    """Write `name`.png and `name`.svg. Return the drawing as an SVG element that uses the colours of the page around it."""
    from matplotlib import rc_context

    with rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # matplotlib draws a box instead
        figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white")
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    (folder / f"{name}.svg").write_text(text, encoding="utf-8", errors="backslashreplace")
    return _themed(text)


def _themed(text: str) -> str:
    """The `svg` element alone, without metadata and style sheet, with ink and grid in the colours of the page.

    >>> _themed('<?xml?><svg><metadata>x</metadata><path style="stroke: #1e2227"/></svg>')
    '<svg><path style="stroke: currentColor"/></svg>'
    """
    element = text[text.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", element, flags=re.DOTALL)
    for colour, page_colour in _THEME.items():
        element = element.replace(colour, page_colour)
    return element.strip()
