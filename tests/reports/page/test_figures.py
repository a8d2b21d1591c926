"""Figures as they are drawn: names that do not touch, points that are not cut, points with enough entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.app.report_content import load_job, load_view
from clinspan.reports.page.drawing import styled
from clinspan.reports.page.figures import joined_bins, LEAST_ENTITIES, plot_calibration, plot_f1, plot_tokens
from clinspan.reports.run_views import group_runs, RunView
from support.report_runs import sentence, some_sentences, write_run

PAPER_TYPES = ("Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom")


def view_of(folder: Path, rows: list[dict[str, Any]], **more: Any) -> RunView:
    (group,) = group_runs([load_view(load_job(write_run(folder, rows, **more)))])
    return group.runs[0]


def drawn_with(plot: Any, *views: RunView) -> tuple[Any, Any]:
    """The figure, drawn by the canvas of files, and its panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with styled():
        figure = plot(views)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return canvas.get_renderer(), figure.axes[0]


@pytest.mark.parametrize("labels", [PAPER_TYPES, ("A", "B"), tuple(f"Type{n}" for n in range(20))])
def test_names_of_types_do_not_run_into_each_other(tmp_path: Path, labels: tuple[str, ...]) -> None:
    from matplotlib.transforms import Affine2D

    renderer, panel = drawn_with(plot_f1, view_of(tmp_path / "run", some_sentences(), labels=labels))
    names = panel.get_xticklabels()
    assert len(names) == len(labels) + 2
    turn = Affine2D().rotate_deg(-names[0].get_rotation())  # boxes along the names, where they may be turned
    anchors = [turn.transform(name.get_transform().transform(name.get_position())) for name in names]
    sizes = []
    for name in names:
        name.set_rotation(0)
        box = name.get_window_extent(renderer)
        sizes.append((box.width, box.height))
    for (x, y), (width, height), (other_x, other_y) in zip(anchors, sizes, anchors[1:], strict=False):
        beside = other_x - x > (width if names[0].get_ha() == "center" else 0)
        assert beside or abs(other_y - y) > height


def test_a_point_on_the_border_is_not_cut(tmp_path: Path) -> None:
    rows = [sentence(n, "a cough came", ".S.", ".S.", confidence=[None, 1.0, None]) for n in range(24)]
    view = view_of(tmp_path / "run", rows)
    for plot in (plot_calibration, plot_tokens):
        _, panel = drawn_with(plot, view)
        (point,) = [line for line in panel.lines if line.get_marker() == "o"]
        assert point.get_ydata()[0] == 1.0
        assert not point.get_clip_on()
        assert panel.get_ylim()[1] > 1
    assert drawn_with(plot_f1, view)[1].get_ylim()[1] > 1


def test_points_of_the_reliability_plot_have_enough_entities_and_show_their_number(tmp_path: Path) -> None:
    rows = [sentence(n, "a cough", ".S", ".S", confidence=[None, 0.05 + 0.9 * n / 40]) for n in range(40)]
    _, panel = drawn_with(plot_calibration, view_of(tmp_path / "run", rows))
    numbers = [int(text.get_text()) for text in panel.texts]
    assert sum(numbers) == 40
    assert min(numbers) >= LEAST_ENTITIES
    _, panel = drawn_with(plot_calibration, view_of(tmp_path / "few", rows[:6]))
    assert not panel.texts
    assert "6 entities are too few to draw" in panel.get_legend_handles_labels()[1][0]


def test_joined_bins_keep_all_entities_and_means() -> None:
    bins = [{"entities": n, "confidence": k / 10, "accuracy": k / 20} for k, n in enumerate([3, 8, 0, 30, 9, 1, 4])]
    joined = joined_bins(bins)
    assert [number for *_, number in joined] == [11, 30, 14]
    total = sum(row["entities"] * row["confidence"] for row in bins)
    assert sum(confidence * number for confidence, _, number in joined) == pytest.approx(total)
    assert joined_bins(bins[:1]) == joined_bins([]) == []
