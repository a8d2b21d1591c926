"""A leaderboard as a terminal table and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from clinspan.reports.latex import latex_table
from clinspan.reports.run_views import Table as Shown
from clinspan.reports.settings import setting_text
from clinspan.reports.terminal.console import PlainConsole

_WIDTH = 120
_LEFT = ("settings", "note")
_MORE = {"US$": "cost", "candidates": "candidates"}


def print_leaderboard(result: Mapping[str, Any]) -> None:
    """Print one row per setting, best first within each basis, then the jobs without scores.

    Args:
        result: What `reports.leaderboard.build_leaderboard` returns.
    """
    table = Table(title="leaderboard", title_justify="left")
    for name in _heads(result):
        left = name in _LEFT
        min_width = {"settings": 20}.get(name)
        table.add_column(name, justify="left" if left else "right", overflow="fold", no_wrap=not left, min_width=min_width)
    for section in _sections(result):
        for row in section:
            table.add_row(*(cell for cell in row))
        table.add_section()
    console = PlainConsole(width=_WIDTH)
    console.print(table, highlight=False)
    for note in result["notes"]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def markdown(result: Mapping[str, Any]) -> str:
    """The same content as Markdown."""
    heads = [head.replace("\n", "") for head in _heads(result)]
    body = [[cell.replace("|", "\\|") for cell in row] for section in _sections(result) for row in section]
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *body)]
    notes = [f"- {note}" for note in result["notes"]]
    return "\n".join(["# Leaderboard", "", *lines, "", *notes]) + "\n"


def latex(result: Mapping[str, Any]) -> str:
    """The same content as a LaTeX table."""
    heads = [head.replace("\n", "") for head in _heads(result)]
    return latex_table(heads, _sections(result), left=_LEFT, notes=result["notes"])


def table_of(result: Mapping[str, Any]) -> Shown:
    """The same content as a table of the HTML page."""
    rows = [row for section in _sections(result) for row in section]
    heads = [head.replace("\n", "") for head in _heads(result)]
    return Shown(title="", columns=heads, rows=rows, notes=result["notes"])


def _heads(result: Mapping[str, Any]) -> list[str]:
    """The column heads; offsets, starts, costs, candidates and notes appear only if there are any."""
    optional = [head for head, key in _MORE.items() if any(row.get(key) is not None for row in result["rows"])]
    more = [f"{name} F1" for name in ("offsets", "start") if any(name in row for row in result["rows"])]
    heads = ["#", "settings", "seeds", "micro F1", "macro F1", *more, "seconds", "prompt tok\n/sentence", *optional]
    return heads + (["note"] if result["unscored"] else [])


def _sections(result: Mapping[str, Any]) -> list[list[list[str]]]:
    """Rows of cells: one section per basis, then the jobs without scores."""
    heads = _heads(result)
    parts = [[_scored(row, heads) for row in result["rows"] if row["basis"] == letter] for letter in result["bases"]]
    lost = [_lost(row, heads) for row in result["unscored"]]
    return [part for part in (*parts, lost) if part]


def _scored(row: Mapping[str, Any], heads: Sequence[str]) -> list[str]:
    cells = {
        "#": f"{row['basis']}{row['rank']}",
        "settings": _settings(row["settings"]),
        "seeds": "1" if "equal" in row else str(len(row["jobs"])),
        **{f"{name} F1": _spread(row[name]) for name in ("micro", "macro", "offsets", "start") if name in row},
        "seconds": _number(row["seconds"], 0),
        "prompt tok\n/sentence": _number(row["prompt_tokens_per_sentence"], 0),
        **{head: _number(row.get(key), 4 if key == "cost" else 0) for head, key in _MORE.items()},
    }
    return [cells.get(head, "") for head in heads]


def _lost(row: Mapping[str, Any], heads: Sequence[str]) -> list[str]:
    seed = "" if row["seed"] is None else f" seed={row['seed']}"
    note = row["status"] + (f": {row['error']}" if row["error"] else "")
    cells = {"settings": (_settings(row["settings"]) + seed).strip() or row["job"], "note": note}
    return [cells.get(head, "") for head in heads]


def _spread(value: Mapping[str, float | None]) -> str:
    """Format a mean, with its spread if there is one that four decimals show.

    >>> [_spread({"mean": 0.5, "spread": spread}) for spread in (0.25, 0.0, None)]
    ['0.5000 ± 0.2500', '0.5000', '0.5000']
    """
    spread = _number(value["spread"], 4)
    return _number(value["mean"], 4) + (f" ± {spread}" if spread.strip("0.") else "")


def _settings(settings: Mapping[str, Any]) -> str:
    """Format settings as they are written on the command line.

    >>> _settings({"strategy": "knn", "limit": None})
    'strategy=knn limit=null'
    """
    return " ".join(f"{key}={setting_text(value)}" for key, value in settings.items())


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
