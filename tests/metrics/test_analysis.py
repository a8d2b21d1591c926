"""The error analysis: consistent totals, the borders of bins, and a sample that depends only on seed and ids."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.metrics import add_counts, count_sentence
from clinspan.metrics.analysis import analyse, choose_sample, confusion, count_mentions, frequent_errors, kinds_by_type
from clinspan.metrics.breakdowns import bin_of, break_down, RARITIES, SEEN, SENTENCE_LENGTHS
from clinspan.metrics.errors import KINDS

LABELS = ["Sign", "Disease"]
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
CORPUS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=9), min_size=1, max_size=5)
MODES = st.sampled_from(["conlleval", "strict"])


def row(text: str, gold: str, pred: str, *, id: str = "a:0") -> dict[str, Any]:
    return {"id": id, "document": id.partition(":")[0], "tokens": text.split(), "gold": gold.split(), "pred": pred.split()}


ROWS = [
    row("Fabry disease causes pain", "B-Disease I-Disease O B-Sign", "B-Disease I-Disease O O"),
    row("Severe pain and fever", "B-Sign I-Sign O B-Sign", "O B-Sign O B-Disease", id="a:1"),
    row("No mention here", "O O O", "B-Sign O O", id="b:0"),
]


def rows_of(corpus: list[list[tuple[str, str]]]) -> list[dict[str, Any]]:
    return [
        row(" ".join(f"w{i % 3}" for i in range(len(s))), " ".join(g for g, _ in s), " ".join(p for _, p in s), id=f"d{n % 2}:{n}")
        for n, s in enumerate(corpus)
    ]


def test_the_whole_analysis_of_three_sentences_by_hand() -> None:
    analysis = analyse(ROWS, LABELS, "conlleval", train={"fabry disease": 6, "pain": 1}, sample=2, seed=1)
    assert json.loads(json.dumps(analysis)) == analysis
    assert analysis["kinds"]["Sign"] == {"boundary": 1, "type": 1, "boundary_and_type": 0, "missed": 1, "invented": 1}
    assert sum(analysis["kinds"]["Disease"].values()) == 0
    assert analysis["confusion"] == {
        "Sign": {"Sign": 1, "Disease": 1, "none": 1},
        "Disease": {"Sign": 0, "Disease": 1, "none": 0},
        "none": {"Sign": 1, "Disease": 0, "none": 0},
    }
    assert analysis["frequent"] == {
        "missed": [{"text": "pain", "type": "Sign", "count": 1}],
        "invented": [{"text": "no", "type": "Sign", "count": 1}],
    }
    rarity = {name: (r["matched"], r["pred"], r["gold"]) for name, r in analysis["breakdowns"]["rarity"].items()}
    # unseen: gold "severe pain" and "fever", predicted "fever" and "no"; seen once: gold and predicted "pain"
    assert rarity == {"0": (0, 2, 2), "1": (0, 1, 1), "2-5": (0, 0, 0), ">5": (1, 1, 1)}
    seen = {name: (r["gold"], r["recall"]) for name, r in analysis["breakdowns"]["seen"].items()}
    assert seen == {"unseen": (2, 0.0), "seen": (2, 0.5)}
    assert analysis["sample"]["sentences"] == 2
    assert analysis["scores"]["exact"]["micro"]["f1"] == 0.25


def test_without_the_train_split_rarity_is_left_out() -> None:
    assert list(analyse(ROWS, LABELS, "conlleval")["breakdowns"]) == ["span_length", "sentence_length"]


@pytest.mark.parametrize(
    ("value", "bins", "name"),
    [
        (10, SENTENCE_LENGTHS, "1-10"),
        (11, SENTENCE_LENGTHS, "11-20"),
        (50, SENTENCE_LENGTHS, "31-50"),
        (51, SENTENCE_LENGTHS, "51+"),
        (999, SENTENCE_LENGTHS, "51+"),
        (0, RARITIES, "0"),
        (5, RARITIES, "2-5"),
        (6, RARITIES, ">5"),
        (7, SEEN, "seen"),
    ],
)
def test_the_borders_of_bins(value: int, bins: Any, name: str) -> None:
    assert bin_of(value, bins) == name


@settings(deadline=None, max_examples=120)
@given(CORPUS, MODES, st.randoms(use_true_random=False))
def test_totals_agree_in_any_order(corpus: list[list[tuple[str, str]]], mode: Any, rng: random.Random) -> None:
    rows = rows_of(corpus)
    analysis = analyse(rows, LABELS, mode, train={"w0": 1, "w1 w2": 4}, sample=2, seed=5)
    counts = add_counts([count_sentence(r["gold"], r["pred"], LABELS, mode) for r in rows], LABELS)
    table, kinds = analysis["confusion"], analysis["kinds"]
    for label in LABELS:
        assert sum(table[label].values()) == counts[label].gold
        assert sum(table[gold][label] for gold in table) == counts[label].pred
        assert table[label]["none"] == kinds[label]["missed"]
        assert table["none"][label] == kinds[label]["invented"]
    assert kinds["total"] == {kind: sum(kinds[label][kind] for label in LABELS) for kind in KINDS}
    for bins in analysis["breakdowns"].values():
        for key, total in (("matched", "matched"), ("pred", "pred"), ("gold", "gold")):
            assert sum(r[key] for r in bins.values()) == sum(getattr(counts[label], total) for label in LABELS)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert analyse(shuffled, LABELS, mode, train={"w0": 1, "w1 w2": 4}, sample=2, seed=5) == analysis


def test_the_sample_depends_on_the_seed_and_is_never_larger_than_the_corpus() -> None:
    rows = [row("a", "O", "B-Sign", id=f"a:{n}") for n in range(30)]
    first, again, other = (choose_sample(rows, 10, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({r["id"] for r in first}) == 10
    assert len(choose_sample(rows, 50, 1)) == 30
    analysis = analyse(rows, LABELS, "conlleval", sample=10, seed=1)["sample"]
    assert analysis["ids"] == sorted(r["id"] for r in first)
    assert analysis["kinds"]["total"]["invented"] == 10


def test_frequent_mentions_are_counted_without_case_and_limited_in_number() -> None:
    rows = [row(text, "O", "B-Sign", id=f"a:{n}") for n, text in enumerate(["Pain", "pain", "ache", "PAIN", "zoster"])]
    frequent = frequent_errors(rows, "conlleval", 2)
    assert frequent["missed"] == []
    assert [(r["text"], r["count"]) for r in frequent["invented"]] == [("pain", 3), ("ache", 1)]
    assert frequent_errors(rows, "conlleval", 0) == {"missed": [], "invented": []}


def test_mentions_are_counted_by_text_whatever_their_type() -> None:
    train = count_mentions([(["Fabry", "Disease"], ["B-Disease", "I-Disease"]), (["fabry", "disease"], ["B-Sign", "I-Sign"])])
    assert train == {"fabry disease": 2}
    rarity = break_down(ROWS, "conlleval", train)["rarity"]
    assert rarity["2-5"]["gold"] == 1


def test_an_empty_analysis_has_every_key_and_only_zeros() -> None:
    analysis = analyse([], LABELS, "conlleval", train={}, sample=50)
    assert set(analysis["kinds"]["total"].values()) == {0}
    assert analysis["sample"]["sentences"] == 0
    assert confusion([], LABELS, "conlleval")["none"] == {"Sign": 0, "Disease": 0, "none": 0}
    assert list(kinds_by_type([], LABELS, "conlleval")) == [*LABELS, "total"]
