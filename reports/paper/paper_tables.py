"""The paper's tables with our figures beside the published ones, and why figures are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.reports.paper.paper_cells import cell_of
from clinspan.reports.paper.published import Cell, figures, FINE_TUNED, other_knowledge, published, TABLES
from clinspan.reports.run_views import Cell as Value
from clinspan.reports.run_views import Table
from clinspan.reports.terminal.tables import bounds_of

Record = Mapping[str, Any]
Run = tuple[Record, Mapping[str, Any] | None]
_TITLES = {
    "table2": "The paper's Table 2: zero-shot, two types",
    "table3": "The paper's Table 3: three models, three strategies",
    "figure3": "The paper's Figure 3: prompted and fine-tuned",
}
_COLUMNS = ("model", "strategy", "type", "paper P", "paper R", "paper F1", "P", "R", "F1", "95 % interval of F1", "F1 difference")
_DRAWN = "Figure 3 shows fine-tuned models as bars without numbers, so there are none to compare with."


def paper_tables(runs: Sequence[Run]) -> list[Table]:
    """A table for each of the paper's tables that the runs belong to.

    A run belongs to a table by its preset or, without a preset, as a reproduction of one of its cells. A difference is shown only
    for a run that is a cell of the paper, see `reports.paper.published.published`. Any other run differs in its sentences or its
    prompts, and a note says what it was measured on.

    Args:
        runs: The content of `run.json` and `scores.json` of each run, None for a run without scores. If several runs of one cell
            have scores, the last one started is shown.

    Returns:
        The tables; empty if no run belongs to one.
    """
    return [_table(name, [run for run in runs if belongs(run[0], name)]) for name in TABLES if _wanted(name, runs)]


def belongs(record: Record, name: str) -> bool:
    """Whether a run has this table's preset or, if it has no preset, is one of its cells on the paper's test split."""
    preset = (record.get("choices") or {}).get("experiment")
    return preset == name if preset in TABLES else cell_of(record) in TABLES[name] and published(dict(record)) is not None


def _wanted(name: str, runs: Sequence[Run]) -> bool:
    return any(belongs(record, name) for record, _ in runs)


def _table(name: str, runs: Sequence[Run]) -> Table:
    by_cell: dict[Cell, list[Run]] = {cell: [] for cell in TABLES[name]}
    for run in runs:
        by_cell.setdefault(cell_of(run[0]), []).append(run)
    rows: list[list[Value]] = []
    cells_by_note: dict[str, list[str]] = {}
    for cell, cell_runs in by_cell.items():
        scored = sorted((run for run in cell_runs if run[1] is not None), key=lambda run: str(run[0].get("started")))
        rows += _rows(name, cell, scored[-1] if scored else None)
        if note := _note(name, cell, cell_runs, scored):
            cells_by_note.setdefault(note, []).append(" ".join(cell))
    notes = [f"{', '.join(cells)}: {note}" for note, cells in cells_by_note.items()]
    if any(strategy == FINE_TUNED for _, strategy in by_cell):
        notes.append(_DRAWN)
    return Table(title=_TITLES[name], columns=_COLUMNS, rows=rows, notes=notes)


def _rows(name: str, cell: Cell, run: Run | None) -> list[list[Value]]:
    """One row per type of the paper or, if it has no figures for the cell, per type of the run."""
    paper = figures(name, cell)
    record, scores = run if run is not None else ({}, None)
    same = scores is not None and published(dict(record)) is not None
    types = paper or ({} if scores is None else [*scores["per_type"], "macro"])
    rows: list[list[Value]] = []
    for label in types or [""]:
        theirs: Sequence[Value] = (None if other_knowledge(record) else paper.get(label)) or (None, None, None)
        ours = _figures(scores, label)
        gap = ours[2] - paper[label][2] if same and ours is not None and label in paper else None
        rows.append([*cell, label, *theirs, *(ours or (None, None, None)), _interval(scores, label), _signed(gap)])
    return rows


def _figures(scores: Mapping[str, Any] | None, label: str) -> tuple[float, float, float] | None:
    row = None if scores is None else scores["macro"] if label == "macro" else scores["per_type"].get(label)
    return None if row is None else (float(row["precision"]), float(row["recall"]), float(row["f1"]))


def _interval(scores: Mapping[str, Any] | None, label: str) -> str | None:
    bounds = bounds_of(scores, label)
    return None if bounds is None else f"{bounds[0]:.3f} - {bounds[1]:.3f}"


def _signed(value: float | None) -> str | None:
    """
    >>> _signed(0.02), _signed(-0.5), _signed(None)
    ('+0.0200', '-0.5000', None)
    """
    return None if value is None else f"{value:+.4f}"


def _note(name: str, cell: Cell, runs: Sequence[Run], scored: Sequence[Run]) -> str:
    """The note on a cell: why it is missing, what it was measured on, which of several runs is shown."""
    if not scored:
        return _missing(runs)
    record, scores = scored[-1]
    remarks = []
    if cell not in TABLES[name]:
        remarks.append("not a cell of the paper's")
    if published(dict(record)) is None:
        corpus = record.get("corpus") or {}
        place = f"{corpus.get('name')} {corpus.get('split')}, {(scores or {}).get('sentences', 0):,} sentences"
        format_name = (record.get("choices") or {}).get("format")
        remarks.append(f"measured on {place}" + (f", format={format_name}" if format_name else ""))
    if knowledge := other_knowledge(record):
        remarks.append(f"retriever.knowledge={knowledge}, the paper retrieved from articles of rarediseases.org")
    if len(scored) > 1:
        remarks.append(f"the last of {len(scored)} runs")
    return "; ".join(remarks)


def _missing(runs: Sequence[Run]) -> str:
    """Why a cell has no figures of ours."""
    if not runs:
        return "not run"
    record = runs[-1][0]
    return str(record.get("reason") or (f"failed ({record['error']})" if record.get("error") else "did not finish"))
