"""Relaxed scores against hand tables, against every possible pairing, and by properties."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.metrics.relaxed import count_pairs, relaxed_scores

LABELS = ["Sign", "Disease"]
SHORT = {"S": "Sign", "D": "Disease"}
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
CORPUS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=9), min_size=1, max_size=5)
TYPED, ANY = ("exact", "partial", "overlap", "document"), ("exact_any_type", "partial_any_type")


def row(gold: str, pred: str, *, document: str = "a", tokens: str = "") -> dict[str, Any]:
    """`BS IS O` is `B-Sign I-Sign O`; tokens are numbered words if none are given."""
    sides = {
        key: [word if word == "O" else f"{word[0]}-{SHORT[word[1]]}" for word in text.split()]
        for key, text in (("gold", gold), ("pred", pred))
    }
    words = tokens.split() or [f"w{n}" for n in range(len(sides["gold"]))]
    return {"id": f"{document}:0", "document": document, "tokens": words, **sides}


def micro(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Precision and recall of each kind of match."""
    return {name: tuple((part.get("micro") or part)[key] for key in ("precision", "recall")) for name, part in found.items()}


@pytest.mark.parametrize(
    ("gold", "pred", "expected"),
    [
        # exact, partial, overlap: matched over (predicted, gold); then the same of any type: exact, partial
        ("BS IS O", "BS IS O", (1, 1, 1, 1, 1)),
        ("BS IS O", "BS O O", (0, 0.5, 1, 0, 0.5)),
        ("BS IS O", "O BS IS", (0, 0.5, 1, 0, 0.5)),
        ("BS IS O", "BD ID O", (0, 0, 0, 1, 1)),
        ("BS IS O", "BD O O", (0, 0, 0, 0, 0.5)),
        ("BS O O", "O BS O", (0, 0, 0, 0, 0)),
        # two mentions are joined: one of them is found
        ("BS BS O", "BS IS O", (0, 0.5, 1, 0, 0.5)),
        # one mention is split in two: it is found once, and one span is too many
        ("BS IS O", "BS BS O", (0, 0.5, 1, 0, 0.5)),
        # a chain in which each overlaps the next
        ("BS IS BS IS O", "O BS IS BS IS", (0, 1, 2, 0, 1)),
        # one mention is right, the other is missed
        ("BS IS O BS", "BS IS O O", (1, 1, 1, 1, 1)),
    ],
)
def test_matched_spans_by_hand(gold: str, pred: str, expected: tuple[float, ...]) -> None:
    scores = micro(relaxed_scores([row(gold, pred)], LABELS, "conlleval"))
    sizes = [text.count("B") for text in (pred, gold)]
    for name, matched in zip(["exact", "partial", "overlap", "exact_any_type", "partial_any_type"], expected, strict=True):
        assert scores[name] == tuple(matched / size if size else 0.0 for size in sizes), name


def test_a_document_counts_each_mention_once() -> None:
    rows = [
        row("BD ID O BD ID", "O O O BD ID", tokens="Fabry disease or fabry DISEASE", document="a"),
        row("BD ID", "O O", tokens="Fabry disease", document="b"),
        row("O O", "BS O", tokens="a disease", document="b"),
    ]
    scores = relaxed_scores(rows, LABELS, "conlleval")["document"]
    assert scores["counts"]["Disease"] == {"matched": 1, "pred": 1, "gold": 2}
    assert scores["counts"]["Sign"] == {"matched": 0, "pred": 1, "gold": 0}


def test_the_mode_decides_what_a_span_is() -> None:
    orphan = [row("BS IS", "IS IS")]
    assert relaxed_scores(orphan, LABELS, "conlleval")["overlap"]["micro"]["f1"] == 1
    assert relaxed_scores(orphan, LABELS, "strict")["overlap"]["micro"]["f1"] == 0


def test_nothing_to_find_and_nothing_found_is_zero_everywhere() -> None:
    assert set(micro(relaxed_scores([row("O O", "O O")], LABELS, "conlleval")).values()) == {(0.0, 0.0)}


def test_different_numbers_of_tags_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gold tags but 1 predicted"):
        relaxed_scores([row("O O", "O")], LABELS, "conlleval")


def spans_of(cuts: list[int]) -> set[tuple[int, int]]:
    """Disjoint spans between successive pairs of numbers."""
    ordered = sorted(set(cuts))
    return {(a, b - 1) for a, b in zip(ordered[::2], ordered[1::2])}


def best_pairing(truth: set[tuple[int, int]], guess: set[tuple[int, int]]) -> int:
    """The largest number of pairs, found by trying all pairings."""
    if not truth:
        return 0
    first, *rest = sorted(truth)
    partners = [span for span in guess if span[0] <= first[1] and first[0] <= span[1]]
    return max([best_pairing(set(rest), guess), *[1 + best_pairing(set(rest), guess - {span}) for span in partners]])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 24), max_size=10), st.lists(st.integers(0, 24), max_size=10))
def test_no_other_pairing_is_larger(left: list[int], right: list[int]) -> None:
    truth, guess = spans_of(left), spans_of(right)
    exact, shared = count_pairs(truth, guess)
    assert (exact, shared) == (len(truth & guess), best_pairing(truth, guess))
    assert count_pairs(guess, truth) == (exact, shared)


@settings(deadline=None, max_examples=150)
@given(CORPUS, st.sampled_from(["conlleval", "strict"]), st.randoms(use_true_random=False))
def test_properties_of_every_corpus(corpus: list[list[tuple[str, str]]], mode: Any, rng: random.Random) -> None:
    rows = [
        {
            "id": f"{n}",
            "document": f"d{n % 2}",
            "tokens": [f"w{i % 3}" for i in range(len(sentence))],
            "gold": [gold for gold, _ in sentence],
            "pred": [pred for _, pred in sentence],
        }
        for n, sentence in enumerate(corpus)
    ]
    scores = relaxed_scores(rows, LABELS, mode)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert relaxed_scores(shuffled, LABELS, mode) == scores  # order does not matter
    twice = relaxed_scores([*rows, *rows], LABELS, mode)
    for name in (*TYPED, *ANY):  # the same corpus twice is as good as once
        assert (twice[name].get("micro") or twice[name])["f1"] == pytest.approx((scores[name].get("micro") or scores[name])["f1"])
    for key in ("precision", "recall", "f1"):
        for label in LABELS:
            exact, partial, overlap = (scores[name]["per_type"][label][key] for name in ("exact", "partial", "overlap"))
            assert exact <= partial <= overlap <= 1
        assert scores["exact"]["micro"][key] <= scores["exact_any_type"][key] <= scores["partial_any_type"][key] <= 1
        assert scores["partial"]["micro"][key] <= scores["partial_any_type"][key]
    right = relaxed_scores([{**r, "pred": r["gold"]} for r in rows], LABELS, mode)
    if any(scores["exact"]["counts"][label]["gold"] for label in LABELS):
        assert {part.get("micro", part)["f1"] for part in right.values()} == {1.0}


def test_swapping_gold_and_pred_swaps_precision_and_recall() -> None:
    for gold, pred in itertools.permutations(["BS IS O BD", "BS O BD ID", "O BS IS O"], 2):
        forward, swapped = (micro(relaxed_scores([row(*pair)], LABELS, "conlleval")) for pair in ((gold, pred), (pred, gold)))
        assert {name: value[::-1] for name, value in forward.items()} == swapped
