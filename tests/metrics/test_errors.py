"""Error kinds against hand tables, the pairing of competing spans, and totals that must agree."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.metrics import classify, count_errors, count_sentence, SpanError
from clinspan.metrics.counts import entities, Mode
from clinspan.metrics.errors import KINDS, overlap

LABELS = ["Sign", "Disease"]
SHORT = {"S": "Sign", "D": "Disease", "R": "RareDisease"}
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
SENTENCE = st.lists(st.tuples(TAG, TAG), max_size=14)
MODES = st.sampled_from(["conlleval", "strict"])


def tags(short: str) -> list[str]:
    """`BS IS O` is `B-Sign I-Sign O`."""
    return [word if word == "O" else f"{word[0]}-{SHORT[word[1]]}" for word in short.split()]


def told(gold: str, pred: str, mode: Mode = "conlleval") -> list[str]:
    """Errors in short form: kind, gold span, predicted span. `S0-1` gives the first and the last token, `-` is no span."""
    return [f"{e.kind} {short(e.gold)} {short(e.pred)}" for e in classify(tags(gold), tags(pred), mode)]


def short(span: tuple[str, int, int] | None) -> str:
    return f"{span[0][0]}{span[1]}-{span[2]}" if span else "-"


@pytest.mark.parametrize(
    ("gold", "pred", "expected"),
    [
        ("", "", []),
        ("O O", "O O", []),
        ("BS IS O BD", "BS IS O BD", []),
        ("BS IS O", "BS O O", ["wrong_ends S0-1 S0-0"]),
        ("O BS O", "BS IS IS", ["wrong_ends S1-1 S0-2"]),
        ("BS IS O", "O BS IS", ["wrong_ends S0-1 S1-2"]),
        ("BS IS O", "BD ID O", ["wrong_type S0-1 D0-1"]),
        ("BS IS O", "BD O O", ["wrong_ends_and_type S0-1 D0-0"]),
        ("BS IS O", "O O O", ["missed S0-1 -"]),
        ("O O O", "O BS O", ["invented - S1-1"]),
        ("BS O O BD", "BS O BD O", ["invented - D2-2", "missed D3-3 -"]),
    ],
)
def test_each_kind_by_hand(gold: str, pred: str, expected: list[str]) -> None:
    assert told(gold, pred) == expected


@pytest.mark.parametrize(
    ("gold", "pred", "expected"),
    [
        # two neighbours are joined: the first gets the span, because both overlap it equally
        ("BS BS", "BS IS", ["wrong_ends S0-0 S0-1", "missed S1-1 -"]),
        # the larger overlap wins, wherever it is
        ("BS BS IS", "BS IS IS", ["missed S0-0 -", "wrong_ends S1-2 S0-2"]),
        # one mention is split in two
        ("BS IS", "BS BS", ["wrong_ends S0-1 S0-0", "invented - S1-1"]),
        ("BS IS IS", "BS BS IS", ["wrong_ends S0-2 S1-2", "invented - S0-0"]),
        # the same label wins over a larger overlap
        ("BS IS IS", "BD ID BS", ["wrong_ends S0-2 S2-2", "invented - D0-1"]),
        ("BD ID BS", "BS IS IS", ["missed D0-1 -", "wrong_ends S2-2 S0-2"]),
        # different labels: the larger overlap wins
        ("BS IS IS", "BD BR IR", ["wrong_ends_and_type S0-2 R1-2", "invented - D0-0"]),
        # the neighbours of a pair with the same label have no partner, or another one
        ("BS IS BD", "BD BS IS", ["wrong_ends S0-1 S1-2", "invented - D0-0", "missed D2-2 -"]),
        ("BS IS BD ID", "BD BS IS BD", ["wrong_ends S0-1 S1-2", "invented - D0-0", "wrong_ends D2-3 D3-3"]),
        # a chain in which each overlaps the next
        ("BS IS BS IS", "O BS IS O", ["wrong_ends S0-1 S1-2", "missed S2-3 -"]),
        ("BS IS BS IS O", "O BS IS BS IS", ["wrong_ends S0-1 S1-2", "wrong_ends S2-3 S3-4"]),
        # a span inside a longer span of another type
        ("BD ID ID", "O BS O", ["wrong_ends_and_type D0-2 S1-1"]),
        # neighbours that only touch are no partners
        ("BS O", "O BS", ["missed S0-0 -", "invented - S1-1"]),
        ("BS BD", "BD BS", ["wrong_type S0-0 D0-0", "wrong_type D1-1 S1-1"]),
        # a matched span is nobody's partner
        ("BS BS", "BS O", ["missed S1-1 -"]),
    ],
)
def test_competing_spans(gold: str, pred: str, expected: list[str]) -> None:
    assert told(gold, pred) == expected


@pytest.mark.parametrize(
    ("gold", "pred", "conlleval", "strict"),
    [
        ("BS IS O", "IS IS O", [], ["missed S0-1 -"]),
        ("O O O", "O IS IS", ["invented - S1-2"], []),
        ("BS IS O", "O IS O", ["wrong_ends S0-1 S1-1"], ["missed S0-1 -"]),
        ("BS IS O", "BD IS O", ["wrong_ends S0-1 S1-1", "invented - D0-0"], ["wrong_ends_and_type S0-1 D0-0"]),
        ("O IS O", "O BS O", [], ["invented - S1-1"]),
    ],
)
def test_an_inside_tag_that_continues_nothing(gold: str, pred: str, conlleval: list[str], strict: list[str]) -> None:
    assert told(gold, pred, "conlleval") == conlleval
    assert told(gold, pred, "strict") == strict


def test_the_label_is_that_of_gold_or_else_the_predicted_one() -> None:
    assert SpanError("wrong_type", ("Sign", 0, 1), ("Disease", 0, 1)).label == "Sign"
    assert SpanError("missed", ("Sign", 0, 1), None).label == "Sign"
    assert SpanError("invented", None, ("Disease", 0, 1)).label == "Disease"
    with pytest.raises(ValueError, match="a gold span, a predicted span or both"):
        SpanError("missed", None, None)


def test_errors_are_counted_by_kind_and_label_over_sentences() -> None:
    rows = [
        (tags("BS IS O BD"), tags("BS O O BS")),
        (tags("BS IS O O"), tags("BS O O BD")),
        (tags("BS"), tags("BS")),
    ]
    assert count_errors(rows, "conlleval") == {("wrong_ends", "Sign"): 2, ("wrong_type", "Disease"): 1, ("invented", "Disease"): 1}
    assert count_errors([], "conlleval") == Counter()
    assert count_errors([(tags("BS"), tags("IS"))], "strict") == {("missed", "Sign"): 1}


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gold tags but 1 predicted"):
        classify(["O", "O"], ["O"], "conlleval")


@settings(max_examples=500, deadline=None)
@given(SENTENCE, MODES)
def test_every_span_is_matched_or_in_one_error(row: list[tuple[str, str]], mode: Mode) -> None:
    gold, pred = [g for g, _ in row], [p for _, p in row]
    errors = classify(gold, pred, mode)
    kinds = Counter(error.kind for error in errors)
    both = kinds["wrong_ends"] + kinds["wrong_type"] + kinds["wrong_ends_and_type"]
    table = count_sentence(gold, pred, LABELS, mode).values()
    assert set(kinds) <= set(KINDS)
    assert sum(c.matched for c in table) + both + kinds["missed"] == sum(c.gold for c in table)
    assert sum(c.matched for c in table) + both + kinds["invented"] == sum(c.pred for c in table)
    truth, guess = entities(gold, mode), entities(pred, mode)
    assert sorted(e.gold for e in errors if e.gold) == sorted(truth - guess)
    assert sorted(e.pred for e in errors if e.pred) == sorted(guess - truth)


@settings(max_examples=300, deadline=None)
@given(SENTENCE, MODES)
def test_the_kind_follows_from_the_spans(row: list[tuple[str, str]], mode: Mode) -> None:
    for error in classify([g for g, _ in row], [p for _, p in row], mode):
        if error.gold is None or error.pred is None:
            assert error.kind == ("invented" if error.gold is None else "missed")
            continue
        bounds, label = error.gold[1:] == error.pred[1:], error.gold[0] == error.pred[0]
        assert overlap(error.gold, error.pred)
        assert (
            error.kind
            == {(False, True): "wrong_ends", (True, False): "wrong_type", (False, False): "wrong_ends_and_type"}[bounds, label]
        )


@settings(max_examples=300, deadline=None)
@given(SENTENCE, MODES)
def test_no_missed_span_overlaps_an_invented_one(row: list[tuple[str, str]], mode: Mode) -> None:
    errors = classify([g for g, _ in row], [p for _, p in row], mode)
    missed = [e.gold for e in errors if e.kind == "missed" and e.gold]
    invented = [e.pred for e in errors if e.kind == "invented" and e.pred]
    assert not any(overlap(gold, pred) for gold in missed for pred in invented)


@given(SENTENCE, MODES)
def test_swapping_gold_and_pred_turns_missed_into_invented(row: list[tuple[str, str]], mode: Mode) -> None:
    gold, pred = [g for g, _ in row], [p for _, p in row]
    forward = Counter(error.kind for error in classify(gold, pred, mode))
    swapped = Counter(error.kind for error in classify(pred, gold, mode))
    assert (forward["missed"], forward["invented"], forward["wrong_type"]) == (
        swapped["invented"],
        swapped["missed"],
        swapped["wrong_type"],
    )
