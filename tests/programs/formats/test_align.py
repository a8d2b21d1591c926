"""Alignment of echoed tokens against all alignments that keep the order, priced as documented."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.programs.formats.align import align, fold

WORDS = st.sampled_from(["a", "A", "b", "pain", "Pain", "pains", "Crohn’s", "crohn's", "1", ""])


def price(echo: str, token: str) -> float:
    """The documented cost of a pair: 0 if equal, 0.01 if `fold` makes them equal, else 0.6 to 1, less for more similar tokens."""
    if echo == token:
        return 0.0
    if fold(echo) == fold(token):
        return 0.01
    return 1 - 0.4 * SequenceMatcher(None, fold(echo[:100]), fold(token[:100]), autojunk=False).ratio()


def total(echoed: Sequence[str], tokens: Sequence[str], places: Sequence[int | None]) -> float:
    pairs = [(echoed[place], token) for place, token in zip(places, tokens, strict=True) if place is not None]
    return sum(price(*pair) for pair in pairs) + 0.7 * (len(echoed) + len(tokens) - 2 * len(pairs))


def every_alignment(echoes: int, tokens: int) -> Iterator[list[int | None]]:
    for pairs in range(min(echoes, tokens) + 1):
        for said, meant in itertools.product(
            itertools.combinations(range(echoes), pairs), itertools.combinations(range(tokens), pairs)
        ):
            places: list[int | None] = [None] * tokens
            for echo, token in zip(said, meant, strict=True):
                places[token] = echo
            yield places


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5))
def test_no_alignment_is_cheaper(echoed: list[str], tokens: list[str]) -> None:
    places = align(echoed, tokens)
    assert len(places) == len(tokens)
    paired = [place for place in places if place is not None]
    assert paired == sorted(set(paired)) and all(0 <= place < len(echoed) for place in paired)
    least = min(total(echoed, tokens, other) for other in every_alignment(len(echoed), len(tokens)))
    assert total(echoed, tokens, places) == pytest.approx(least, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=12), st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=12))
def test_equal_ends_are_paired_with_each_other(head: list[str], said: list[str], meant: list[str], tail: list[str]) -> None:
    places = align([*head, *said, *tail], [*head, *meant, *tail])
    assert places[: len(head)] == list(range(len(head)))
    least = min(total(said, meant, other) for other in every_alignment(len(said), len(meant)))
    assert total([*head, *said, *tail], [*head, *meant, *tail], places) <= least + 1e-9


@pytest.mark.parametrize(
    ("echoed", "tokens", "expected"),
    [
        ("", "a b", [None, None]),
        ("a b", "", []),
        ("a b", "a b", [0, 1]),
        ("a b c", "a c", [0, 2]),
        ("a c", "a b c", [0, None, 1]),
        ("x a y b z", "p a q b r", [0, 1, 2, 3, 4]),  # a pair of different tokens is cheaper than two without a partner
        ("u b b v", "w b z", [0, 1, 2]),  # "z" costs the same with the second "b" and with "v"
        ("u b v w", "p b b q", [0, 1, 2, 3]),
        ("q pain w", "e Pain pains r", [0, 1, 2, None]),
        ("q pains w", "e Pain pains r", [0, None, 1, 2]),
        ("q x x", "x y x", [1, None, 2]),
        ("x x q", "x y x", [0, None, 1]),
        ("x a a", "a", [2]),  # equal ends come first
        ("x a a y", "a", [1]),  # then the pair that is earlier
        ("u a y", "a a z", [0, 1, 2]),
    ],
)
def test_hand_table(echoed: str, tokens: str, expected: list[int | None]) -> None:
    assert align(echoed.split(), tokens.split()) == expected


@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_where_one_side_is_longer_the_rest_has_no_partner(length: int) -> None:
    many = [f"{n}" * 9 for n in range(10, 10 + length)]
    assert align([], many) == [None] * length
    assert align(many, []) == []
    assert align(["fever"], [*many, "fever"]) == [*[None] * length, 0]
    assert align(["x", "fever", "y"], [*many, "fever", "z"])[length:] == [1, 2]
    assert align([*many, "fever", "y"], ["x", "fever", "z"])[1:] == [length, length + 1]


def test_a_long_echo_that_stops_early_leaves_the_rest_of_the_tokens_without_a_partner() -> None:
    tokens = [f"w{n % 70}" for n in range(1000)]
    assert align(["other", *tokens[1:300]], [*tokens, "end"]) == [0, *range(1, 300), *[None] * 701]


def test_between_words_that_occur_once_long_texts_are_aligned_apart() -> None:
    tokens = [word for n in range(300) for word in (f"once{n}", "the", "end")]
    echoed = [word for n in range(300) for word in (f"once{n}", "the", "end", "more")]
    places = align(["start", *echoed], ["begin", *tokens, "over"])
    assert places == [0, *(1 + 4 * (n // 3) + n % 3 for n in range(900)), 1200]


def test_only_the_first_hundred_characters_are_compared() -> None:
    same, other = "a" * 100, "b" * 100
    near, far = same + other * 3, same + "c" * 300
    assert align(["1", near, "2"], ["3", far, "4"])[1] == 1
    assert align(["1", other + same, near, "2"], ["3", far, "4"])[1] == 2


@pytest.mark.parametrize(
    ("token", "expected"),
    [("“Ab”", '"ab"'), ("‘x’", "'x'"), ("a–b—c", "a-b-c"), ("1\u00a0g", "1 g"), ("STRASSE", "strasse"), ("Straße", "strasse")],
)
def test_folding_removes_case_and_typography(token: str, expected: str) -> None:
    assert fold(token) == expected
