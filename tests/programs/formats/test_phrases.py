"""Tests of `format=phrases`: candidate phrases, answers with and without probabilities, and the decisions."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import InputError, Label
from clinspan.corpora.words import Words
from clinspan.decisions.candidates import candidates
from clinspan.decisions.rule import best_set, Decisions, NONE, Phrase, read_decisions
from clinspan.lms import lm15
from clinspan.programs.building.library import load_corpus
from clinspan.programs.formats import Phrases
from conftest import Command, folder_of, load

LABELS = (Label("Disease", "an illness"), Label("RareDisease", "a rare illness"), Label("Sign", "what is observed"))
SENTENCE = Words(["He", "has", "Wilson", "disease", "with", "fever", ",", "and", "a", "fever", "chart", "."], joined=[6, 11])


def phrases(**options: Any) -> Phrases:
    return Phrases(labels=LABELS, **options)


def texts(words: Words) -> list[str]:
    return [words.text(*span) for span in candidates(words)]


def response(rows: list[list[float]], stems: list[list[float]]) -> lm15.Response:
    return lm15.Response(
        id=None,
        model="m",
        message=lm15.Message.assistant(""),
        finish_reason="stop",
        usage=lm15.Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        provider_data={"passes": 1, "choices": rows, "stems": stems},
    )


def certain(form: Phrases, names: dict[str, str]) -> str:
    """The recorded answer of a model that is certain: of these types for these phrases, and of none for the others."""
    types = [*(label.name for label in form.labels), NONE]
    asked = form.choices(SENTENCE)
    assert asked is not None
    rows = [[math.log(0.97) if name == names.get(stem[:-2], NONE) else math.log(0.01) for name in types] for stem in asked["stems"]]
    return form.answer_text(response(rows, [[-1.0, -0.5, -0.1]] * len(rows)), SENTENCE)


def test_candidates_begin_and_end_with_content_and_have_no_marks_inside() -> None:
    assert texts(SENTENCE) == [
        *("Wilson", "Wilson disease", "Wilson disease with fever", "disease", "disease with fever", "fever"),
        *("fever", "fever chart", "chart"),
    ]


def test_words_with_marks_inside_are_candidates_whole_and_in_parts() -> None:
    words = Words(["Crohn", "'", "s", "disease", "of", "HTN", "/", "HLD"], joined=[1, 2, 6, 7])
    found = texts(words)
    assert {"Crohn's disease", "HTN/HLD", "HTN", "HLD"} <= set(found)
    assert not any(text.startswith(("'", "/", "of")) or text.endswith(("'", "/", "of")) for text in found)


def test_candidates_reach_nearly_all_mentions_of_the_bundled_corpus() -> None:
    corpus = load_corpus()
    gold = found = number = sentences = 0
    for sentence in corpus.sentences("dev"):
        spans = set(candidates(Words.of(sentence)))
        mentions = {(m.fragments[0][0], m.fragments[-1][1]) for m in sentence.mentions or ()}
        ends = {(sentence.tokens[start].start, sentence.tokens[end - 1].end) for start, end in spans}
        gold, found = gold + len(mentions), found + len(mentions & ends)
        number, sentences = number + len(spans), sentences + 1
    assert found / gold > 0.97
    assert number / sentences < 25


def test_demonstrations_list_the_mentions_and_the_same_phrases_without_a_type_each_time() -> None:
    tags = ["O", "O", "B-RareDisease", "I-RareDisease", "O", "B-Sign", "O", "O", "O", "O", "O", "O"]
    lines = phrases().answer(SENTENCE, tags).splitlines()
    assert [line for line in lines if not line.endswith(NONE)] == ["Wilson disease : RareDisease", "fever : Sign"]
    assert sum(line.endswith(NONE) for line in lines) == 3, "two apart from mentions and one that overlaps one"
    assert phrases().answer(SENTENCE, tags).splitlines() == lines
    assert phrases(contrasts=0).answer(SENTENCE, tags).splitlines() == ["Wilson disease : RareDisease", "fever : Sign"]


def test_the_right_answer_is_read_back() -> None:
    tags = ["O", "O", "B-RareDisease", "I-RareDisease", "O", "O", "O", "O", "O", "O", "B-Sign", "O"]
    form = phrases()
    decoded = form.read({"": form.answer(SENTENCE, tags)}, SENTENCE)
    assert (decoded.tags, +decoded.repairs) == (tags, Counter())


def test_every_occurrence_of_a_phrase_has_its_type() -> None:
    decoded = phrases().read({"": "fever : Sign"}, SENTENCE)
    assert [n for n, tag in enumerate(decoded.tags) if tag == "B-Sign"] == [5, 9]


@pytest.mark.parametrize(
    ("answer", "repair"),
    [
        ("fever : Ghost", "unknown_label"),
        ("measles : Sign", "mention_not_found"),
        ("fever", "malformed_answer"),
        ("fever chart : Sign\nfever : Sign", "overlapping_mention"),
        ("fever : Sign\nfever : Disease", "repeated_mention"),
    ],
)
def test_what_an_answer_has_wrong_is_counted(answer: str, repair: str) -> None:
    assert phrases().read({"": answer}, SENTENCE).repairs[repair] > 0


@pytest.mark.parametrize("answer", ["", NONE, "None.", "fever : None", "- fever : none", "<think>fever : Sign</think>\nNone"])
def test_an_answer_without_mentions_gives_none(answer: str) -> None:
    decoded = phrases().read({"": answer}, SENTENCE)
    assert set(decoded.tags) == {"O"}
    assert not decoded.repairs["unknown_label"]


def test_probabilities_decide_and_give_the_confidence() -> None:
    form = phrases()
    answer = certain(form, {"Wilson disease": "RareDisease", "fever": "Sign"})
    assert answer.splitlines()[0].startswith("Wilson : Disease -4.605, RareDisease -4.605, Sign -4.605, None -0.030 | -1.000")
    decoded = form.read({"": answer}, SENTENCE)
    assert decoded.tags == ["O", "O", "B-RareDisease", "I-RareDisease", "O", "B-Sign", "O", "O", "O", "B-Sign", "O", "O"]
    assert decoded.confidence is not None
    assert decoded.confidence[2:4] == pytest.approx([0.97, 0.97], abs=1e-3)
    assert decoded.confidence[10] == pytest.approx(0.97, abs=1e-3), "of no mention"
    assert decoded.confidence[0] is None, "no phrase has this token"


def test_offsets_and_length_change_what_is_chosen() -> None:
    names = {"Wilson": "Disease", "Wilson disease": "RareDisease", "disease": "Disease"}
    tags = {}
    for name, decisions in {
        "short": {"offsets": {"Disease": 1.0}, "length": 0.0},
        "long": {"offsets": {"Disease": -4.0}, "length": 0.0},
        "never": {"threshold": -9.0},
    }.items():
        form = phrases(decisions=decisions)
        tags[name] = form.read({"": certain(form, names)}, SENTENCE).tags[2:4]
    assert tags == {
        "short": ["B-Disease", "B-Disease"],
        "long": ["B-RareDisease", "I-RareDisease"],
        "never": ["O", "O"],
    }


def test_types_under_other_names_are_asked_by_these_and_read_back() -> None:
    labels = (Label("Rare disease", "a rare illness"), Label("Sign", ""))
    form = Phrases(labels=labels, called={"RareDisease": "Rare disease"}, decisions={"offsets": {"RareDisease": 0.0}})
    asked = form.choices(SENTENCE)
    assert asked is not None
    assert asked["options"] == [" Rare disease\n", " Sign\n", " None\n"]
    text = certain(form, {"fever": "Rare disease"})
    (scored, *_) = [phrase for phrase in form.scored(text, SENTENCE) if SENTENCE.text(phrase.start, phrase.end) == "fever"]
    assert max(scored.types, key=lambda name: scored.types[name]) == "RareDisease"
    assert form.read({"": text}, SENTENCE).tags[5] == "B-Rare disease"


def test_a_sentence_without_candidates_is_not_compared() -> None:
    assert phrases().choices(Words([".", "the"])) is None
    assert phrases().read({"": NONE}, Words([".", "the"])).tags == ["O", "O"]


def test_a_label_called_none_is_refused() -> None:
    with pytest.raises(InputError, match="a label is called None"):
        Phrases(labels=(Label("none", ""),))


@pytest.mark.parametrize(
    ("saved", "problem"),
    [
        ({"bias": 1.0}, "bias, which is not a parameter"),
        ({"offsets": {"Ghost": 1.0}}, "Ghost, which is not a label"),
        ({"offsets": {"Sign": "much"}}, "offsets.Sign is not a number"),
        ({"length": True}, "length is not a number"),
        ({"threshold": float("nan")}, "threshold is not a number"),
        ({"weights": {"Sign": [1.0]}}, "weights.Sign is not a mapping"),
    ],
)
def test_decisions_that_cannot_be_used_are_refused(saved: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_decisions(saved, ["Sign"])


def test_decisions_are_saved_and_read_back() -> None:
    weights = {"Sign": {"bias": 1.0}, NONE: {"bias": 0.0}}
    decisions = Decisions(offsets={"Sign": 0.5}, length=0.25, weights=weights, fingerprint="ab")
    assert read_decisions(decisions.as_dict(), ["Sign"]) == decisions


def test_weights_give_probabilities_of_a_regression() -> None:
    phrase = Phrase(0, 1, 1, {"Sign": -1.0, NONE: -0.5}, {"phrase": -2.0, "ending": -0.5, "typed": -0.1})
    decisions = Decisions(weights={"Sign": {"type:Sign": 2.0, "words:1": 1.0}, NONE: {"bias": 0.5, "phrase": -0.5}})
    scores = {"Sign": 2.0 * -1.0 + 1.0, NONE: 0.5 + 1.0}
    norm = math.log(sum(math.exp(value) for value in scores.values()))
    assert decisions.logprobs(phrase) == pytest.approx({name: value - norm for name, value in scores.items()})


def test_confidence_scales_the_odds() -> None:
    assert Decisions().confidence(0.3) == 0.3
    assert Decisions(slope=1.0, intercept=math.log(2)).confidence(0.5) == pytest.approx(2 / 3)
    assert Decisions(slope=2.0).confidence(0.8) == pytest.approx(16 / 17)


Ranges = st.tuples(st.integers(0, 6), st.integers(1, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(Ranges, st.integers(1, 40)), max_size=8))
def test_the_best_set_is_the_best_of_all_sets_without_overlap(items: list[tuple[tuple[int, int], int]]) -> None:
    spans = {number: span for number, (span, _) in enumerate(items)}
    values = {number: float(value) for number, (_, value) in enumerate(items)}
    chosen = best_set(spans, values)
    assert all(spans[one][1] <= spans[other][0] for one, other in itertools.pairwise(chosen))

    def apart(numbers: tuple[int, ...]) -> bool:
        ordered = sorted(spans[number] for number in numbers)
        return all(one[1] <= other[0] for one, other in itertools.pairwise(ordered))

    sets = (some for size in range(len(items) + 1) for some in itertools.combinations(spans, size))
    assert sum(values[number] for number in chosen) == max(sum(values[n] for n in some) for some in sets if apart(some))


@pytest.mark.long
@pytest.mark.weights
def test_a_run_has_sentences_without_candidates(command: Command, tmp_path: Path, smollm2: object) -> None:
    """The model then writes `None`, whose probability is that of no tag."""
    (tmp_path / "notes").mkdir()
    text = "Fever\tB-Sign\nand\tO\na\tO\nrash\tB-Sign\n.\tO\n\nI\tO\n.\tO\n"
    (tmp_path / "notes" / "test.conll").write_text(text, encoding="utf-8")
    words = ["corpus=conll", "corpus.path=notes", "strategy=zero_shot", "format=phrases"]
    folder = tmp_path / folder_of(command("run", *words))
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["pred"] for row in rows][1] == ["O", "O"] and rows[1]["confidence"] is None and rows[1]["error"] is None
    assert load(folder / "run.json")["status"] == "finished"
