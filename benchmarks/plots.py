"""Table and plots of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from clinspan.reports.terminal.console import PlainConsole


def print_bench(result: Mapping[str, Any], *, title: str) -> None:
    """Print one row per baseline, and how much faster the engine is.

    Args:
        result: `rows`, `ratios`, `identical` and `compared`, as `benchmarks.bench` writes them.
        title: What was timed.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    names = ("sentences/s", "prompt tok/s", "answer tok/s", "passes a sentence", "peak MiB", "ours is faster by")
    for name in names:
        table.add_column(name, justify="right")
    for name, row in result["rows"].items():
        passes = row["passes_per_sentence"]
        ratio = result["ratios"].get(f"e/{name}")
        table.add_row(
            f"{name}: {row['says']}",
            f"{row['sentences_per_s']:.2f}",
            f"{row['prompt_tokens_per_s']:.0f}",
            f"{row['answer_tokens_per_s']:.0f}",
            "" if passes is None else f"{passes:.1f}",
            str(row["peak_mib"]),
            "" if ratio is None else f"{ratio:.2f}",
        )
    console = PlainConsole(width=130)
    console.print(table)
    console.print(
        f"identical with plain constrained greedy decoding: {result['identical']} of {result['compared']}", highlight=False
    )


def plot_bench(rows: Mapping[str, Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Plot sentences per second on a logarithmic scale, one bar per baseline; the engine's variants have another colour."""
    plt = _pyplot()
    names = list(rows)
    figure, panel = plt.subplots(figsize=(8, 0.42 * len(names) + 1.1), constrained_layout=True)
    speeds = [rows[name]["sentences_per_s"] for name in names]
    colours = ["tab:blue" if name.startswith("e") else "tab:gray" for name in names]
    bars = panel.barh([f"{name}: {rows[name]['says']}" for name in names], speeds, color=colours)
    panel.bar_label(bars, [f"{speed:.2f}" for speed in speeds], padding=3)
    panel.set_xscale("log")
    panel.set_xlim(min(speeds) / 2, 2 * max(speeds))
    panel.invert_yaxis()
    panel.set_xlabel("sentences a second")
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def plot_growth(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Plot seconds per sentence in three panels, by tokens, labels and batch size, as `benchmarks.scaling` returns them."""
    plt = _pyplot()
    heads = {"tokens": "tokens of the sentence", "labels": "labels", "batch": "batch size"}
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), constrained_layout=True)
    for panel, (axis, rows) in zip(panels, curves.items(), strict=True):
        panel.plot([row["at"] for row in rows], [row["seconds"] for row in rows], marker="o")
        panel.set_xscale("log")
        panel.set_xticks([row["at"] for row in rows], [f"{row['at']:.0f}" for row in rows])
        panel.minorticks_off()
        panel.set_ylim(bottom=0)
        panel.set_xlabel(heads[axis])
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds a sentence")
    figure.savefig(path, dpi=110)
    plt.close(figure)
