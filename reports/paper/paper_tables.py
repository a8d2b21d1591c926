"""The paper's tables with our figures beside the published ones, and what is missing and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.reports.paper.paper_cells import cell_of
from clinspan.reports.paper.published import Cell, figures, FINE_TUNED, published, TABLES
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
_DRAWN = "Figure 3 draws fine-tuned models as bars without figures, so none stand beside ours."


def paper_tables(runs: Sequence[Run]) -> list[Table]:
    """A table for each of the paper's that the runs belong to: by their preset or, without one, as reproductions of its cells.

    A difference stands only beside a run that is the paper's cell, see `reports.paper.published.published`: any other is over other
    sentences or asked otherwise, and a note says what it was measured on.

    Args:
        runs: The content of `run.json` and of `scores.json` of each run, None for one without scores. Of several runs of one
            cell that have scores the last started is shown.

    Returns:
        No table for runs that have nothing to do with the paper's.
    """
    return [_table(name, [run for run in runs if belongs(run[0], name)]) for name in TABLES if _wanted(name, runs)]


def belongs(record: Record, name: str) -> bool:
    """Whether a run is of this table's preset or, if it is of none, one of its cells on the paper's test split."""
    preset = (record.get("choices") or {}).get("experiment")
    return preset == name if preset else cell_of(record) in TABLES[name] and published(dict(record)) is not None


def _wanted(name: str, runs: Sequence[Run]) -> bool:
    return any(belongs(record, name) for record, _ in runs)


def _table(name: str, runs: Sequence[Run]) -> Table:
    by_cell: dict[Cell, list[Run]] = {cell: [] for cell in TABLES[name]}
    for run in runs:
        by_cell.setdefault(cell_of(run[0]), []).append(run)
    rows: list[list[Value]] = []
    said: dict[str, list[str]] = {}
    for cell, found in by_cell.items():
        scored = sorted((run for run in found if run[1] is not None), key=lambda run: str(run[0].get("started")))
        rows += _rows(name, cell, scored[-1] if scored else None)
        if note := _note(name, cell, found, scored):
            said.setdefault(note, []).append(" ".join(cell))
    notes = [f"{', '.join(cells)}: {note}" for note, cells in said.items()]
    if any(strategy == FINE_TUNED for _, strategy in by_cell):
        notes.append(_DRAWN)
    return Table(title=_TITLES[name], columns=_COLUMNS, rows=rows, notes=notes)


def _rows(name: str, cell: Cell, run: Run | None) -> list[list[Value]]:
    """A row a type: those of the paper and, of a cell that it has no figures of, those of the run."""
    paper = figures(name, cell)
    record, scores = run if run is not None else ({}, None)
    same = scores is not None and published(dict(record)) is not None
    types = paper or ({} if scores is None else [*scores["per_type"], "macro"])
    rows: list[list[Value]] = []
    for label in types or [""]:
        theirs: Sequence[Value] = paper.get(label) or (None, None, None)
        ours = _figures(scores, label)
        gap = ours[2] - paper[label][2] if same and ours is not None and label in paper else None
        rows.append([*cell, label, *theirs, *(ours or (None, None, None)), _interval(scores, label), _signed(gap)])
    return rows


def _figures(scores: Mapping[str, Any] | None, label: str) -> tuple[float, float, float] | None:
    found = None if scores is None else scores["macro"] if label == "macro" else scores["per_type"].get(label)
    return None if found is None else (float(found["precision"]), float(found["recall"]), float(found["f1"]))


def _interval(scores: Mapping[str, Any] | None, label: str) -> str | None:
    found = bounds_of(scores, label)
    return None if found is None else f"{found[0]:.3f} - {found[1]:.3f}"


def _signed(value: float | None) -> str | None:
    """
    >>> _signed(0.02), _signed(-0.5), _signed(None)
    ('+0.0200', '-0.5000', None)
    """
    return None if value is None else f"{value:+.4f}"


def _note(name: str, cell: Cell, found: Sequence[Run], scored: Sequence[Run]) -> str:
    """What must be said of a cell: that and why it is missing, what it was measured on, which of several is shown."""
    if not scored:
        return _missing(found)
    record, scores = scored[-1]
    said = []
    if cell not in TABLES[name]:
        said.append("not a cell of the paper's")
    if published(dict(record)) is None:
        corpus = record.get("corpus") or {}
        place = f"{corpus.get('name')} {corpus.get('split')}, {(scores or {}).get('sentences', 0):,} sentences"
        asked = (record.get("choices") or {}).get("format")
        said.append(f"measured on {place}" + (f", format={asked}" if asked else ""))
    if len(scored) > 1:
        said.append(f"the last of {len(scored)} runs")
    return "; ".join(said)


def _missing(found: Sequence[Run]) -> str:
    """Why a cell has no figures of ours."""
    if not found:
        return "not run"
    record = found[-1][0]
    return str(record.get("reason") or (f"failed ({record['error']})" if record.get("error") else "did not finish"))
