"""The paper's tables beside our results, from the records and scores of runs."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.reports.paper.paper_cells import cell_lines, cell_of, CellRun
from clinspan.reports.paper.paper_tables import paper_tables
from clinspan.reports.paper.published import figures, FINE_TUNED, published, TABLES

LABELS = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]


def record(model: str, strategy: str, *, preset: str | None = "table3", corpus: str = "raredis", **more: Any) -> dict[str, Any]:
    chosen = {"model": model, "strategy": strategy, "corpus": corpus, "format": "bio_lines", "prompt": "handwritten"}
    return {
        "status": "finished",
        "choices": {**chosen, **({"experiment": preset} if preset else {})},
        "config": {"split": "test", "limit": None, "seed": 3, "model": {"_target_": "clinspan.lms.LocalModel"}},
        "corpus": {"name": corpus, "split": "test"},
        "started": "2026-01-01",
        **more,
    }


def scores(f1: float) -> dict[str, Any]:
    row = {"precision": f1, "recall": f1, "f1": f1}
    intervals = {name: [f1 - 0.05, f1 + 0.05] for name in (*LABELS, "macro", "micro")}
    per_type = {label: {**row, "support": 9} for label in LABELS}
    return {"per_type": per_type, "macro": row, "micro": row, "intervals": {"f1": intervals}, "sentences": 1735}


def test_a_reproduced_cell_is_shown_beside_the_papers_with_interval_and_difference() -> None:
    (table,) = paper_tables([(record("gpt4", "few_shot"), scores(0.4))])
    rows = {tuple(row[:3]): row[3:] for row in table.rows}
    assert len(table.rows) == 9 * 6
    assert rows["gpt4", "few_shot", "macro"] == [0.2973, 0.4165, 0.3214, 0.4, 0.4, 0.4, "0.350 - 0.450", "+0.0786"]
    assert rows["gpt4", "few_shot", "RareDisease"][-1] == "-0.1955"
    assert rows["gpt35", "rag", "macro"] == [0.2306, 0.3013, 0.2033, None, None, None, None, None]
    (note,) = table.notes
    assert note.endswith("medtuned rag: not run")
    assert "gpt4 few_shot" not in note


def test_missing_cells_are_named_with_their_reason_and_those_with_one_reason_share_a_note() -> None:
    lacking = {"status": "failed", "error": "UnavailableError", "reason": "no weights for model=medtuned: ..."}
    runs: list[Any] = [(record("medtuned", how, **lacking), None) for how in ("zero_shot", "few_shot")]
    runs += [(record("gpt4", "rag", status="failed", error="RunError"), None), (record("gpt35", "rag", status="started"), None)]
    (table,) = paper_tables(runs)
    assert "medtuned zero_shot, medtuned few_shot: no weights for model=medtuned: ..." in table.notes
    assert "gpt4 rag: failed (RunError)" in table.notes
    assert "gpt35 rag: did not finish" in table.notes


def test_a_trial_on_another_corpus_or_by_another_model_has_no_difference() -> None:
    (table,) = paper_tables([(record("gpt4", "rag", corpus="raremini"), scores(0.4)), (record("smollm2", "rag"), scores(0.1))])
    assert {row[-1] for row in table.rows} == {None}
    assert [row[2] for row in table.rows if row[0] == "smollm2"] == [*LABELS, "macro"]
    assert "gpt4 rag: measured on raremini test, 1,735 sentences, format=bio_lines" in table.notes
    assert "smollm2 rag: not a cell of the paper's; measured on raredis test, 1,735 sentences, format=bio_lines" in table.notes


def test_the_last_run_of_a_cell_that_has_scores_is_shown() -> None:
    runs = [
        (record("gpt4", "rag", started="2026-01-02"), scores(0.3)),
        (record("gpt4", "rag", started="2026-01-01"), scores(0.2)),
        (record("gpt4", "rag", started="2026-01-03", status="failed"), None),
    ]
    (table,) = paper_tables(runs)
    assert [row[8] for row in table.rows if row[:3] == ["gpt4", "rag", "macro"]] == [0.3]
    assert "gpt4 rag: the last of 2 runs" in table.notes


def test_runs_without_a_preset_are_shown_only_where_they_reproduce_a_cell() -> None:
    titles = [table.title for table in paper_tables([(record("llama2", "zero_shot", preset=None), scores(0.1))])]
    assert titles == ["The paper's Table 2: zero-shot, two types"]
    both = paper_tables([(record("gpt4", "zero_shot", preset=None), scores(0.1))])
    assert [len(table.rows) for table in both] == [6 * 2, 9 * 6, 4 * 6 + 2]
    assert paper_tables([(record("smollm2", "knn", preset=None), scores(0.1))]) == []
    assert paper_tables([({}, None)]) == []


def test_fine_tuned_models_have_their_own_cells_and_never_fill_the_prompted_ones() -> None:
    adapter = {"config": {"split": "test", "limit": None, "model": {"_target_": "clinspan.lms.LocalModel", "adapter": "x"}}}
    encoder = {"config": {"split": "test", "limit": None, "model": {"_target_": "clinspan.lms.ClassifierModel", "path": "x"}}}
    tuned = record("medtuned", "zero_shot", preset="figure3", **adapter)
    assert cell_of(tuned) == ("medtuned", FINE_TUNED)
    assert published(tuned) is None
    assert cell_of(record("bioclinicalbert", "few_shot", **encoder)) == ("bioclinicalbert", FINE_TUNED)
    (table,) = paper_tables([(tuned, scores(0.5))])
    assert [row[8] for row in table.rows if row[:3] == ["medtuned", FINE_TUNED, "macro"]] == [0.5]
    assert table.notes[-1].startswith("Figure 3 shows fine-tuned models as bars without numbers")


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_has_its_published_figures(name: str) -> None:
    sizes = {cell: len(figures(name, cell)) for cell in TABLES[name]}
    assert set(sizes.values()) <= {0, 2 if name == "table2" else 6}
    assert all((n == 0) == (cell[1] == FINE_TUNED) for cell, n in sizes.items())


def test_the_summary_of_a_sweep_lists_finished_unavailable_and_failed_cells() -> None:
    other = {"config": {"seed": 4, "split": "test"}}
    cells = [
        CellRun("s/0", record("gpt4", "rag"), scores(0.25)),
        CellRun("s/1", record("medtuned", "rag", status="failed"), None, "no weights"),
        CellRun("s/2", record("medtuned", "few_shot", status="failed", **other), None, "no weights"),
        CellRun("s/3", record("gpt35", "rag", status="failed", error="RunError"), None),
        CellRun("s/4", {}, None),
    ]
    assert cell_lines("table3", cells) == [
        "table3: 1 of 5 cells ran",
        "  gpt4 rag seed 3: micro F1 0.2500, macro F1 0.2500, s/0",
        "not available here (with model=NAME model.path=FOLDER the preset runs one model from a folder):",
        "  medtuned rag seed 3; medtuned few_shot seed 4: no weights",
        "failed:",
        "  gpt35 rag seed 3 (RunError), s/3",
        "  a cell seed None (left no record), s/4",
    ]
    assert cell_lines("table3", cells[:1])[1].startswith("  gpt4 rag: micro")


@pytest.mark.parametrize("knowledge", [None, "bundled", "hpo"])
def test_passages_that_are_not_the_papers_are_never_set_beside_its_figures(knowledge: str | None) -> None:
    run = record("gpt4", "rag")
    run["config"] |= {"strategy": {"context": "retrieved"}, "retriever": {"knowledge": knowledge}}
    assert published(run) is None
    (table,) = paper_tables([(run, scores(0.4))])
    (row,) = [row for row in table.rows if row[:3] == ["gpt4", "rag", "macro"]]
    assert row[3:9] == [None, None, None, 0.4, 0.4, 0.4]
    reason = f"retriever.knowledge={knowledge or 'bundled'}, the paper retrieved from articles of rarediseases.org"
    assert any(note.startswith("gpt4 rag: ") and reason in note for note in table.notes)
    run["config"]["retriever"]["knowledge"] = "articles"
    assert published(run) is not None
