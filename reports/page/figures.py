"""Figures of a group of runs: F1 and errors as in the paper's Figures 3 and 4, calibration, F1 against cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clinspan.metrics.errors import KIND_NAMES, KINDS
from clinspan.reports.page.drawing import axes, COLOURS, drawn, GRID, grid, HATCHES, INK, legend_above, MARKERS, styled
from clinspan.reports.page.summary import errors_of
from clinspan.reports.run_views import Group, RunView
from clinspan.reports.terminal.tables import bounds_of, row_of

SHOWN = 8
"""The most runs that a reader can tell apart in one figure."""
LEAST_ENTITIES = 10
"""The fewest entities of a point of the reliability plot: neighbouring bins are joined until they have as many."""
_LETTERS = 44
_CHARACTER = 0.09  # inches that a character of a tick label takes, with some air
_MARGIN = 0.03  # of an axis from 0 to 1, for points on its border


def draw_figures(group: Group) -> dict[str, tuple[str, Any]]:
    """Draw the figures for which the group's runs have data: by name the caption and the matplotlib figure."""
    runs = group.runs[:SHOWN]
    rest = f" The first {SHOWN} of {len(group.runs)} runs, as the leaderboard has them." if len(group.runs) > SHOWN else ""
    figures: dict[str, tuple[str, Any]] = {}
    for name, (caption, has_data, draw) in _FIGURES.items():
        usable = [run for run in runs if has_data(run)]
        if usable:
            with styled():
                figures[name] = (caption + rest, draw(usable))
    return figures


def plot_f1(runs: Sequence[RunView]) -> Any:
    """Grouped bars of F1: one group per type, macro and micro, one bar per run with its 95 % interval."""
    names = [*runs[0].labels, "macro", "micro"]
    figure, panel = axes(width=min(11.0, max(7.0, 0.35 * len(names) * len(runs) + 2)), height=3.4)
    for n, run in enumerate(runs):
        values = [_f1(run, name) for name in names]
        bounds = [bounds_of(run.scores, name) or (float("nan"),) * 2 for name in names]
        spread = [[v - min(v, b[0]) for v, b in zip(values, bounds, strict=True)]]
        spread.append([max(v, b[1]) - v for v, b in zip(values, bounds, strict=True)])
        _bars(panel, run, values, n=n, of=len(runs), spread=spread)
    _name_ticks(panel, [drawn(name) for name in names], figure.get_figwidth() - 0.8)
    panel.axvline(len(runs[0].labels) - 0.5, color=GRID, linewidth=1)
    panel.set_ylabel("F1")
    highest = max(_bounds(run, name)[1] for run in runs for name in names)
    panel.set_ylim(0, 1 + _MARGIN if highest > 0.5 else max(1.08 * highest, 0.1))
    legend_above(figure, panel)
    return figure


def plot_errors(runs: Sequence[RunView]) -> Any:
    """Grouped bars of error counts: one group per kind of error, one bar per run."""
    figure, panel = axes(width=5.6, height=3.8)
    for n, run in enumerate(runs):
        counts = errors_of(run)
        values = [sum(count for (kind, _), count in counts.items() if kind == wanted) for wanted in KINDS]
        _bars(panel, run, values, n=n, of=len(runs))
    panel.set_xticks(range(len(KINDS)), [KIND_NAMES[kind].replace(" ", "\n", 1) for kind in KINDS])
    panel.set_ylabel("errors")
    legend_above(figure, panel)
    return figure


def plot_errors_by_type(runs: Sequence[RunView]) -> Any:
    """One panel per run: one bar per type, divided by kind of error."""
    labels = runs[0].labels
    columns = min(2, len(runs))
    lines = -(-len(runs) // columns)
    height = lines * (0.3 * len(labels) + 0.75) + 0.7
    figure, panels = grid(width=6.2, height=height, rows=lines, columns=columns)
    for run, panel in zip(runs, panels.flat, strict=False):
        counts, left = errors_of(run), [0] * len(labels)
        for n, kind in enumerate(KINDS):
            values = [counts.get((kind, label), 0) for label in labels]
            look = {"color": COLOURS[n], "hatch": HATCHES[n], "edgecolor": INK, "linewidth": 0.6}
            panel.barh(range(len(labels)), values, left=left, label=KIND_NAMES[kind], **look)
            left = [a + b for a, b in zip(left, values, strict=True)]
        panel.set_yticks(range(len(labels)), [drawn(label) for label in labels])
        panel.invert_yaxis()
        panel.set_title(_name(run), loc="left", fontsize=9)
        panel.grid(axis="x", color=GRID, linewidth=0.6)
    for panel in list(panels.flat)[len(runs) :]:
        panel.axis("off")
    legend_above(figure, panels[0][0])
    return figure


def plot_calibration(runs: Sequence[RunView]) -> Any:
    """Reliability plot: share of correct entities by confidence, one line per run, with the number of entities at each point."""
    figure, panel = axes(width=4.4, height=4.0)
    panel.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 4)))
    for n, run in enumerate(runs):
        calibration = run.scores["calibration"]
        points = joined_bins(calibration["bins"])
        x, y = [point[0] for point in points], [point[1] for point in points]
        few = "" if points else f", {calibration['entities']} entities are too few to draw"
        look = {"color": COLOURS[n], "marker": MARKERS[n], "linewidth": 1.4, "clip_on": False}
        panel.plot(x, y, label=f"{_name(run)} (off by {calibration['ece']:.2f}{few})", **look)
        for confidence, accuracy, number in points:
            above = 5 if accuracy < 0.9 else -10
            panel.annotate(f"{number:,}", (confidence, accuracy), xytext=(4, above), textcoords="offset points", fontsize=7)
    panel.set(xlim=(-_MARGIN, 1 + _MARGIN), ylim=(-_MARGIN, 1 + _MARGIN), aspect="equal")
    panel.set(xlabel="confidence of predicted entities", ylabel="share that is right")
    legend_above(figure, panel)
    return figure


def joined_bins(bins: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, int]]:
    """Mean confidence, share of correct entities and number of entities of bins, joined until each has `LEAST_ENTITIES`.

    What is left at the end is joined to the last one; there is none if all bins together have fewer.

    >>> joined_bins([{"entities": 12, "confidence": 0.25, "accuracy": 0.5}, {"entities": 4, "confidence": 0.75, "accuracy": 1.0}])
    [(0.375, 0.625, 16)]
    """
    joined: list[list[float]] = []
    for row in bins:
        if row["entities"]:
            if not joined or joined[-1][2] >= LEAST_ENTITIES:
                joined.append([0.0, 0.0, 0])
            sums = (row["entities"] * row["confidence"], row["entities"] * row["accuracy"], row["entities"])
            joined[-1] = [a + b for a, b in zip(joined[-1], sums, strict=True)]
    if len(joined) > 1 and joined[-1][2] < LEAST_ENTITIES:
        last = joined.pop()
        joined[-1] = [a + b for a, b in zip(joined[-1], last, strict=True)]
    return [(c / number, a / number, int(number)) for c, a, number in joined if number >= LEAST_ENTITIES]


def plot_tokens(runs: Sequence[RunView]) -> Any:
    """Micro F1 against prompt and answer tokens per sentence."""
    return _plot_spent(runs, lambda run: float(run.tokens_per_sentence or 0), "prompt and answer tokens a sentence")


def plot_cost(runs: Sequence[RunView]) -> Any:
    """Micro F1 against US$ per thousand sentences."""
    return _plot_spent(runs, lambda run: 1000 * _cost(run) / max(1, run.scores["sentences"]), "US$ a thousand sentences")


def _plot_spent(runs: Sequence[RunView], spent: Callable[[RunView], float], head: str) -> Any:
    figure, panel = axes(width=4.4, height=4.0)
    values = [spent(run) for run in runs]
    for n, (run, x) in enumerate(zip(runs, values, strict=True)):
        y, bounds = _f1(run, "micro"), _bounds(run, "micro")
        spread = [[max(0.0, y - bounds[0])], [max(0.0, bounds[1] - y)]]
        look = {"color": COLOURS[n], "ecolor": INK, "elinewidth": 0.8, "capsize": 3, "markersize": 8, "clip_on": False}
        panel.errorbar([x], [y], spread, fmt=MARKERS[n], label=_name(run), **look)
        panel.annotate(str(run.number), (x, y), xytext=(8, 5), textcoords="offset points", fontsize=10, fontweight="bold")
    if max(values) > 8 * min(values) > 0:
        panel.set_xscale("log")
    else:
        panel.set_xlim(0, 1.35 * max(values))
    panel.set_ylim(0, min(1 + _MARGIN, max(0.1, 1.15 * max(_bounds(run, "micro")[1] for run in runs))))
    panel.set(xlabel=head, ylabel="micro F1")
    panel.grid(color=GRID, linewidth=0.6)
    legend_above(figure, panel)
    return figure


def _bars(
    panel: Any, run: RunView, values: Sequence[float], *, n: int, of: int, spread: Sequence[Sequence[float]] | None = None
) -> None:
    """Draw the bars of the n-th of `of` runs beside those of the others."""
    width = 0.8 / of
    places = [place + (n - (of - 1) / 2) * width for place in range(len(values))]
    panel.bar(
        places,
        values,
        width=width,
        color=COLOURS[n],
        hatch=HATCHES[n],
        edgecolor=INK,
        linewidth=0.6,
        yerr=spread,
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": min(3, 10 / of)},
        label=_name(run),
    )
    panel.grid(axis="y", color=GRID, linewidth=0.6)


def _name_ticks(panel: Any, names: Sequence[str], width: float) -> None:
    """Name the places of an x axis, turned if the longest name has not enough of the axis' `width` in inches."""
    turned = max(map(len, names)) * _CHARACTER > width / len(names)
    look = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    panel.set_xticks(range(len(names)), names, **look)


def _name(run: RunView) -> str:
    """A run's number and name."""
    return drawn(f"{run.number} {run.name}", _LETTERS)


def _f1(run: RunView, name: str) -> float:
    return float(row_of(run.scores, name)["f1"])


def _bounds(run: RunView, name: str) -> Sequence[float]:
    """The interval of an F1; if there is none, the F1 as both bounds."""
    return bounds_of(run.scores, name) or (_f1(run, name), _f1(run, name))


def _cost(run: RunView) -> float:
    return float(run.job.record.get("cost") or 0.0)


_FIGURES: dict[str, tuple[str, Callable[[RunView], Any], Callable[[Sequence[RunView]], Any]]] = {
    "f1": ("F1 by type, with 95 % intervals over documents where there are enough.", lambda run: True, plot_f1),
    "errors": ("Errors by kind.", lambda run: run.rows, plot_errors),
    "errors_by_type": (
        "Errors by type and kind; a wrong type counts for the gold type.",
        lambda run: run.rows,
        plot_errors_by_type,
    ),
    "calibration": (
        f"Reliability of confidences. Points below the diagonal are overconfident. Numbers: entities, at least {LEAST_ENTITIES} "
        "a point; smaller bins are joined.",
        lambda run: run.scores.get("calibration"),
        plot_calibration,
    ),
    "tokens": ("Micro F1 against tokens.", lambda run: run.tokens_per_sentence, plot_tokens),
    "cost": ("Micro F1 against cost.", _cost, plot_cost),
}
