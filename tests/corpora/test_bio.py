"""Spans to tags and back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Entity, InputError, Token
from clinspan.corpora.bio import bio_classes, check_tag, Policies, renamed, span_tags, split_tag, tag_sentences, tag_spans
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
    with pytest.raises(InputError, match="partial=split is not a policy. Use one of expand, drop"):
        Policies(partial="split")  # type: ignore[arg-type]
    for name in ("discontinuous", "crossing"):
        with pytest.raises(InputError, match=f"{name}=none is not a policy"):
            Policies(**{name: "none"})
    assert Policies() == Policies("longest", "first", "split", "expand")


Spans = list[tuple[int, int, str]]


def covered(entity: Entity, tokens: list[Token], sentence_of: list[int], policies: Policies, acts: Counter[str]) -> Spans:
    """The token spans of one mention, by testing every token."""
    start, end = entity.start, entity.end
    if len(entity.fragments) > 1:
        acts[f"discontinuous_{policies.discontinuous}"] += 1
        start, end = entity.fragments[0] if policies.discontinuous == "first" else (start, end)
        if policies.discontinuous == "drop":
            return []
    touched = [n for n, token in enumerate(tokens) if token.start < end and token.end > start]
    if not touched:
        acts["empty_dropped"] += 1
        return []
    if tokens[touched[0]].start < start or tokens[touched[-1]].end > end:
        acts[f"partial_{policies.partial}"] += 1
        if policies.partial == "drop":
            return []
    groups = [[n for n in touched if sentence_of[n] == number] for number in sorted({sentence_of[n] for n in touched})]
    if len(groups) > 1:
        acts[f"crossing_{policies.crossing}"] += 1
        groups = {"split": groups, "first": groups[:1], "drop": []}[policies.crossing]
    return [(group[0], group[-1] + 1, entity.label) for group in groups]


def flat(spans: Spans, overlap: str, acts: Counter[str]) -> Spans:
    """Spans without overlaps, token by token."""
    ranked = {"first": spans, "last": spans[::-1], "longest": sorted(spans, key=lambda span: span[0] - span[1])}[overlap]
    kept: Spans = []
    for span in ranked:
        if all(span[1] <= other[0] or other[1] <= span[0] for other in kept):
            kept.append(span)
        else:
            acts["duplicate_dropped" if span in kept else f"overlap_{overlap}"] += 1
    return kept


@st.composite
def annotated(draw: st.DrawFn) -> tuple[list[list[Token]], list[Entity]]:
    """Sentences of tokens with and without space between them, and mentions of any shape."""
    sentences, at = [], 0
    for _ in range(draw(st.integers(1, 3))):
        sentence = []
        for _ in range(draw(st.integers(0, 4))):
            at += draw(st.integers(0, 2))
            length = draw(st.integers(1, 3))
            sentence.append(Token("x" * length, at, at + length))
            at += length
        sentences.append(sentence)
    fragment = st.tuples(st.integers(0, at), st.integers(1, 6)).map(lambda place: (place[0], place[0] + place[1]))
    shapes = st.lists(fragment, min_size=1, max_size=2).map(tuple)
    return sentences, draw(st.lists(st.builds(Entity, st.sampled_from(["A", "B-C"]), shapes), max_size=6))


CHOICES = st.builds(
    Policies,
    st.sampled_from(["longest", "first", "last"]),
    st.sampled_from(["first", "envelope", "drop"]),
    st.sampled_from(["split", "first", "drop"]),
    st.sampled_from(["expand", "drop"]),
)


@settings(max_examples=200, deadline=None)
@given(annotated(), CHOICES)
def test_tags_and_counts_are_those_of_a_test_of_every_token(
    case: tuple[list[list[Token]], list[Entity]], policies: Policies
) -> None:
    sentences, entities = case
    tokens = [token for sentence in sentences for token in sentence]
    sentence_of = [n for n, sentence in enumerate(sentences) for _ in sentence]
    acts: Counter[str] = Counter()
    spans = [span for entity in entities for span in covered(entity, tokens, sentence_of, policies, acts)]
    expected = ["O"] * len(tokens)
    for start, end, label in flat(spans, policies.overlap, acts):
        for n in range(start, end):
            expected[n] = f"{'I' if n > start else 'B'}-{label}"
    rows, counted = tag_sentences(sentences, entities, policies)
    assert [list(row) for row in rows] == [[expected.pop(0) for _ in sentence] for sentence in sentences]
    assert counted == acts


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("O", ("O", "")),
        ("B-Sign", ("B", "Sign")),
        ("I-Rare-Disease", ("I", "Rare-Disease")),
        ("B--", ("B", "-")),
        ("X-Sign", None),
        ("B-", None),
        ("B", None),
        ("BI-Sign", None),
        ("-Sign", None),
        ("", None),
        ("o", None),
        ("BSign", None),
    ],
)
def test_parts_of_tags(tag: str, parts: tuple[str, str] | None) -> None:
    assert split_tag(tag) == parts
    if parts is None:
        with pytest.raises(ValueError, match=f"^'{tag}' is not a BIO tag$"):
            check_tag(tag)
    else:
        check_tag(tag)


def test_tags_of_column_files_have_no_other_white_space_than_single_blanks_inside() -> None:
    check_tag("B-Rare Disease")
    for tag in ("B-Rare  Disease", "I- Sign", "B-Sign ", "B-a\tb", "B-a\u00a0b"):
        with pytest.raises(ValueError, match="^a label has white space other than single blanks inside$"):
            check_tag(tag)
    with pytest.raises(ValueError, match=f"^'{'x' * 40}' is"):
        check_tag("x" * 41)


def test_classes_and_renamed_tags() -> None:
    assert bio_classes(["Sign", "A-B"]) == ("O", "B-Sign", "I-Sign", "B-A-B", "I-A-B")
    assert bio_classes([]) == ("O",)
    assert renamed(("B-Sign", "O", "I-A", "I-Sign"), {"Sign": "finding"}) == ["B-finding", "O", "I-A", "I-finding"]
    assert renamed(("B-Sign", "O"), {}) == ["B-Sign", "O"]


@pytest.mark.parametrize(
    ("tags_of_sentence", "spans"),
    [
        ("I-A I-A O", [(0, 2, "A")]),
        ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
        ("B-A O I-A", [(0, 1, "A"), (2, 3, "A")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("B-A ? I-A", [(0, 1, "A"), (2, 3, "A")]),
        ("O", []),
    ],
)
def test_spans_are_read_as_conlleval_reads_them(tags_of_sentence: str, spans: Spans) -> None:
    assert tag_spans(tags_of_sentence.split()) == spans
