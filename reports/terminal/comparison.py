"""Comparisons of runs as terminal tables and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.metrics.intervals import LEAST_DOCUMENTS
from clinspan.reports.settings import said_change
from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.tables import macro_name, shown_f1
from clinspan.reports.wording import p_words, scored_words, too_few

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
        console.print(f"{_short(run['path'])}: {scored_words(run)}", highlight=False)
    for pair in result["pairs"]:
        table = Table(title=f"{_short(pair['second'])} minus {_short(pair['first'])}", title_justify="left")
        for name in _pair_heads(pair):
            table.add_column(name, justify="left" if name == "" else "right")
        for row in _pair_rows(result, pair):
            table.add_row(*row)
        console.print(table)
        for line in _test_notes(_sides(result, pair)[0], pair):
            console.print(line, highlight=False)
        sentences_are = plural(pair["flipped"], "sentence is", "sentences are")
        for line in _about_pair(pair):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(
            f"flipped: {pair['flipped']} {sentences_are} entirely correct in one run and not in the other", highlight=False
        )


def markdown(result: Mapping[str, Any], prompts: Sequence[Sequence[str]]) -> str:
    """The same content as Markdown, with a diff of the prompts of each pair where they differ."""
    parts = [_markdown_table(_RUN_HEADS, _run_rows(result))]
    parts += ["".join(f"- {_short(run['path'])}: {scored_words(run)}; `{run['signature']}`\n" for run in result["runs"])]
    for pair, lines in zip(result["pairs"], prompts, strict=True):
        parts.append(f"## {_short(pair['second'])} minus {_short(pair['first'])}\n")
        parts.append(_markdown_table(_pair_heads(pair), _pair_rows(result, pair)))
        parts += [f"{line}\n" for line in _test_notes(_sides(result, pair)[0], pair)]
        parts += [f"{line}\n" for line in _about_pair(pair)]
        parts.append(f"Flipped sentences: {pair['flipped']}.\n")
        parts += ["```diff\n" + "\n".join(lines) + "\n```\n"] if lines else []
    return "\n".join(parts)


_RUN_HEADS = ("run", "what", "macro F1", "micro F1", "prompt tokens a sentence", "answer tokens a sentence", "seconds", "US$")


def _pair_heads(pair: Mapping[str, Any]) -> list[str]:
    names = [f"{_short(pair[side])} F1" for side in ("first", "second")]
    return ["", *names, "difference", "95% interval", "p", "p (Holm)"]


def _test_notes(run: Mapping[str, Any], pair: Mapping[str, Any]) -> list[str]:
    """Which sentences were compared, why there are no intervals and p-values, and which p-values are near the smallest possible.

    >>> _test_notes({"documents": 2, "per_type": {}}, {})
    ['too few documents (2) for intervals and p: use limit_documents=N or all, at least 10']
    """
    lines = [_common_words(pair["common"])] if pair.get("common") else []
    if reason := too_few(run["documents"], "intervals and p"):
        return [*lines, reason]
    tests = {**pair["per_type"], "macro": pair["macro"], "micro": pair["micro"]}
    if without := [name for name in pair["per_type"] if run["per_type"][name]["support"] and tests[name]["p_value"] is None]:
        lines.append(f"no interval and no p for types in fewer than {LEAST_DOCUMENTS} documents: {', '.join(without)}")
    near = {name: test["p_least"] for name, test in tests.items() if _at_floor(test)}
    if near:
        floors = ", ".join(f"{name} {p_words(least)}" for name, least in near.items())
        lines.append(f"smallest p that these documents, or samples=N, allow: {floors}")
    return lines


def _common_words(common: Mapping[str, Any]) -> str:
    """How many sentences a comparison with `common=true` is about.

    >>> _common_words({"sentences": 24, "of": [30, 40], "documents": 6, "of_documents": [8, 6]})
    'only sentences of both runs: 24 (of 30 and 40), in 6 documents (of 8 and 6)'
    """
    sentences = f"{common['sentences']} (of {common['of'][0]} and {common['of'][1]})"
    documents = f"{common['documents']} {plural(common['documents'], 'document')}"
    return f"only sentences of both runs: {sentences}, in {documents} (of {' and '.join(map(str, common['of_documents']))})"


def _at_floor(test: Mapping[str, Any]) -> bool:
    """Whether the smallest possible p is above .05, or p is within twice of it and no p of 1."""
    p_value, least = test["p_value"], test["p_least"]
    return p_value is not None and (0.05 < least < 1 or p_value <= 2 * least < 1)


def _about_pair(pair: Mapping[str, Any]) -> list[str]:
    """Lines about what differs between the two runs: settings, and what was sent."""
    changes = "; ".join(map(said_change, pair["settings"]))
    folds = [f"folds: {pair['folds']}"] if pair.get("folds") else []
    return [f"settings: {changes or 'the same'}", *folds, f"prompts: {' '.join(pair['prompts'])}"]


def _what(run: Mapping[str, Any]) -> str:
    """The choices of a run; of a compiled program not those of the prompt, which the optimizer may have replaced.

    >>> _what({"choices": {"model": "smollm2", "strategy": "knn", "prompt": "bare"}, "compiled_by": "labeled"})
    'smollm2, knn, compiled by labeled'
    """
    groups = ("model", "strategy", "format", "prompt")
    chosen = [str(run["choices"][group]) for group in groups[: 3 if run["compiled_by"] else 4] if run["choices"].get(group)]
    return ", ".join(chosen + ([f"compiled by {run['compiled_by']}"] if run["compiled_by"] else []))


def _run_rows(result: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for run in result["runs"]:
        figures = [f"{run['macro']['f1']:.4f}", f"{run['micro']['f1']:.4f}"]
        used = [f"{run['prompt_tokens_per_sentence']:.0f}", f"{run['answer_tokens_per_sentence']:.0f}"]
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.0f}"
        cost = "" if run["cost"] is None else f"{run['cost']:.4f}"
        rows.append([_short(run["path"]), _what(run), *figures, *used, seconds, cost])
    return rows


def _sides(result: Mapping[str, Any], pair: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The two runs of a pair, with their scores on the sentences that were compared."""
    if pair.get("common"):
        return list(pair["common"]["runs"])
    by_path = {run["path"]: run for run in result["runs"]}
    return [by_path[pair["first"]], by_path[pair["second"]]]


def _pair_rows(result: Mapping[str, Any], pair: Mapping[str, Any]) -> list[list[str]]:
    first, second = _sides(result, pair)
    rows = []
    for name, test in [*pair["per_type"].items(), ("macro", pair["macro"]), ("micro", pair["micro"])]:
        head = macro_name(first) if name == "macro" else name
        scores = [shown_f1(run, name) for run in (first, second)]
        if None in scores:
            rows.append([head, *["-"] * 5, ""])
            continue
        interval = "-" if test["interval"] is None else "{:+.3f} to {:+.3f}".format(*test["interval"])
        adjusted = p_words(test["p_holm"]) if "p_holm" in test else ""
        change = [f"{test['difference']:+.4f}", interval, p_words(test["p_value"]), adjusted]
        rows.append([head, *(f"{score:.4f}" for score in scores), *change])
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
