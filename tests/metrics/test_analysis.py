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
from clinspan.metrics.breakdowns import bin_of, break_down, RARITIES, SEEN, SENTENCE_LENGTHS, SPAN_LENGTHS
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
    assert analysis["kinds"]["Sign"] == {"wrong_ends": 1, "wrong_type": 1, "wrong_ends_and_type": 0, "missed": 1, "invented": 1}
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
    assert (analysis["sample"]["sentences"], analysis["sample"]["seed"]) == (2, 1)
    about = {"mode": "conlleval", "labels": LABELS, "sentences": 3, "documents": 2}
    assert {key: analysis[key] for key in about} == about
    total = {"wrong_ends": 1, "wrong_type": 1, "wrong_ends_and_type": 0, "missed": 1, "invented": 1}
    assert analysis["kinds"]["total"] == total
    assert analysis["breakdowns"]["span_length"]["1"] == {
        "matched": 0, "pred": 3, "gold": 2, "precision": 0.0, "recall": 0.0, "f1": 0.0
    }  # fmt: skip
    assert list(analysis["breakdowns"]["span_length"]) == ["1", "2", "3", "4-5", "6+"]
    lengths = {name: (r["matched"], r["pred"], r["gold"]) for name, r in analysis["breakdowns"]["sentence_length"].items()}
    assert lengths == {"1-10": (1, 4, 4), **dict.fromkeys(("11-20", "21-30", "31-50", "51+"), (0, 0, 0))}
    assert analysis["scores"]["exact"]["micro"]["f1"] == 0.25


def test_without_the_train_split_rarity_is_left_out() -> None:
    plain = analyse(ROWS, LABELS, "conlleval")
    assert list(plain["breakdowns"]) == ["span_length", "sentence_length"]
    assert plain["sample"] is None
    assert plain == analyse(ROWS, LABELS, "conlleval", train=None, sample=None, seed=0, mentions=20)


def test_defaults_of_the_sample_and_of_the_listed_mentions() -> None:
    rows = [row(f"w{n}", "O", "B-Sign", id=f"a:{n:02}") for n in range(25)]
    analysis = analyse(rows, LABELS, "conlleval", sample=10)
    assert analysis["sample"]["seed"] == 0
    assert analysis["sample"]["ids"] == sorted(r["id"] for r in choose_sample(rows, 10, 0))
    assert len(analysis["frequent"]["invented"]) == 20
    assert len(analyse(rows, LABELS, "conlleval", mentions=3)["frequent"]["invented"]) == 3


def test_the_mode_holds_for_every_part() -> None:
    orphan = [row("a b", "I-Sign O", "O I-Sign")]
    strict, lenient = (analyse(orphan, LABELS, mode, train={"a": 1}, sample=1) for mode in ("strict", "conlleval"))
    assert strict["kinds"]["total"] == dict.fromkeys(KINDS, 0) == strict["sample"]["kinds"]["total"]
    assert strict["frequent"] == {"missed": [], "invented": []}
    assert strict["confusion"]["none"]["Sign"] == 0 and strict["scores"]["exact"]["counts"]["Sign"]["gold"] == 0
    assert all(part["gold"] == part["pred"] == 0 for bins in strict["breakdowns"].values() for part in bins.values())
    assert lenient["kinds"]["Sign"] == {**dict.fromkeys(KINDS, 0), "missed": 1, "invented": 1} == lenient["sample"]["kinds"]["Sign"]
    assert lenient["confusion"]["Sign"]["none"] == lenient["confusion"]["none"]["Sign"] == 1
    assert lenient["frequent"]["missed"] == [{"text": "a", "type": "Sign", "count": 1}]
    assert [
        lenient["breakdowns"][name][part]["gold"] for name, part in (("span_length", "1"), ("rarity", "1"), ("seen", "seen"))
    ] == [1, 1, 1]


@pytest.mark.parametrize("number", [100, 101])
def test_a_confusion_of_more_than_a_hundred_types_has_those_that_occur(number: int) -> None:
    labels = [f"L{n}" for n in range(number)]
    table = confusion([row("a b c", "B-L5 O B-L7", "B-L5 B-L3 O")], labels, "conlleval")
    shown = ["L3", "L5", "L7", "none"] if number == 101 else [*labels, "none"]
    assert list(table) == list(table["none"]) == shown
    assert (table["L5"]["L5"], table["L7"]["none"], table["none"]["L3"]) == (1, 1, 1)
    assert sum(sum(counts.values()) for counts in table.values()) == 3


@pytest.mark.parametrize(
    ("value", "bins", "name"),
    [
        *((n, SENTENCE_LENGTHS, name) for n, name in ((1, "1-10"), (10, "1-10"), (11, "11-20"), (20, "11-20"), (21, "21-30"))),
        *((n, SENTENCE_LENGTHS, name) for n, name in ((30, "21-30"), (31, "31-50"), (50, "31-50"), (51, "51+"), (999, "51+"))),
        *((n, RARITIES, name) for n, name in ((0, "0"), (1, "1"), (2, "2-5"), (5, "2-5"), (6, ">5"), (99, ">5"))),
        *((n, SEEN, name) for n, name in ((0, "unseen"), (1, "seen"), (7, "seen"))),
        *((n, SPAN_LENGTHS, name) for n, name in ((1, "1"), (2, "2"), (3, "3"), (4, "4-5"), (5, "4-5"), (6, "6+"), (9, "6+"))),
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
    assert choose_sample(rows, 50, 1) == choose_sample(rows, 30, 2) == sorted(rows, key=lambda r: str(r["id"]))
    assert choose_sample(rows, 10, 1) == choose_sample(rows[::-1], 10, 1) == random.Random(1).sample(choose_sample(rows, 30, 0), 10)
    assert choose_sample([{"id": 10}, {"id": 9}], 2, 0) == [{"id": 10}, {"id": 9}]
    analysis = analyse(rows, LABELS, "conlleval", sample=10, seed=1)["sample"]
    assert analysis["ids"] == sorted(r["id"] for r in first)
    assert analysis["kinds"]["total"]["invented"] == 10


def test_frequent_mentions_are_counted_without_case_and_limited_in_number() -> None:
    rows = [row(text, "O", "B-Sign", id=f"a:{n}") for n, text in enumerate(["Pain", "pain", "ache", "PAIN", "zoster"])]
    frequent = frequent_errors(rows, "conlleval", 2)
    assert frequent["missed"] == []
    assert [(r["text"], r["count"]) for r in frequent["invented"]] == [("pain", 3), ("ache", 1)]
    ties = [row(text, "B-Sign", "O", id=f"a:{n}") for n, text in enumerate("cbab")] + [row("a", "B-Disease", "O", id="a:9")]
    assert [(r["text"], r["type"]) for r in frequent_errors(ties, "conlleval", 9)["missed"]] == [
        ("b", "Sign"), ("a", "Disease"), ("a", "Sign"), ("c", "Sign")
    ]  # fmt: skip
    assert frequent_errors([row("a b", "B-Sign I-Sign", "B-Sign O")], "conlleval", 9) == {"missed": [], "invented": []}
    assert frequent_errors(rows, "conlleval", 0) == {"missed": [], "invented": []}


def test_mentions_are_counted_by_text_whatever_their_type() -> None:
    train = count_mentions([(["Fabry", "Disease"], ["B-Disease", "I-Disease"]), (["fabry", "disease"], ["B-Sign", "I-Sign"])])
    assert train == {"fabry disease": 2}
    assert count_mentions([(["a", "b"], ["I-Sign", "O"])]) == {"a": 1}
    assert count_mentions([]) == {}
    rarity = break_down(ROWS, "conlleval", train)["rarity"]
    assert rarity["2-5"]["gold"] == 1


def test_an_empty_analysis_has_every_key_and_only_zeros() -> None:
    analysis = analyse([], LABELS, "conlleval", train={}, sample=50)
    assert set(analysis["kinds"]["total"].values()) == {0}
    assert analysis["sample"]["sentences"] == 0
    assert confusion([], LABELS, "conlleval")["none"] == {"Sign": 0, "Disease": 0, "none": 0}
    assert list(kinds_by_type([], LABELS, "conlleval")) == [*LABELS, "total"]
