"""The HTML report: one self-contained file with tables, figures and every sentence."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clinspan.reports.page.drawing import COLOURS, save_figure
from clinspan.reports.page.figures import draw_figures
from clinspan.reports.page.prompt_differences import prompt_differences
from clinspan.reports.page.sentences import answer_data, embed, page_data, sent_data
from clinspan.reports.page.strip import strip_facts
from clinspan.reports.page.summary import facts, overview, score_table
from clinspan.reports.run_views import Cell, Group, group_runs, RunView, Table
from clinspan.reports.terminal.leaderboard_table import table_of

_FIGURE = re.compile(r"[-+−±–.,\d ]+")
_SCRIPTS = ("data.js", "filters.js", "cards.js", "asked.js", "grid.js", "links.js", "keys.js", "main.js")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of a report page.

    Attributes:
        views: The scored runs, numbered, best first.
        board: What `reports.leaderboard.build_leaderboard` returns.
        paper: The paper's tables with these runs beside them, see `reports.paper.paper_tables`.
        about: Text about the report itself: when and with what it was made.
        phi: Whether any corpus is marked as patient data.
        redacted: Whether text has been removed, see `reports.page.redaction`.
    """

    views: Sequence[RunView]
    board: Mapping[str, Any]
    paper: Sequence[Table]
    about: str
    phi: bool
    redacted: bool


def write_page(report: Report, folder: Path, *, figures: bool = True) -> Path:
    """Write `report.html`, and each of its figures as PNG and SVG, into a folder. Without figures, no drawing library is loaded.

    Returns:
        The page's path.
    """
    groups = group_runs([view for view in report.views if "per_type" in view.scores])
    sections = [_section(group, number, folder if figures else None) for number, group in enumerate(groups, 1)]
    environment = Environment(
        loader=PackageLoader("clinspan.reports", "web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"cell": _cell, "numeric": _numeric}
    script = "".join(_source(environment, name) for name in _SCRIPTS)
    text = environment.get_template("page.html").render(
        report=report,
        policy=_policy(f"\n{script}"),
        style=Markup(_source(environment, "page.css")),
        script=Markup(script),
        colours=COLOURS,
        standings=table_of(report.board),
        sections=sections,
        blocks=_blocks(groups, redacted=report.redacted),
        lost=[view for view in report.views if view.problem or view.unwritten],
    )
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _policy(script: str) -> Markup:
    """The page's content security policy: it may run this one script and load nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Markup(_POLICY.format(digest))


def _section(group: Group, number: int, folder: Path | None) -> dict[str, Any]:
    """Template data of a group, without its sentences; without a folder for figures, it has none."""
    ending = "" if number == 1 else f"_{number}"
    figures = (
        []
        if folder is None
        else [
            {"name": name, "caption": caption, "svg": Markup(save_figure(figure, folder, name + ending))}
            for name, (caption, figure) in draw_figures(group).items()
        ]
    )
    runs = [{"view": view, "facts": facts(view), "scores": score_table(view)} for view in group.runs]
    return {"title": group.title, "strip": strip_facts(group), "overview": overview(group), "figures": figures, "runs": runs}


def _blocks(groups: Sequence[Group], *, redacted: bool) -> dict[str, Markup]:
    """Data of the page's script by element id, as JSON that is safe in HTML. Large, seldom read data has its own elements."""
    blocks: dict[str, Any] = {"data": page_data(groups)}
    if not redacted:
        views = [view for group in groups for view in group.runs if view.rows]
        blocks |= {f"answers-{view.number}": answer_data(view) for view in views}
        blocks["prompts"] = sent_data(views)
        blocks["differences"] = prompt_differences(groups)
    return {name: Markup(embed(content)) for name, content in blocks.items()}


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _cell(value: Cell) -> str:
    """A table's cell as text.

    >>> [_cell(value) for value in (0.25, 12000, None, "knn")]
    ['0.2500', '12,000', '', 'knn']
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else value


def _numeric(table: Table) -> list[bool]:
    """Whether each column holds only figures, so that it is aligned right."""
    texts = [[_cell(value) for value in column] for column in zip(*table.rows, strict=True)]
    flags = [all(_FIGURE.fullmatch(text) for text in column if text) for column in texts]
    return flags or [False] * len(table.columns)
