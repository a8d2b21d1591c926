"""Decoding with BIO constraints, compared with an enumeration of all sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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


def test_empty_input_gives_empty_output_and_wrong_input_is_refused() -> None:
    lattice = Lattice.of(TAGS)
    assert lattice.decode(np.zeros((0, 5))) == []
    assert lattice.posteriors(np.zeros((0, 5))).shape == (0, 5)
    with pytest.raises(ValueError, match=r"shape \(2, 4\) for 5 tags"):
        lattice.decode(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="not a number"):
        lattice.posteriors(np.full((1, 5), np.nan))
    for tags in (("B-A", "I-A"), ("O", "O"), ("O", "X")):
        with pytest.raises(ValueError, match="different BIO tags"):
            Lattice.of(tags)
