"""Reading answers: hand tables for each format, the paper's reading line by line, and that no answer raises."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.metrics import add_counts, count_sentence, Scores
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.align import align

LABELS = [Label(name) for name in ("Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom")]
TOKENS = "Fabry disease causes burning pain .".split()
GOLD = "B-RareDisease I-RareDisease O B-Symptom I-Symptom O".split()
FORMATS = [
    BioLines(labels=LABELS),
    BioLines(labels=LABELS, alignment="positional"),
    Inline(labels=LABELS),
    Inline(labels=LABELS, alignment="positional"),
    Entities(labels=LABELS),
    Entities(labels=LABELS, per_type=True),
]


def answers(form: Format, tokens: list[str], tags: list[str]) -> dict[str, str]:
    return {q.key: form.answer(tokens, tags, q.key) for q in form.questions(tokens, ())}


@pytest.mark.parametrize("form", FORMATS)
def test_the_right_answer_is_read_back(form: Format) -> None:
    decoded = form.read(answers(form, TOKENS, GOLD), TOKENS)
    assert decoded.tags == GOLD
    assert not +decoded.repairs


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMATS), st.text(max_size=200), st.text(alphabet='<>/{}[]":,B-I-OSign \n', max_size=120))
def test_no_answer_raises_and_tags_are_legal(form: Format, text: str, markup: str) -> None:
    for said in (text, markup, text + markup):
        decoded = form.read({q.key: said for q in form.questions(TOKENS, ())}, TOKENS)
        assert len(decoded.tags) == len(TOKENS)
        assert span_tags(len(TOKENS), tag_spans(decoded.tags)) == decoded.tags


@pytest.mark.parametrize(
    ("answer", "expected", "repairs"),
    [
        ("Fabry : B-RAREDISEASE\ndisease : I-RAREDISEASE", "B-RareDisease I-RareDisease O O O O", {"missing_line": 4}),
        ("[Fabry : B-SIGN]\n\ndisease : I-SIGN", "B-Sign I-Sign O O O O", {"missing_line": 4}),
        ("### Output:\nFabry : B-SIGN", "O B-Sign O O O O", {"missing_line": 4, "malformed_line": 1}),
        ("a: b : B-SIGN\nx : I-SIGN", "O B-Sign O O O O", {"missing_line": 4, "malformed_line": 1, "orphan_i": 1}),
        (
            "x : SIGN\nx : SIGN\nx : DISEASE\nx : DISEASE",
            "O O O O O O",
            {"missing_line": 2, "unknown_label": 4},
        ),
        ("x : B-FOO\nx : b-sign", "O O O O O O", {"missing_line": 4, "unknown_label": 2}),
        ("\n".join(["x : O"] * 9), "O O O O O O", {"surplus_line": 3}),
    ],
)
def test_positional_reads_as_the_papers_scorer_did(answer: str, expected: str, repairs: dict[str, int]) -> None:
    decoded = BioLines(labels=LABELS, alignment="positional").read({"": answer}, TOKENS)
    assert decoded.tags == expected.split()
    assert dict(+decoded.repairs) == repairs


SPELT = [
    "B-SIGN",
    "I-SIGN",
    "B-DISEASE",
    "I-DISEASE",
    "B-SYMPTOM",
    "I-RAREDISEASE",
    "X-SIGN",
    "SIGN",
    "OTHER",
    "O",
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(SPELT), st.sampled_from([*SPELT[:6], "O"])), min_size=1, max_size=9),
        min_size=1,
        max_size=6,
    )
)
def test_positional_scores_are_those_of_seqeval_on_the_raw_tags(rows: list[list[tuple[str, str]]]) -> None:
    form = BioLines(labels=LABELS, alignment="positional")
    names = {label.name.upper(): label.name for label in LABELS}
    counts = []
    for row in rows:
        said, gold = zip(*row, strict=True)
        tokens = [f"t{i}" for i in range(len(row))]
        tags = form.read({"": form.answer(tokens, said)}, tokens).tags
        truth = [tag if tag == "O" else tag[:2] + names[tag[2:]] for tag in gold]
        counts.append(count_sentence(truth, tags, list(names.values()), "conlleval"))
    scores = Scores(add_counts(counts, list(names.values())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [[[pair[side] for pair in row] for row in rows] for side in (1, 0)]
        try:
            report = classification_report(*pairs, output_dict=True, zero_division=0)
        except ValueError:  # seqeval cannot report on tags without a single entity
            return
    for spelling, name in names.items():
        expected = report.get(spelling, {"precision": 0, "recall": 0, "f1-score": 0, "support": 0})
        ours = scores.per_type[name]
        assert (ours["precision"], ours["recall"]) == pytest.approx((expected["precision"], expected["recall"]))
        assert ours["support"] == expected["support"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Fabry : Rare Disease\ndisease : RAREDISEASE\ncauses : O\nburning : Symptom\npain : symptom\n. : O", GOLD),
        ("Sure!\nFabry : B-RareDisease\ndisease : I-RareDisease\ncauses : O\nburning : B-Symptom\npain : I-Symptom\n. : O", GOLD),
        ("Fabry : B-RareDisease\ncauses : O\nburning : B-Symptom\npain : I-Symptom\n. : O", ["B-RareDisease", "O", *GOLD[2:]]),
        ("fabry : b-rare disease\nDISEASE : I-RAREDISEASE\ncauses : O\nburning: B-Symptom\npain\tI-Symptom\n. : O", GOLD),
        ("\n".join(GOLD), GOLD),
        ("Fabry : B-RareDisease\npain : I-Symptom", ["B-RareDisease", "O", "O", "O", "B-Symptom", "O"]),
    ],
)
def test_lines_are_aligned_with_their_tokens(answer: str, expected: list[str]) -> None:
    assert BioLines(labels=LABELS).read({"": answer}, TOKENS).tags == expected


def test_inline_marks_are_found_in_a_changed_sentence() -> None:
    said = "<rare disease>Fabry Disease</rare disease> causes severe <Symptom>burning pain."
    decoded = Inline(labels=LABELS).read({"": said}, TOKENS)
    assert decoded.tags[:5] == GOLD[:5]
    assert decoded.repairs["unclosed_mark"] == 1
    assert decoded.repairs["changed_text"] == 1


def test_entities_mark_every_occurrence_the_longer_first() -> None:
    tokens = "pain , chest pain and Pain".split()
    said = '{"Symptom": ["pain", "chest pain", "pain"], "Sign": ["pain"], "Drug": ["x"], "Disease": "PAIN"}'
    decoded = Entities(labels=LABELS).read({"": said}, tokens)
    assert decoded.tags == ["B-Disease", "O", "B-Symptom", "I-Symptom", "O", "B-Disease"]
    assert decoded.repairs["repeated_mention"] == 1
    assert decoded.repairs["unknown_label"] == 1
    assert decoded.repairs["changed_case"] == 1


def test_of_answers_about_single_types_the_longer_mention_wins_then_the_earlier_label() -> None:
    tokens = "rash , chest pain and fever".split()
    said = {"Symptom": '["pain", "fever"]', "Disease": '["pain"]', "Sign": '["fever", "chest pain"]', "RareDisease": "[]"}
    decoded = Entities(labels=LABELS, per_type=True).read(said, tokens)
    assert decoded.tags == ["O", "O", "B-Sign", "I-Sign", "O", "B-Sign"]
    assert decoded.repairs["overlapping_mention"] == 3
    assert decoded == Entities(labels=LABELS, per_type=True).read(dict(reversed(said.items())), tokens)


@given(
    st.lists(st.sampled_from(["a", "b", "(", "pain"]), max_size=12), st.lists(st.sampled_from(["a", "b", "x", "pain"]), max_size=12)
)
def test_alignment_keeps_the_order_and_uses_each_echo_once(echoed: list[str], tokens: list[str]) -> None:
    places = [place for place in align(echoed, tokens) if place is not None]
    assert places == sorted(set(places))
    assert align(tokens, tokens) == list(range(len(tokens)))
