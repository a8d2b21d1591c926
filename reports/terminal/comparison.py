"""Comparisons of runs as terminal tables and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.reports.terminal.console import PlainConsole

_WIDTH = 120
_NUMBER = 8  # width of a number column in characters; longer heads wrap


def print_comparison(result: Mapping[str, Any]) -> None:
    """Print the runs with their scores and costs, then each run against the first.

    Args:
        result: `runs` and `pairs`, as `programs.compare` writes them.
    """
    console = PlainConsole(width=_WIDTH)
    table = Table(title="runs", title_justify="left")
    for name in _RUN_HEADS:
        is_text = name in ("run", "what")
        table.add_column(name, justify="left" if is_text else "right", max_width=None if is_text else _NUMBER, overflow="fold")
    for row in _run_rows(result):
        table.add_row(*row)
    console.print(table)
    for run in result["runs"]:
        console.print(f"{_short(run['path'])}: {run['signature']}", highlight=False)
    for pair in result["pairs"]:
        table = Table(title=f"{_short(pair['second'])} minus {_short(pair['first'])}", title_justify="left")
        for name in _PAIR_HEADS:
            table.add_column(name, justify="left" if name == "" else "right")
        for row in _pair_rows(result, pair):
            table.add_row(*row)
        console.print(table)
        sentences_are = plural(pair["flipped"], "sentence is", "sentences are")
        console.print(
            f"flipped: {pair['flipped']} {sentences_are} entirely correct in one run and not in the other", highlight=False
        )


def markdown(result: Mapping[str, Any], prompts: Sequence[Sequence[str]]) -> str:
    """The same content as Markdown, with a diff of the prompts of each pair."""
    parts = [_markdown_table(_RUN_HEADS, _run_rows(result))]
    parts += ["".join(f"- {_short(run['path'])}: `{run['signature']}`\n" for run in result["runs"])]
    for pair, lines in zip(result["pairs"], prompts, strict=True):
        parts.append(f"## {_short(pair['second'])} minus {_short(pair['first'])}\n")
        parts.append(_markdown_table(_PAIR_HEADS, _pair_rows(result, pair)))
        parts.append(f"Flipped sentences: {pair['flipped']}.\n")
        parts.append("```diff\n" + "\n".join(lines) + "\n```\n" if lines else "The prompts are the same.\n")
    return "\n".join(parts)


_RUN_HEADS = ("run", "what", "macro F1", "micro F1", "prompt tokens a sentence", "answer tokens a sentence", "seconds", "US$")
_PAIR_HEADS = ("", "first F1", "second F1", "difference", "95% interval", "p", "p (Holm)")


def _run_rows(result: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for run in result["runs"]:
        chosen = run["choices"]
        what = ", ".join(str(chosen[key]) for key in ("model", "strategy", "format", "prompt", "optimizer") if chosen.get(key))
        figures = [f"{run['macro']['f1']:.4f}", f"{run['micro']['f1']:.4f}"]
        used = [f"{run['prompt_tokens_per_sentence']:.0f}", f"{run['answer_tokens_per_sentence']:.0f}"]
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.0f}"
        cost = "" if run["cost"] is None else f"{run['cost']:.4f}"
        rows.append([_short(run["path"]), what, *figures, *used, seconds, cost])
    return rows


def _pair_rows(result: Mapping[str, Any], pair: Mapping[str, Any]) -> list[list[str]]:
    by_path = {run["path"]: run for run in result["runs"]}
    first, second = by_path[pair["first"]], by_path[pair["second"]]
    rows = []
    for name, test in [*pair["per_type"].items(), ("macro", pair["macro"]), ("micro", pair["micro"])]:
        scores = [(run["per_type"][name] if name in pair["per_type"] else run[name])["f1"] for run in (first, second)]
        low, high = test["interval"]
        adjusted = f"{test['p_holm']:.4f}" if "p_holm" in test else ""
        change = [f"{test['difference']:+.4f}", f"{low:+.3f} to {high:+.3f}", f"{test['p_value']:.4f}", adjusted]
        rows.append([name, *(f"{score:.4f}" for score in scores), *change])
    return rows


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"


def _short(path: str) -> str:
    """The last part of a run's path; for a job of a sweep the last two parts.

    >>> _short("runs/run/2026-01-01_10-00-00/3")
    '2026-01-01_10-00-00/3'
    """
    name = Path(path)
    return f"{name.parent.name}/{name.name}" if name.name.isdigit() else name.name
