"""Draws of one token against a plain definition of temperature, top-k and top-p, and the random numbers behind them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from clinspan.lms.local.sampling import Sampling, uniform

LOGITS = st.lists(st.one_of(st.floats(-6, 6), st.just(-np.inf)), min_size=1, max_size=9).filter(lambda row: max(row) > -np.inf)


def left(logits: list[float], temperature: float, top_p: float, top_k: int) -> dict[int, float]:
    """The tokens that may be drawn and their probabilities, by definition: ranked, cut to k, cut to p, scaled."""
    probabilities = special.softmax(np.array(logits, dtype=np.float64) / temperature)
    ranked = sorted(range(len(logits)), key=lambda i: (-probabilities[i], i))
    kept, before = [], 0.0
    for rank, i in enumerate(ranked):
        if rank == 0 or ((not top_k or rank < top_k) and (top_p == 1 or before < top_p - 1e-9)):
            kept.append(i)
        before += probabilities[i]
    total = sum(probabilities[i] for i in kept)
    return {i: probabilities[i] / total for i in kept if probabilities[i] > 0}


@settings(max_examples=300, deadline=None)
@given(
    LOGITS,
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([0.05, 0.4, 0.77, 1.0]),
    st.integers(0, 5),
    st.floats(0, 1, exclude_max=True),
)
def test_the_drawn_token_is_that_of_the_cumulative_distribution(
    logits: list[float], temperature: float, top_p: float, top_k: int, number: float
) -> None:
    probabilities = left(logits, temperature, top_p, top_k)
    drawn = Sampling(temperature, top_p, top_k).draw(np.array(logits), number)
    assert drawn in probabilities
    below = sum(p for i, p in probabilities.items() if i < drawn)
    assert below - 1e-9 <= number <= below + probabilities[drawn] + 1e-9


@pytest.mark.parametrize(
    ("settings_of_draw", "number", "expected"),
    [
        ({}, 0.0, 0),
        ({}, 0.0999999, 0),
        ({}, 0.1000001, 1),
        ({}, 0.6000001, 3),
        ({"top_k": 1}, 0.0, 3),
        ({"top_k": 3}, 0.0, 1),
        ({"top_p": 0.4}, 0.0, 3),  # the first token reaches 0.4 already
        ({"top_p": 0.41}, 0.0, 2),
        ({"top_p": 0.999}, 0.0, 0),
        ({"top_p": 1e-9}, 0.999, 3),
        ({"temperature": 0.01}, 0.0001, 3),
    ],
)
def test_bounds(settings_of_draw: dict[str, Any], number: float, expected: int) -> None:
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4]))
    assert Sampling(**{"temperature": 1.0, **settings_of_draw}).draw(logits, number) == expected


def test_of_equally_probable_tokens_the_first_are_left() -> None:
    drawn = {Sampling(1.0, top_k=2).draw(np.zeros(40), number) for number in np.linspace(0, 0.999, 50)}
    assert drawn == {0, 1}
    paired = np.tile([0.0, 1.0], 500)
    assert {Sampling(1.0, top_k=3).draw(paired, number) for number in np.linspace(0, 0.999, 50)} == {1, 3, 5}
    assert [Sampling(1.0).draw(np.zeros(4), number) for number in (0.0, 0.25, 0.5, 0.75)] == [
        0,
        1,
        2,
        3,
    ]  # a bound is the next token's


def test_large_logits_stay_finite_and_the_largest_number_draws_an_allowed_token() -> None:
    assert Sampling(0.5).draw(np.array([1e4, 1e4 - 1, -1e4], dtype=np.float32), 0.5) == 0
    last = np.nextafter(1.0, 0.0)
    assert Sampling(1.0).draw(np.array([0.0, 0.0, -np.inf]), last) == 1
    assert Sampling(1.0, top_k=1).draw(np.array([1.0, 0.0, 0.0]), last) == 0
    tiny = np.log(np.array([1.0, 1e-18, 1e-18]))
    assert Sampling(1.0).draw(tiny, last) in (0, 1, 2)


def test_many_tokens_of_single_precision_are_added_in_double_precision() -> None:
    logits = np.random.default_rng(2).normal(size=30_000).astype(np.float32)
    exact = np.cumsum(special.softmax(logits.astype(np.float64) / 0.7))
    for number in np.linspace(0.001, 0.999, 60):
        assert Sampling(0.7).draw(logits, number) == np.searchsorted(exact, number, side="right")


def test_random_numbers_are_uniform_independent_and_those_of_the_published_hash() -> None:
    stream = Sampling(1.0, seed=7).stream((3, 1, 4))
    numbers = np.array([uniform(stream, position) for position in range(4000)])
    assert numbers.min() >= 0 and numbers.max() < 1 and len(set(numbers)) == 4000
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.05
    key = hashlib.blake2b(np.array([7, 3, 1, 4], dtype="<i8").tobytes(), digest_size=32).digest()
    digest = hashlib.blake2b((5).to_bytes(8, "little"), key=key, digest_size=8).digest()
    assert uniform(stream, 5) == (int.from_bytes(digest, "little") >> 11) / 2**53


def test_streams_differ_by_seed_and_prompt() -> None:
    streams = [Sampling(1.0, seed=seed).stream(ids) for seed in (0, 1) for ids in ((), (1,), (1, 2), (2, 1))]
    assert len(set(streams)) == 8
    assert Sampling(1.0).stream((1,)) == streams[1] == Sampling(0.3, 0.5, 4).stream((1,))
