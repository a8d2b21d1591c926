"""Feedback that a person can use: the words, the types, the deciding definition, and a limited length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.metrics import classify, feedback
from clinspan.metrics.counts import Mode
from clinspan.metrics.feedback import MAX_ERRORS

DEFINITIONS = {"Sign": "what somebody else can see", "Symptom": "what only the patient feels", "Disease": "a common illness"}
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
ROW = st.lists(st.tuples(st.sampled_from(["mild", "fever", "and", "rash"]), TAG, TAG), max_size=60)


def said(*rows: str, mode: Mode = "conlleval") -> list[str]:
    """Lines of the feedback on `word gold pred` rows."""
    words, gold, pred = zip(*(row.split() for row in rows))
    return feedback(words, gold, pred, definitions=DEFINITIONS, mode=mode).splitlines()


def test_a_perfect_sentence_takes_one_line() -> None:
    assert said("Fever B-Sign B-Sign", "came O O") == ["Every entity is right (1)."]
    assert said("Nobody O O", "came O O") == ["Right: there is no entity, and none was tagged."]
    assert said("Fever B-Sign I-Sign") == ["Every entity is right (1)."]
    assert said("Skin I-Sign B-Sign", "rash I-Sign I-Sign") == ["Every entity is right (1)."]
    assert feedback([], [], [], definitions={}, mode="strict") == "Right: there is no entity, and none was tagged."


def test_a_missed_entity_comes_with_its_definition() -> None:
    assert said("Skin B-Sign O", "rash I-Sign O", "came O O") == [
        "0 of 1 entities right, 1 error:",
        '- Missed: "Skin rash" is Sign.',
        "  Sign: what somebody else can see",
    ]


def test_an_invented_entity_comes_with_the_predicted_type() -> None:
    assert said("Fever B-Sign B-Sign", "in O O", "old O B-Disease", "age O I-Disease") == [
        "1 of 1 entities right, 1 error:",
        '- Invented: "old age" was tagged Disease but is no entity.',
    ]


def test_wrong_boundaries_show_both_spans_and_the_tokens_that_differ() -> None:
    assert said("very O B-Sign", "high B-Sign I-Sign", "fever I-Sign I-Sign", "today O I-Sign")[1:] == [
        '- Cut wrongly: "high fever" is Sign but "very high fever today" was tagged Sign; too many: "very" and "today".'
    ]
    assert said("loss B-Sign O", "of I-Sign O", "hair I-Sign B-Sign")[1:] == [
        '- Cut wrongly: "loss of hair" is Sign but "hair" was tagged Sign; lacking: "loss of".'
    ]
    assert said("red O B-Sign", "skin B-Sign I-Sign", "rash I-Sign O")[1:] == [
        '- Cut wrongly: "skin rash" is Sign but "red skin" was tagged Sign; too many: "red"; lacking: "rash".'
    ]


def test_words_beside_both_spans_are_not_listed() -> None:
    assert said("a O O", "red O B-Sign", "skin B-Sign I-Sign", "rash I-Sign O", "came O O", "back O O")[1:] == [
        '- Cut wrongly: "skin rash" is Sign but "red skin" was tagged Sign; too many: "red"; lacking: "rash".'
    ]
    assert said("a O O", "skin B-Sign B-Sign", "rash I-Sign O", "came O O")[1:] == [
        '- Cut wrongly: "skin rash" is Sign but "skin" was tagged Sign; lacking: "rash".'
    ]
    assert said("a O O", "skin O B-Sign", "rash B-Sign I-Sign", "came O O")[1:] == [
        '- Cut wrongly: "rash" is Sign but "skin rash" was tagged Sign; too many: "skin".'
    ]


def test_a_wrong_type_comes_with_the_definition_of_the_right_one() -> None:
    lines = said("Pain B-Symptom B-Sign")
    assert lines[1:] == ['- Typed wrongly: "Pain" is Symptom but was tagged Sign.', "  Symptom: what only the patient feels"]


def test_wrong_boundaries_and_a_wrong_type_are_both_reported() -> None:
    assert said("severe O B-Sign", "pain B-Symptom I-Sign")[1:] == [
        '- Cut and typed wrongly: "pain" is Symptom but "severe pain" was tagged Sign; too many: "severe".',
        "  Symptom: what only the patient feels",
    ]


def test_spans_that_overlap_a_pair_are_described_as_entities_of_their_own() -> None:
    assert said("fever B-Sign B-Sign", "rash B-Sign I-Sign")[1:3] == [
        '- Cut wrongly: "fever" is Sign but "fever rash" was tagged Sign; too many: "rash".',
        '- Missed: "rash" is Sign of its own.',
    ]
    assert said("skin B-Sign B-Sign", "rash I-Sign B-Sign")[2] == '- Invented: "rash" was tagged Sign but is no entity of its own.'


def test_repeated_words_are_numbered() -> None:
    lines = said("fever B-Sign B-Sign", "and O O", "fever B-Sign O")
    assert lines[:2] == ["1 of 2 entities right, 1 error:", '- Missed: "fever" (number 2 of 2) is Sign.']


def test_the_mode_decides_what_an_entity_is() -> None:
    assert said("Fever B-Sign I-Sign", mode="strict")[1] == '- Missed: "Fever" is Sign.'
    assert said("Fever O I-Sign", mode="strict") == ["Right: there is no entity, and none was tagged."]
    assert said("Fever O I-Sign")[1] == '- Invented: "Fever" was tagged Sign but is no entity.'


def test_a_type_without_a_definition_gets_no_line() -> None:
    for definitions in ({}, {"Sign": ""}, {"Disease": "a common illness"}):
        text = feedback(["Fever"], ["B-Sign"], ["O"], definitions=definitions, mode="conlleval")
        assert text.splitlines() == ["0 of 1 entities right, 1 error:", '- Missed: "Fever" is Sign.']


def test_many_errors_are_counted_and_long_spans_shortened() -> None:
    many = said(*(f"w{i} B-Sign O" for i in range(MAX_ERRORS + 3)))
    assert many[0] == "0 of 15 entities right, 15 errors:"
    assert many[-2:] == [f'- Missed: "w{MAX_ERRORS - 1}" is Sign.', "and 3 more"]
    assert said(*(f"w{i} B-Sign O" for i in range(MAX_ERRORS)))[-1] == '- Missed: "w11" is Sign.'
    words = [f"w{i}" for i in range(300)]
    text = feedback(words, ["B-Sign", *["I-Sign"] * 299], ["O"] * 300, definitions={}, mode="conlleval")
    assert '"w0 w1 w2 w3 w4 w5 w6 w7 [...] w292 w293 w294 w295 w296 w297 w298 w299"' in text


def test_lists_of_different_lengths_are_refused_without_their_words() -> None:
    with pytest.raises(ValueError, match="^1 tokens but 2 gold tags$"):
        feedback(["Fever"], ["O", "O"], ["O", "O"], definitions={}, mode="conlleval")
    with pytest.raises(ValueError, match="^1 gold tags but 2 predicted tags$"):
        feedback(["Fever"], ["O"], ["O", "O"], definitions={}, mode="conlleval")


@settings(max_examples=300, deadline=None)
@given(ROW, st.sampled_from(["conlleval", "strict"]))
def test_every_error_has_a_line_and_every_definition_at_most_one(row: list[tuple[str, str, str]], mode: Mode) -> None:
    words, gold, pred = [w for w, _, _ in row], [g for _, g, _ in row], [p for _, _, p in row]
    text = feedback(words, gold, pred, definitions=DEFINITIONS, mode=mode)
    errors = classify(gold, pred, mode)
    assert text.count("\n- ") == min(len(errors), MAX_ERRORS)
    assert text.endswith(f"and {len(errors) - MAX_ERRORS} more") == (len(errors) > MAX_ERRORS)
    assert ("\n" in text) == bool(errors)
    assert all(text.count(definition) <= 1 for definition in DEFINITIONS.values())
    if not errors[MAX_ERRORS:]:
        due = {e.gold[0] for e in errors if e.gold and e.kind != "wrong_ends"}
        assert {label for label, meaning in DEFINITIONS.items() if f"  {label}: {meaning}" in text} == due
    assert text == feedback(tuple(words), tuple(gold), tuple(pred), definitions=dict(reversed(DEFINITIONS.items())), mode=mode)
