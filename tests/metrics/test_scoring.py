"""The content of `scores.json`: every field by hand, and the parts against the functions that they come from."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.metrics import Counts, document_bootstrap
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
    found = score_records(RECORDS, LABELS, Metric(samples=50), alignment="tokens", seed=3)
    assert found["signature"] == "unit:entity|match:exact|mode:conlleval|avg:macro|types:2|align:tokens|failed:3/4|v1"
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
    tables = [{"Sign": Counts(1, 2, 1), "Disease": Counts(0, 1, 0)}, {"Sign": Counts(), "Disease": Counts(0, 0, 1)}]
    intervals = document_bootstrap(tables, LABELS, samples=50, seed=3)
    assert found["intervals"] == {"level": 0.95, "unit": "document", "samples": 50, "f1": intervals}


def test_intervals_depend_on_the_seed_and_not_on_the_order_of_sentences() -> None:
    records = [record(f"d{n % 9}", "B-Sign O", "B-Sign O" if n % 4 else "O B-Sign") for n in range(30)]
    ordered = sorted(records, key=lambda row: row["document"])
    found = [
        score_records(ordered, LABELS, Metric(samples=60), alignment="tokens", seed=seed)["intervals"]["f1"] for seed in (3, 3, 4)
    ]
    assert found[0] == found[1] != found[2]
    assert found[0] == score_records(records, LABELS, Metric(samples=60), alignment="tokens", seed=3)["intervals"]["f1"]


def test_the_mode_is_that_of_the_metric() -> None:
    found = score_records(RECORDS, LABELS, Metric(mode="strict", samples=5), alignment="positional", seed=0)
    assert found["counts"]["Sign"] == {"matched": 1, "pred": 1, "gold": 1}
    assert found["signature"] == "unit:entity|match:exact|mode:strict|avg:macro|types:2|align:positional|failed:3/4|v1"
    assert found["calibration"]["entities"] == 2
    orphan = [record("a", "B-Sign", "I-Sign", confidence=[0.5])]
    assert score_records(orphan, LABELS, Metric(mode="strict", samples=5), alignment="tokens", seed=0)["calibration"] is None
    assert score_records(orphan, LABELS, Metric(samples=5), alignment="tokens", seed=0)["calibration"]["ece"] == 0.5


def test_documents_are_counted_in_their_first_order() -> None:
    tables = count_documents(RECORDS, LABELS, "conlleval")
    assert list(tables) == ["b", "a"]
    assert tables["b"] == {"Sign": Counts(1, 2, 1), "Disease": Counts(0, 1, 0)}
    assert tables["a"] == {"Sign": Counts(0, 0, 0), "Disease": Counts(0, 0, 1)}
    assert count_documents(RECORDS[:1], LABELS, "strict")["b"]["Sign"] == Counts(1, 1, 1)


def test_unknown_modes_and_numbers_of_samples_are_refused() -> None:
    assert (Metric().mode, Metric().samples) == ("conlleval", 1000)
    with pytest.raises(InputError, match="^metric.mode=iob is not known. Use conlleval or strict.$"):
        Metric(mode="iob")  # type: ignore[arg-type]
    assert Metric(samples=1).samples == 1
    with pytest.raises(InputError, match="metric.samples=0"):
        Metric(samples=0)


GOLD = [["B-Sign", "O"], ["B-Disease", "I-Disease"], ["O", "B-Sign"]]
PRED = [["B-Sign", "O"], ["B-Disease", "O"], ["I-Sign", "B-Sign"]]


def test_tags_of_any_system_are_scored_as_a_run_is() -> None:
    found = score(GOLD, PRED, documents=["a", "a", "b"], labels=["Sign", "Disease"], samples=40, seed=2)
    rows = [record(name, " ".join(g), " ".join(p)) for name, g, p in zip("aab", GOLD, PRED, strict=True)]
    assert found == score_records(rows, ["Sign", "Disease"], Metric(samples=40), alignment="tokens", seed=2)
    assert found["failed"] == 0 and found["repairs"] == {} and found["calibration"] is None
    assert found["counts"]["Sign"] == {"matched": 2, "pred": 3, "gold": 2}


def test_defaults_of_scoring() -> None:
    found = score(GOLD, PRED)
    assert found["documents"] == found["sentences"] == 3
    assert list(found["per_type"]) == ["Disease", "Sign"]
    assert found == score(GOLD, PRED, documents=["x", "y", "z"], labels=["Disease", "Sign"], mode="conlleval", samples=1000, seed=0)
    assert found["intervals"]["samples"] == 1000
    strict = score(GOLD, PRED, mode="strict", samples=10)
    assert strict["counts"]["Sign"] == {"matched": 2, "pred": 2, "gold": 2}
    assert "mode:strict" in strict["signature"]
    assert list(score(GOLD, [["O", "O"], ["O", "B-Age"], ["O", "O"]], samples=5)["per_type"]) == ["Age", "Disease", "Sign"]
    assert list(score(GOLD, PRED, labels=["Sign"], samples=5)["per_type"]) == ["Sign"]


def test_the_seed_is_that_of_the_resampling() -> None:
    gold = [["B-Sign", "O"]] * 20
    pred = [["B-Sign", "O"] if n % 3 else ["O", "B-Sign"] for n in range(20)]
    default, first, second = (score(gold, pred, samples=30, **seed)["intervals"]["f1"] for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert default == first != second


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
