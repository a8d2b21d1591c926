"""Spans to tags and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinspan.corpora import Entity, InputError
from clinspan.corpora.bio import Policies, span_tags, tag_sentences, tag_spans
from clinspan.corpora.tokens import punctuation_sentences, punctuation_tokens

TEXT = "Hepatic and renal failure. Severe pain"


def tags(entities: list[Entity], **policies: str) -> tuple[list[str], dict[str, int]]:
    cut = punctuation_sentences(TEXT, punctuation_tokens(TEXT))
    rows, acts = tag_sentences(cut, entities, Policies(**policies))  # type: ignore[arg-type]
    return [tag for row in rows for tag in row], dict(acts)


@st.composite
def flat_spans(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, str]]]:
    length = draw(st.integers(0, 30))
    spans, position = [], 0
    while position < length:
        start = draw(st.integers(position, length))
        end = draw(st.integers(start, length))
        if end > start:
            spans.append((start, end, draw(st.sampled_from(["Sign", "Rare-Disease"]))))
        position = end + 1 if end == start else end
    return length, spans


@given(flat_spans())
def test_spans_to_tags_to_spans_is_the_identity(case: tuple[int, list[tuple[int, int, str]]]) -> None:
    length, spans = case
    assert tag_spans(span_tags(length, spans)) == spans


@pytest.mark.parametrize(
    ("policy", "expected", "act"),
    [
        ("first", ["B-D", "O", "O", "O", "O", "O", "O"], "discontinuous_first"),
        ("envelope", ["B-D", "I-D", "I-D", "I-D", "O", "O", "O"], "discontinuous_envelope"),
        ("drop", ["O"] * 7, "discontinuous_drop"),
    ],
)
def test_discontinuous_mentions(policy: str, expected: list[str], act: str) -> None:
    actual, acts = tags([Entity("D", ((0, 7), (18, 25)))], discontinuous=policy)
    assert actual == expected
    assert acts == {act: 1}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("longest", ["O", "O", "B-D", "I-D", "O", "O", "O"]),
        ("first", ["O", "O", "O", "B-S", "O", "O", "O"]),
        ("last", ["O", "O", "B-D", "I-D", "O", "O", "O"]),
    ],
)
def test_overlapping_mentions(policy: str, expected: list[str]) -> None:
    actual, acts = tags([Entity("S", ((18, 25),)), Entity("D", ((12, 25),))], overlap=policy)
    assert actual == expected
    assert acts == {f"overlap_{policy}": 1}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("split", ["O", "O", "O", "B-D", "I-D", "B-D", "O"]),
        ("first", ["O", "O", "O", "B-D", "I-D", "O", "O"]),
        ("drop", ["O"] * 7),
    ],
)
def test_mentions_over_a_sentence_boundary(policy: str, expected: list[str]) -> None:
    actual, acts = tags([Entity("D", ((18, 33),))], crossing=policy)
    assert actual == expected
    assert acts == {f"crossing_{policy}": 1}


@pytest.mark.parametrize(("policy", "expected"), [("expand", ["B-D"] + ["O"] * 6), ("drop", ["O"] * 7)])
def test_mentions_that_cut_a_token(policy: str, expected: list[str]) -> None:
    actual, acts = tags([Entity("D", ((0, 4),))], partial=policy)
    assert actual == expected
    assert acts == {f"partial_{policy}": 1}


def test_duplicates_and_mentions_of_white_space_are_counted() -> None:
    actual, acts = tags([Entity("D", ((0, 7),)), Entity("D", ((0, 7),)), Entity("D", ((7, 8),))])
    assert actual[0] == "B-D"
    assert acts == {"duplicate_dropped": 1, "empty_dropped": 1}


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match="overlap=best is not a policy. Use one of longest, first, last"):
        Policies(overlap="best")  # type: ignore[arg-type]
