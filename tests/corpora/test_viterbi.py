"""Decoding with BIO constraints, compared with an enumeration of all sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clinspan.corpora.bio import tag_spans
from clinspan.corpora.viterbi import Lattice

TAGS = ("O", "B-A", "I-A", "B-B", "I-B")


def legal(tags: tuple[str, ...]) -> bool:
    pairs = zip(("O", *tags), tags)
    return all(tag[0] != "I" or before in (f"B-{tag[2:]}", f"I-{tag[2:]}") for before, tag in pairs)


def brute(scores: NDArray[np.float64], order: tuple[str, ...]) -> tuple[float, NDArray[np.float64]]:
    """The score of the best legal sequence and the marginal of every tag, computed from all sequences."""
    best, table = -math.inf, np.zeros(scores.shape)
    for choice in itertools.product(range(len(order)), repeat=len(scores)):
        if legal(tuple(order[i] for i in choice)):
            score = sum(scores[t, i] for t, i in enumerate(choice))
            best = max(best, score)
            table[np.arange(len(scores)), choice] += math.exp(score)
    return best, table / table.sum(1, keepdims=True)


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    order = tuple(draw(st.permutations(TAGS)))
    length = draw(st.integers(1, 5))
    raw = draw(st.lists(st.floats(-8, 8), min_size=5 * length, max_size=5 * length))
    scores = np.array(raw).reshape(length, 5)
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True), order


@settings(max_examples=150, deadline=None)
@given(problems())
def test_decoding_and_posteriors_are_those_of_all_sequences(problem: tuple[NDArray[np.float64], tuple[str, ...]]) -> None:
    scores, order = problem
    lattice = Lattice.of(order)
    tags = lattice.decode(scores)
    best, marginals = brute(scores, order)
    assert legal(tuple(tags))
    assert sum(scores[t, order.index(tag)] for t, tag in enumerate(tags)) == pytest.approx(best, abs=1e-9)
    assert np.allclose(lattice.posteriors(scores), marginals, atol=1e-9)
    confidence = lattice.confidence(scores, tags)
    assert confidence == pytest.approx([marginals[t, order.index(tag)] for t, tag in enumerate(tags)], abs=1e-9)
    assert all(0 <= value <= 1 for value in confidence)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_probabilities_of_mentions_are_those_of_all_sequences(problem: tuple[NDArray[np.float64], tuple[str, ...]]) -> None:
    scores, order = problem
    sums: dict[tuple[int, int, str], float] = {}
    total = 0.0
    for choice in itertools.product(range(len(order)), repeat=len(scores)):
        tags = tuple(order[i] for i in choice)
        if legal(tags):
            weight = math.exp(sum(scores[t, i] for t, i in enumerate(choice)))
            total += weight
            for span in tag_spans(tags):
                sums[span] = sums.get(span, 0.0) + weight
    found = Lattice.of(order).mentions(scores, 0.0)
    flat = {(*span, label): value for span, row in found.items() for label, value in row.items()}
    assert flat == pytest.approx({span: weight / total for span, weight in sums.items()}, abs=1e-9)
    likely = Lattice.of(order).mentions(scores, 0.2)
    assert {(*span, label) for span, row in likely.items() for label in row} == {key for key, value in flat.items() if value >= 0.2}


def test_a_sentence_without_tokens_has_no_mention() -> None:
    assert Lattice.of(TAGS).mentions(np.zeros((0, 5)), 0.1) == {}
    assert Lattice.of(["O", "B-A"]).mentions(np.log([[0.4, 0.6]] * 2), 0.1).keys() == {(0, 1), (1, 2)}


def test_without_i_tags_the_best_tag_of_each_token_is_chosen() -> None:
    rng = np.random.default_rng(0)
    scores = np.log(rng.dirichlet(np.ones(3), size=2000))
    lattice = Lattice.of(("O", "B-A", "B-B"))
    assert lattice.decode(scores) == [lattice.tags[i] for i in scores.argmax(1)]
    assert np.allclose(lattice.posteriors(scores), np.exp(scores))


def test_a_tag_of_probability_0_is_not_taken_and_long_sentences_stay_finite() -> None:
    lattice = Lattice.of(TAGS)
    scores = np.full((3000, 5), -np.inf)
    scores[:, 0] = 0.0
    scores[7] = [-np.inf, -np.inf, 0.0, -np.inf, -np.inf]  # only I-A, but no tag before it is A: the sequence has an impossible tag
    scores[100:102] = [[-np.inf, 0.0, -np.inf, -np.inf, -np.inf], [-np.inf, -np.inf, 0.0, -np.inf, -np.inf]]
    tags = lattice.decode(scores)
    assert legal(tuple(tags))
    assert tags[100:103] == ["B-A", "I-A", "O"]
    assert tags[103:] == ["O"] * 2897
    assert np.allclose(lattice.posteriors(scores).sum(1), 1)


def test_ties_go_to_the_first_tag() -> None:
    assert Lattice.of(TAGS).decode(np.zeros((3, 5))) == ["O", "O", "O"]


@settings(max_examples=100, deadline=None)
@given(st.permutations(TAGS), st.lists(st.lists(st.sampled_from([-1.0, -2.0]), min_size=5, max_size=5), min_size=1, max_size=4))
def test_of_equally_probable_sequences_the_last_difference_decides(order: list[str], rows: list[list[float]]) -> None:
    scores = np.array(rows)
    choices = [c for c in itertools.product(range(5), repeat=len(rows)) if legal(tuple(order[i] for i in c))]
    best = min(choices, key=lambda choice: (-sum(scores[t, i] for t, i in enumerate(choice)), choice[::-1]))
    assert Lattice.of(order).decode(scores) == [order[i] for i in best]


def test_the_lattice_has_the_legal_transitions() -> None:
    for order in itertools.permutations(TAGS, 4):
        if "O" not in order:
            continue
        lattice = Lattice.of(order)
        assert lattice.tags == order
        assert [value == 0 for value in lattice.begins] == [tag[0] != "I" for tag in order]
        assert [[value == 0 for value in row] for row in lattice.follows] == [
            [after[0] != "I" or before[1:] == after[1:] for after in order] for before in order
        ]
        assert set(lattice.begins) | set(lattice.follows.flat) <= {0.0, -np.inf}


def test_scores_of_lower_precision_are_computed_in_double_precision() -> None:
    lattice, rng = Lattice.of(TAGS), np.random.default_rng(1)
    scores = np.log(rng.dirichlet(np.ones(5), size=40)).astype(np.float32)
    found = lattice.posteriors(scores)
    assert found.dtype == np.float64
    assert (found == lattice.posteriors(scores.astype(np.float64))).all()


def test_an_illegal_sequence_is_preferred_to_none() -> None:
    """An impossible tag costs a million: of two sequences with impossible tags the one with fewer of them is taken."""
    lattice = Lattice.of(("O", "B-A", "I-A"))
    impossible = [-np.inf, -np.inf, 0.0]
    assert lattice.decode(np.array([impossible, [-5.0, -np.inf, -np.inf]])) == ["O", "O"]
    assert lattice.decode(np.array([impossible, [-5.0, -np.inf, -4.0]])) == ["B-A", "I-A"]
    assert lattice.decode(np.array([[-2e6, -1e9, 0.0]])) == ["O"]
    assert lattice.posteriors(np.array([[0.0, -2e6, -np.inf]])).tolist() == [[1.0, 0.0, 0.0]]


def test_confidences_need_a_tag_for_each_token() -> None:
    lattice = Lattice.of(TAGS)
    scores = np.log(np.full((2, 5), 0.2))
    assert lattice.confidence(scores, ["O", "B-A"]) == pytest.approx([3 / 11, 3 / 11])  # three of eleven legal pairs
    for tags in (["O"], ["O"] * 3):
        with pytest.raises(ValueError, match="zip"):
            lattice.confidence(scores, tags)


def test_empty_input_gives_empty_output_and_wrong_input_is_refused() -> None:
    lattice = Lattice.of(TAGS)
    assert lattice.decode(np.zeros((0, 5))) == []
    assert lattice.posteriors(np.zeros((0, 5))).shape == (0, 5)
    with pytest.raises(ValueError, match=r"shape \(2, 4\) for 5 tags"):
        lattice.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="not a number"):
        lattice.posteriors(np.full((1, 5), np.nan))
    for tags in (("B-A", "I-A"), ("O", "O"), ("O", "X")):
        with pytest.raises(ValueError, match=f"^{', '.join(tags)}: different BIO tags with O among them are needed$"):
            Lattice.of(tags)
    for wrong in (np.zeros(5), np.zeros((2, 5, 1))):
        with pytest.raises(ValueError, match="for 5 tags"):
            lattice.decode(wrong)
    assert lattice.decode([[0.0, -1.0, -1.0, -1.0, -1.0]]) == ["O"]  # type: ignore[arg-type]
