"""Cells of the paper's tables: which cell a run is, and the summary at the end of a sweep over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.reports.paper.published import Cell, FINE_TUNED, TABLES

_CLASSIFIER = "ClassifierModel"
_LACKING = "not available here (with model=NAME model.path=FOLDER the preset runs one model from a folder):"


@dataclass(frozen=True)
class CellRun:
    """A run of a cell, whether it has scores or not.

    Attributes:
        path: Its folder.
        record: The content of its `run.json`, empty if there is none.
        scores: The content of its `scores.json`, None if it has no scores.
        reason: What it lacked and how to get that; None if it ran or failed for another reason.
    """

    path: str
    record: Mapping[str, Any]
    scores: Mapping[str, Any] | None
    reason: str | None = None


def cell_of(record: Mapping[str, Any]) -> Cell:
    """The model and the strategy of a run; the strategy of a model that was trained on the corpus is `fine_tuned`.

    >>> cell_of({"choices": {"model": "gpt4", "strategy": "rag"}, "config": {"model": {"_target_": "clinspan.lms.AzureModel"}}})
    ('gpt4', 'rag')
    >>> cell_of({"choices": {"model": "medtuned", "strategy": "zero_shot"}, "config": {"model": {"adapter": "runs/x/model"}}})
    ('medtuned', 'fine_tuned')
    """
    chosen, config = record.get("choices") or {}, (record.get("config") or {}).get("model") or {}
    tuned = config.get("adapter") is not None or str(config.get("_target_", "")).endswith(_CLASSIFIER)
    return str(chosen.get("model", "")), FINE_TUNED if tuned else str(chosen.get("strategy", ""))


def paper_cell(model: str, strategy: str) -> bool:
    """Whether one of the paper's tables has this cell.

    >>> paper_cell("medtuned", "rag"), paper_cell("medtuned", "knn")
    (True, False)
    """
    return any((model, strategy) in cells for cells in TABLES.values())


def cell_lines(name: str, cells: Sequence[CellRun]) -> list[str]:
    """Lines for the end of a sweep: cells that ran and their scores, cells that lack something and how to get it, failed cells.

    Args:
        name: The preset.
        cells: Its cells in the order of the sweep.
    """
    seeds = {_seed(cell) for cell in cells if cell.record}
    ran = [cell for cell in cells if cell.scores is not None]
    lines = [f"{name}: {len(ran)} of {len(cells)} cells ran"]
    for cell in ran:
        assert cell.scores is not None
        micro, macro = (cell.scores[key]["f1"] for key in ("micro", "macro"))
        lines.append(f"  {_words(cell, seeds)}: micro F1 {micro:.4f}, macro F1 {macro:.4f}, {cell.path}")
    lacking: dict[str, list[str]] = {}
    for cell in cells:
        if cell.scores is None and cell.reason is not None:
            lacking.setdefault(cell.reason, []).append(_words(cell, seeds))
    lines += [_LACKING] if lacking else []
    lines += [f"  {'; '.join(words)}: {reason}" for reason, words in lacking.items()]
    failed = [cell for cell in cells if cell.scores is None and cell.reason is None]
    lines += ["failed:"] if failed else []
    lines += [f"  {_words(cell, seeds)} ({cell.record.get('error') or 'left no record'}), {cell.path}" for cell in failed]
    return lines


def _words(cell: CellRun, seeds: set[Any]) -> str:
    model, strategy = cell_of(cell.record)
    words = f"{model} {strategy}".strip() or "a cell"
    return words + (f" seed {_seed(cell)}" if len(seeds) > 1 else "")


def _seed(cell: CellRun) -> Any:
    return (cell.record.get("config") or {}).get("seed")
