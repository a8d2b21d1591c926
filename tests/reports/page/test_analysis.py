"""The error analysis as tables and one line."""

from __future__ import annotations

from clinspan.metrics.analysis import analyse
from clinspan.reports.page.error_tables import analysis_tables

ROWS = [
    {"id": "a:0", "document": "a", "tokens": ["Odd|pain", "persists"], "gold": ["B-Sign", "O"], "pred": ["O", "B-Sign"]},
    {"id": "a:1", "document": "a", "tokens": ["fever"], "gold": ["B-Sign"], "pred": ["B-Disease"]},
]
ANALYSIS = analyse(ROWS, ["Sign", "Disease"], "conlleval", train={"fever": 3}, sample=1, seed=0)
WORDS = ("pain", "persists", "fever")


def test_the_tables_show_the_counts() -> None:
    tables = {table.title: table for table in analysis_tables(ANALYSIS)}
    kinds = tables["Errors by kind, 2 sentences"]
    assert list(kinds.columns) == [
        "",
        "wrong ends",
        "wrong type",
        "wrong ends and type",
        "missed",
        "invented",
        "all",
    ]
    assert kinds.rows[0] == ["Sign", 0, 1, 0, 1, 1, 3]
    assert kinds.rows[-1] == ["share", 0.0, 1 / 3, 0.0, 1 / 3, 1 / 3, None]
    assert "Errors of random sentences (seed 0), 1 sentence" in tables
    assert tables["Confusion of types"].rows[-1] == ["none", 1, 0, None]
    assert all(len(row) == len(table.columns) for table in tables.values() for row in table.rows)


def test_only_tables_marked_with_quotes_quote_the_corpus() -> None:
    tables = analysis_tables(ANALYSIS)
    quoting = [table for table in tables if any(word in str(table) for word in WORDS)]
    assert quoting == [table for table in tables if table.quotes]
    assert len(quoting) == 2


def test_an_analysis_without_errors_has_no_lists_and_no_shares() -> None:
    analysis = analyse([{**row, "pred": row["gold"]} for row in ROWS], ["Sign"], "conlleval", sample=50)
    tables = analysis_tables(analysis)
    assert not any(table.quotes for table in tables)
    assert not any("random" in table.title for table in tables)  # a sample as large as the corpus needs no table of its own
    assert tables[0].rows[-1] == ["share", None, None, None, None, None, None]


def test_notes_on_all_tables_stand_below_the_first_table() -> None:
    first, *others = analysis_tables({**ANALYSIS, "notes": ["2 sentences failed: all their mentions count as missed"]})
    assert first.notes[-1] == "2 sentences failed: all their mentions count as missed."
    assert not any("failed" in note for table in others for note in table.notes)
