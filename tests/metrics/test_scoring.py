"""The content of `scores.json`: every field by hand, and the parts against the functions that they come from."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.metrics import Counts, document_intervals
from clinspan.metrics.scoring import count_documents, Metric, score, score_records

LABELS = ["Sign", "Disease"]


def record(document: str, gold: str, pred: str, **fields: Any) -> dict[str, Any]:
    return {"document": document, "gold": gold.split(), "pred": pred.split(), "repairs": {}, "error": None, **fields}


RECORDS = [
    record("b", "B-Sign I-Sign O", "B-Sign I-Sign B-Disease", repairs={"missing_line": 1}, confidence=[0.9, 0.4, 0.5]),
    record("a", "B-Disease", "O", error="timeout", repairs={"missing_line": 2, "orphan_i": 1}, confidence=None),
    record("b", "B-Drug O", "I-Sign O", error="no_answer"),
    record("a", "O", "O", error="no_answer"),
]


def test_every_field_by_hand() -> None:
    found = score_records(RECORDS, LABELS, Metric(), alignment="tokens")
    assert found["signature"] == "unit:entity|match:exact|mode:conlleval|avg:macro|types:2|align:tokens|failed:3/4|docs:2|v2"
    assert found["counts"] == {
        "Sign": {"matched": 1, "pred": 2, "gold": 1},
        "Disease": {"matched": 0, "pred": 1, "gold": 1},
    }
    assert found["per_type"]["Sign"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert found["per_type"]["Disease"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found["micro"] == {"precision": pytest.approx(1 / 3), "recall": 0.5, "f1": 0.4}
    assert found["macro"] == {"precision": 0.25, "recall": 0.5, "f1": pytest.approx(1 / 3)}
    assert (found["sentences"], found["documents"], found["failed"]) == (4, 2, 3)
    assert list(found["failures"].items()) == [("no_answer", 2), ("timeout", 1)]
    assert list(found["repairs"].items()) == [("missing_line", 3), ("orphan_i", 1)]
    assert (found["calibration"]["entities"], found["calibration"]["ece"]) == (2, pytest.approx(0.45))
    assert found["intervals"] == {"level": 0.95, "unit": "document", "f1": dict.fromkeys([*LABELS, "macro", "micro"])}
    assert found["macro_types"] == LABELS


def test_intervals_are_those_of_the_documents() -> None:
    rows = [record(f"d{n % 12}", "B-Sign O", "B-Sign O" if n % 5 else "O B-Sign") for n in range(30)]
    tables = list(count_documents(rows, ["Sign"], "conlleval").values())
    found = score_records(rows, ["Sign"], Metric(), alignment="tokens")["intervals"]["f1"]
    assert found == document_intervals(tables, ["Sign"]) and found["micro"] is not None


def test_the_mode_is_that_of_the_metric() -> None:
    found = score_records(RECORDS, LABELS, Metric(mode="strict"), alignment="positional")
    assert found["counts"]["Sign"] == {"matched": 1, "pred": 1, "gold": 1}
    assert found["signature"] == "unit:entity|match:exact|mode:strict|avg:macro|types:2|align:positional|failed:3/4|docs:2|v2"
    assert found["calibration"]["entities"] == 2
    orphan = [record("a", "B-Sign", "I-Sign", confidence=[0.5])]
    assert score_records(orphan, LABELS, Metric(mode="strict"), alignment="tokens")["calibration"] is None
    assert score_records(orphan, LABELS, Metric(), alignment="tokens")["calibration"]["ece"] == 0.5


def test_documents_are_counted_in_their_first_order() -> None:
    tables = count_documents(RECORDS, LABELS, "conlleval")
    assert list(tables) == ["b", "a"]
    assert tables["b"] == {"Sign": Counts(1, 2, 1), "Disease": Counts(0, 1, 0)}
    assert tables["a"] == {"Sign": Counts(0, 0, 0), "Disease": Counts(0, 0, 1)}
    assert count_documents(RECORDS[:1], LABELS, "strict")["b"]["Sign"] == Counts(1, 1, 1)


def test_unknown_modes_are_refused() -> None:
    assert Metric().mode == "conlleval"
    with pytest.raises(InputError, match="^metric.mode=iob is not known. Use conlleval or strict.$"):
        Metric(mode="iob")  # type: ignore[arg-type]


GOLD = [["B-Sign", "O"], ["B-Disease", "I-Disease"], ["O", "B-Sign"]]
PRED = [["B-Sign", "O"], ["B-Disease", "O"], ["I-Sign", "B-Sign"]]


def test_tags_of_any_system_are_scored_as_a_run_is() -> None:
    found = score(GOLD, PRED, documents=["a", "a", "b"], labels=["Sign", "Disease"])
    rows = [record(name, " ".join(g), " ".join(p)) for name, g, p in zip("aab", GOLD, PRED, strict=True)]
    assert found == score_records(rows, ["Sign", "Disease"], Metric(), alignment="tokens")
    assert found["failed"] == 0 and found["repairs"] == {} and found["calibration"] is None
    assert found["counts"]["Sign"] == {"matched": 2, "pred": 3, "gold": 2}


def test_defaults_of_scoring() -> None:
    found = score(GOLD, PRED)
    assert found["documents"] == found["sentences"] == 3
    assert list(found["per_type"]) == ["Disease", "Sign"]
    assert found == score(GOLD, PRED, documents=["x", "y", "z"], labels=["Disease", "Sign"], mode="conlleval")
    strict = score(GOLD, PRED, mode="strict")
    assert strict["counts"]["Sign"] == {"matched": 2, "pred": 2, "gold": 2}
    assert "mode:strict" in strict["signature"]
    assert list(score(GOLD, [["O", "O"], ["O", "B-Age"], ["O", "O"]])["per_type"]) == ["Age", "Disease", "Sign"]
    assert list(score(GOLD, PRED, labels=["Sign"])["per_type"]) == ["Sign"]


@pytest.mark.parametrize(
    ("gold", "pred", "documents"),
    [(GOLD, PRED[:2], None), (GOLD[:2], PRED, None), (GOLD, PRED, ["a"]), (GOLD, PRED, ["a"] * 4)],
)
def test_different_numbers_of_sentences_are_refused(gold: Any, pred: Any, documents: Any) -> None:
    with pytest.raises(ValueError, match="zip"):
        score(gold, pred, documents=documents)


def test_different_numbers_of_tags_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gold tags but 1 predicted tags"):
        score([["O", "O"]], [["O"]])
