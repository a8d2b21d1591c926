"""The notebook runs from its first cell to its last one in an empty folder, and its results are what its text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import ROOT
from support.pages import page_environment


def outputs(cell: Any) -> str:
    """What a cell printed and returned."""
    return "".join(one.get("text", "") or str(one.get("data", {})) for one in cell.outputs)


@pytest.mark.long
@pytest.mark.weights
def test_the_notebook_runs(shell: Path, tmp_path: Path, smollm2: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in page_environment(shell, ROOT).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept: they would grow stale"
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell.source.split("\n")[-1]: outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert not [source for source, text in shown.items() if "Traceback" in text or "SystemExit" in text]
    assert "no document in two splits" in shown["!clinspan check corpus=brat corpus.path=notes"]
    assert "p" in shown["difference.as_dict()"] and "runs/compare/" in shown["!clinspan compare runs/handwritten runs/decided"]
    assert (tmp_path / "runs" / "decided" / "scores.json").is_file()
    drawn = next(cell.outputs[-1]["data"]["text/html"] for cell in notebook.cells if cell.source.endswith("\nannotation"))
    assert "Alport" in drawn and "<mark" in drawn
