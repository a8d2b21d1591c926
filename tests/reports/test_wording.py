"""Words on screens: counts, confidences, signatures, numbers of documents, and the tables that use them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, Document, Entity
from clinspan.corpora.bio import Policies
from clinspan.corpora.fidelity import widened_example
from clinspan.metrics.scoring import Metric, score_records
from clinspan.reports.terminal.comparison import _pair_rows, _test_notes
from clinspan.reports.terminal.outcome_table import outcome_table
from clinspan.reports.terminal.tables import interval_notes, macro_name, notes, print_statistics, score_table, shown_f1
from clinspan.reports.wording import (
    calibration_words,
    count_head,
    count_words,
    is_worded,
    p_words,
    reading_words,
    scored_words,
    too_few,
)
from support.report_runs import LABELS, some_sentences

ROOT = Path(__file__).resolve().parents[2]
SIGNED = "unit:entity|match:exact|mode:conlleval|avg:macro|types:2|align:tokens|failed:0/30|docs:2|v2"


def scored(labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    return score_records(some_sentences(), labels, Metric(), alignment="tokens")


def test_every_count_has_words() -> None:
    """The names that readers of answers and of corpora count under, found in their code."""
    named = re.compile(r"""(?:repairs|\bacts|file_acts|counts)\[(?:f?"([a-z_]+)"|"([a-z_]+)" if )""")
    rooms = [
        *(ROOT / "programs" / "formats").glob("*.py"),
        *(ROOT / "corpora").glob("*.py"),
        *(ROOT / "corpora/readers").glob("*.py"),
    ]
    names = {found[1] or found[2] for path in rooms for found in named.finditer(path.read_text(encoding="utf-8"))}
    assert {"overlapping_mention", "duplicate_dropped", "bare_tags", "changed_case"} <= names
    assert [name for name in sorted(names) if not is_worded(name) and not name.endswith("_")] == []


@pytest.mark.parametrize("number", [1, 2])
def test_counts_are_sentences_of_one_or_several(number: int) -> None:
    assert (
        count_words("overlap_longest", number)
        == (
            "1 mention lost: it shares a token with a longer one",
            "2 mentions lost: they share a token with a longer one",
        )[number - 1]
    )
    assert count_words("malformed_mention", number)[:7] == ("1 entry", "2 entri")[number - 1]
    for name in ("duplicate_dropped", "labels_hidden", "word_ranges", "cut_token", "trigger_Binding", "unheard_of"):
        assert not set("[]|") & set(count_words(name, number))
    assert count_head("trigger_Binding", number).startswith("trigger")


def test_the_words_of_a_reading() -> None:
    assert reading_words(SIGNED) == "exact spans, seqeval default, macro over 2 types"
    assert reading_words(SIGNED.replace("types:2", "types:0/1")) == "exact spans, seqeval default, macro over 0 of 1 type"
    assert "aligned by positional" in reading_words(SIGNED.replace("align:tokens", "align:positional"))
    assert reading_words(SIGNED.replace("|failed", "|tok:clinical|sent:lines|folds:5@0|failed")).endswith(
        "tokens clinical, sentences lines, 5 folds (seed 0)"
    )
    assert scored_words({"signature": SIGNED, "sentences": 30, "documents": 2, "failed": 3}).endswith(
        "; 30 sentences, 2 documents, 3 failed"
    )
    characters = "unit:entity|match:relaxed|avg:macro|types:2|align:characters|missing:1/30|v2"
    assert scored_words({"signature": characters, "documents": 30}) == (
        "overlapping spans of the same type, macro over 2 types, by characters; 30 documents, 1 missing"
    )


def test_confidences_that_are_far_off_come_with_advice() -> None:
    assert calibration_words({"ece": 0.426, "entities": 9}) == (
        "confidences of 9 predicted mentions are off by .43 on average: do not use them yet"
    )
    assert calibration_words({"ece": 0.1, "entities": 1}) == "confidences of 1 predicted mention are off by .10 on average"


def test_too_few_documents_are_named_with_the_remedy() -> None:
    assert too_few(10) == "" and too_few(9).startswith("too few documents (9) for an interval: ")
    few = scored()
    assert interval_notes(few)[0] in notes(few | {"repairs": {"changed_case": 1}}, {})
    assert "in answers: 1 mention found in another case" in notes(few | {"repairs": {"changed_case": 1}}, {})
    many = few | {"documents": 30, "intervals": {"f1": {"Sign": [0.2, 0.4], "Disease": None}}}
    assert interval_notes(many) == ["no interval for types in fewer than 10 documents, or with an F1 of 0 or 1: Disease"]
    assert p_words(0.00004) == "<.0001" and p_words(0.00006) == ".0001" and p_words(1.0) == "1.0000"


@pytest.mark.parametrize(
    ("leaked", "excluded", "said"),
    [
        (0, 0, "none of the test sentences occurs in them"),
        (1, 0, "1 of the test sentences occurs in them (their chunks stay in; retriever.exclude_leaks=true drops them)"),
        (2, 3, "2 of the test sentences occur in them (3 chunks left out)"),
    ],
)
def test_leaks_are_told_in_words(leaked: int, excluded: int, said: str) -> None:
    retrieval = {"articles": 84, "leaked_sentences": leaked, "excluded_chunks": excluded}
    assert f"searched 84 articles; {said}" in notes(scored(), {"retrieval": retrieval})


def test_types_without_gold_have_no_scores() -> None:
    scores = scored((*LABELS, "Age"))
    assert macro_name(scores) == "macro over 2 types with gold" and macro_name(scored()) == "macro over 2 types"
    assert shown_f1(scores, "Age") is None and shown_f1(scores, "micro") == scores["micro"]["f1"]
    assert shown_f1(score_records([], LABELS, Metric(), alignment="tokens"), "macro") is None
    cells = [list(column.cells) for column in score_table(scores, "").columns]
    assert [column[2] for column in cells] == ["Age", "-", "-", "-", "-", "0"]


def test_outcomes_by_type() -> None:
    kinds = {label: {"wrong_type": 1, "wrong_ends": 2, "wrong_ends_and_type": 3, "missed": 4, "invented": 5} for label in LABELS}
    table = outcome_table(scored(), {"kinds": {**kinds, "total": {name: 2 * n for name, n in kinds["Sign"].items()}}})
    rows = [list(cells) for cells in zip(*(column.cells for column in table.columns), strict=True)]
    assert rows == [["Disease", "0", *"12345"], ["Sign", "1", *"12345"], ["all", "1", "2", "4", "6", "8", "10"]]
    assert [column.header for column in table.columns][1:4] == ["correct", "wrong type", "wrong ends"]


def test_a_comparison_says_what_it_lacks_and_where_p_is_at_its_floor() -> None:
    none = {"difference": 0.1, "interval": None, "p_value": None, "p_least": None}
    floor = {"difference": 0.1, "interval": [0.0, 0.2], "p_value": 0.125, "p_least": 0.125}
    plain = {**floor, "p_value": 0.4, "p_least": 0.0001}
    run = {"documents": 20, "per_type": {"Sign": {"support": 9, "f1": 0.5}, "Age": {"support": 0, "f1": 0.0}}}
    run |= {"path": "a", "macro": {"f1": 0.5}, "micro": {"f1": 0.5}}
    pair = {"first": "a", "second": "a", "per_type": {"Sign": none, "Age": none}, "macro": floor, "micro": plain}
    assert _test_notes(run, pair) == [
        "no interval and no p for types in fewer than 10 documents: Sign",
        "smallest p that these documents, or samples=N, allow: macro .1250",
    ]
    assert _test_notes(run | {"documents": 2}, pair)[0].startswith("too few documents (2) for intervals and p: ")
    rows = {row[0]: row[1:] for row in _pair_rows({"runs": [run]}, pair)}
    assert rows["Age"] == ["-"] * 5 + [""]
    assert rows["Sign"][2:] == ["+0.1000", "-", "-", ""]
    assert rows["macro over 1 type with gold"][3:5] == ["+0.000 to +0.200", ".1250"]


def test_an_example_of_a_widened_mention_only_without_health_information(capsys: pytest.CaptureFixture[str]) -> None:
    from clinspan.corpora.build import build_document, Cutting

    text, entities = "PMH: HTN/HLD.", [Entity("Problem", ((5, 8),))]
    document, acts = build_document(
        "a", text, entities, cutting=Cutting(tokenizer="whitespace", sentences="punctuation"), policies=Policies()
    )
    assert isinstance(document, Document) and acts["partial_expand"] == 1
    corpus = Corpus("c", {"test": (document,)}, (), False, {"test": Counter(acts)}, {})
    example = widened_example(corpus)
    assert example == "HTN -> HTN/HLD."
    assert widened_example(Corpus("c", {"test": (document,)}, (), True, {}, {})) == ""
    part = {"documents": 1, "sentences": 1, "tokens": 2, "entities": {"Problem": 1}, "annotations": {}, "conversion": dict(acts)}
    print_statistics({"test": {**part, "spans": {"Problem": 1}}}, "c", example)
    out = capsys.readouterr().out
    assert "mentions: Problem" in out and "B- tags" not in out
    assert "mentions widened to whole tokens (example: HTN -> HTN/HLD.)" in out
    print_statistics({"test": {**part, "spans": {"Problem": 2}}}, "c")
    out = capsys.readouterr().out
    assert "B- tags: Problem" in out and "mentions as seqeval reads the tags: Problem" in out and "example" not in out
