"""What users of such tools complain of most, for every format: copied demonstrations, other scripts, repeated mentions, cut
answers, silent truncation, equal spans of two types."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import dspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Sentence
from clinspan.corpora.bio import bio_classes, span_tags, tag_spans
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.tokens import whitespace_tokens
from clinspan.corpora.viterbi import Lattice
from clinspan.lms import lm15, PromptTooLongError
from clinspan.lms.classifiers.classifier import Reading
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.formats import Entities, Format
from clinspan.programs.formats.answered import Answered, reading
from clinspan.programs.formats.types import shown_tokens
from clinspan.programs.inference.predictor import blank_record, PromptTagger
from clinspan.programs.inference.token_classifier import tagged
from clinspan.programs.tagging.instructions import bare
from clinspan.programs.tagging.tagger import Tagger
from clinspan.reports.wording import count_words
from support.formats import FORMATS, LABELS
from support.scripted_engine import scripted, ScriptedEngine

every_format = pytest.mark.parametrize("form", FORMATS)
SHOWN = {"tokens": "He has severe measles .".split(), "tags": ["O", "O", "O", "B-Disease", "O"]}
TOKENS, TAGS = "No fever today .".split(), ["O", "B-Sign", "O", "O"]


def answers(form: Format, tokens: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    return {q.key: form.answer(tokens, tags, q.key) for q in form.questions(tokens, ())}


def joined(first: dict[str, str], second: dict[str, str], form: str) -> dict[str, str]:
    """Both answers in one, as a model writes them that goes on from its demonstration."""
    if form.startswith("entities"):
        return {key: _merged(first[key], second[key]) for key in first}
    return {key: f"{first[key]}{' ' if form == 'inline' else chr(10)}{second[key]}" for key in first}


def _merged(first: str, second: str) -> str:
    one, two = json.loads(first), json.loads(second)
    return json.dumps(one + two if isinstance(one, list) else {key: one[key] + two[key] for key in one})


# 1. Examples come out as results


@every_format
def test_a_mention_of_a_demonstration_is_counted_under_its_own_name(form: str) -> None:
    adapter = FORMATS[form]
    said = joined(answers(adapter, SHOWN["tokens"], SHOWN["tags"]), answers(adapter, TOKENS, TAGS), form)
    with dspy.context(lm=scripted(lambda asked: said[_key(adapter, asked)]), adapter=adapter, disable_history=True):
        found = Tagger(bare(LABELS), demonstrations=[SHOWN])(tokens=TOKENS, id="a")
        unknown = Tagger(bare(LABELS))(tokens=TOKENS, id="a")
    assert found.tags == unknown.tags == TAGS
    assert found.repairs["copied_from_demonstration"] == 1
    assert "mention_not_found" not in found.repairs
    assert "copied_from_demonstration" not in unknown.repairs
    assert "mention_not_found" in unknown.repairs or "surplus_line" in unknown.repairs


def test_the_count_has_words() -> None:
    words = "mention ignored because the sentence does not have it: copied from a demonstration"
    assert count_words("copied_from_demonstration", 1) == f"1 {words}"


def _key(adapter: Format, asked: str) -> str:
    return next((q.key for q in adapter.questions(TOKENS, ()) if q.turns[-1][1] == asked), "")


# 2. Positions in other scripts

SCRIPTS = ("発熱", "열이", "лихорадка", "حمى", "חום", "ज्वर", "ไข้", "πυρετός", "fie\u0300vre", "𝒻ever", "🤒x", "ﬁebre", "İ")
GAPS = (" ", "\u3000", "\n", "\r\n", "\t", "\u2009", " 🫀 ", " \u200f ")


class Answering:
    """Answers with the right tags in a format, or as a token classifier, and reads its own answer."""

    def __init__(self, read: Callable[[Sentence, Sequence[str]], dict[str, Any]], tags: dict[str, str]) -> None:
        self.read, self.tags = read, tags

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        for sentence in sentences:
            tags = [self.tags.get(word, "O") for word in sentence.words]
            fields = self.read(sentence, span_tags(len(tags), tag_spans(tags)))
            yield sentence, {**blank_record(sentence), "confidence": None, "repairs": {}, "usage": {}, "error": None, **fields}


def by_format(form: Format) -> Callable[[Sentence, Sequence[str]], dict[str, Any]]:
    def read(sentence: Sentence, tags: Sequence[str]) -> dict[str, Any]:
        tokens = shown_tokens(sentence.words)
        return {"pred": form.read(answers(form, tokens, tags), tokens).tags}

    return read


def by_classes(sentence: Sentence, tags: Sequence[str]) -> dict[str, Any]:
    classes = bio_classes([label.name for label in LABELS])
    scores = np.full((len(tags), len(classes)), -9.0, dtype=np.float32)
    scores[range(len(tags)), [classes.index(tag) for tag in tags]] = -0.01
    return tagged(sentence, Reading(scores, 1), Lattice.of(classes))


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([*map(by_format, FORMATS.values()), by_classes]),
    st.lists(st.tuples(st.sampled_from(SCRIPTS), st.sampled_from(GAPS), st.sampled_from("OOSD")), min_size=1, max_size=12),
)
def test_positions_are_right_in_every_script(
    read: Callable[[Sentence, Sequence[str]], dict[str, Any]], parts: list[tuple[str, str, str]]
) -> None:
    text, tags, places = "", dict[str, str](), []
    for number, (word, gap, kind) in enumerate(parts):
        token = f"{word}{number + 10}"
        if kind != "O":
            tags[token] = {"S": "B-Sign", "D": "B-Disease"}[kind]
            places.append((len(text), len(text) + len(token), tags[token][2:]))
        text += token + gap
    finder = Annotator(Answering(read, tags), Facts(("Disease", "Sign"), "m", "p", "b"), Segmenter(tokenizer="whitespace"))
    found = finder(text)
    assert [(mention.start, mention.end, mention.label) for mention in found] == places
    assert all(text[mention.start : mention.end] == mention.text for mention in found)


# 3. Repeated mentions collapse to the first


@every_format
def test_each_occurrence_of_a_mention_is_found(form: str) -> None:
    tokens = "Cough , then cough and cough again".split()
    tags = ["O", "O", "O", "B-Sign", "O", "B-Sign", "O"]
    decoded = FORMATS[form].read(answers(FORMATS[form], tokens, tags), tokens)
    assert decoded.tags == tags


@pytest.mark.parametrize(
    ("form", "once"),
    [
        ("entities", {"": '{"Disease": [], "Sign": ["cough"]}'}),
        ("entities_by_type", {"Disease": "[]", "Sign": '["cough"]'}),
        ("phrases", {"": "cough : Sign"}),
    ],
)
def test_a_mention_that_is_listed_once_is_every_occurrence(form: str, once: dict[str, str]) -> None:
    decoded = FORMATS[form].read(once, "Cough , then cough and cough again".split())
    assert decoded.tags == ["O", "O", "O", "B-Sign", "O", "B-Sign", "O"]
    assert not +decoded.repairs


def test_the_classifier_tags_each_occurrence() -> None:
    finder = Annotator(Answering(by_classes, {"cough": "B-Sign"}), Facts(("Disease", "Sign"), "m", "p", "b"))
    assert [mention.start for mention in finder("cough and cough")] == [0, 10]


# 4. One bad answer kills the whole document


class Cutting(ScriptedEngine):
    """Cuts each answer after some characters, as a limit of answer tokens does."""

    most = 60

    def complete(self, request: lm15.Request) -> lm15.Response:
        whole = super().complete(request)
        text = "".join(part.text for part in whole.message.parts if isinstance(part, lm15.TextPart))
        reason = "stop" if len(text) <= self.most else "length"
        message = lm15.Message.assistant(text[: self.most])
        return lm15.Response(id=None, model=request.model, message=message, finish_reason=reason, usage=lm15.Usage())


def cut(form: str, tokens: Sequence[str], tags: Sequence[str]) -> Any:
    adapter = FORMATS[form]
    forms = [one for one in (adapter, adapter.split()) if one is not None]
    said = {q.turns[-1][1]: one.answer(tokens, tags, q.key) for one in forms for q in one.questions(tokens, ())}
    lm = dspy.LM("local/cut", engine=Cutting(lambda asked: said[asked]), cache=False, num_retries=0)
    tagger = PromptTagger(tagger=Tagger(bare(LABELS)), lm=lm, adapter=adapter, concurrency=1)
    finder = Annotator(tagger, Facts(("Disease", "Sign"), "m", "p", "b"), Segmenter(tokenizer="whitespace"))
    (outcome,) = finder.annotate([Note("a", " ".join(tokens))])
    return outcome


@every_format
def test_of_a_cut_answer_the_part_before_the_cut_is_kept_and_the_cut_is_counted(form: str) -> None:
    tokens = "flu measles asthma gout rickets fever rash cough".split()
    tags = [*["B-Disease"] * 5, *["B-Sign"] * 3]
    outcome = cut(form, tokens, tags)
    assert outcome.annotated is not None
    found = [mention.text for mention in outcome.annotated.mentions]
    assert found[0] == "flu"
    if form.startswith("entities"):  # an answer for each type is short enough
        assert found == tokens
        assert "cut_by_budget" not in outcome.repairs
        assert outcome.repairs.get("asked_by_type", 0) == int(form == "entities")
    else:
        assert found == tokens[: len(found)] != tokens
        assert outcome.repairs["cut_by_budget"] == 1


# 6. Silent truncation


class Narrow(ScriptedEngine):
    """Refuses requests that are longer than its context, as a local model does."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        text = "".join(part.text for part in request.messages[-1].parts if isinstance(part, lm15.TextPart))
        if len(text.split()) > 9:
            raise PromptTooLongError(prompt=len(text.split()), answer=0, context=9)
        return super().complete(request)


def fever_lines(asked: str) -> str:
    return "\n".join(f"{token} : {'B-Sign' if token == 'fever' else 'O'}" for token in asked.split())


def test_a_prompt_that_is_too_long_is_divided_and_the_cuts_are_counted() -> None:
    lm = dspy.LM("local/narrow", engine=Narrow(fever_lines), cache=False, num_retries=0)
    tagger = PromptTagger(tagger=Tagger(bare(LABELS)), lm=lm, adapter=FORMATS["bio_lines"], concurrency=1)
    text = " ".join(["the fever of it and no"] * 20)
    (outcome,) = Annotator(tagger, Facts(("Disease", "Sign"), "m", "p", "b")).annotate([Note("a", text)])
    assert outcome.annotated is not None
    assert [mention.text for mention in outcome.annotated.mentions] == ["fever"] * 20
    assert outcome.counts["cuts"] == outcome.counts["sentences"] - 1 > 10


def test_a_sentence_that_a_classifier_reads_in_windows_is_counted() -> None:
    sentence = Sentence("d:0", "d", tuple(whitespace_tokens("no fever")), ("O", "O"))
    scores = np.zeros((2, 5), dtype=np.float32)
    lattice = Lattice.of(bio_classes(["Disease", "Sign"]))
    assert tagged(sentence, Reading(scores, 9, windows=3), lattice)["repairs"] == {"read_in_windows": 1}
    assert tagged(sentence, Reading(scores, 9), lattice)["repairs"] == {}
    assert count_words("read_in_windows", 2).startswith("2 sentences longer than the model reads at once")


# 7. Two types claim the same words


@pytest.mark.parametrize(("first", "second", "tag"), [(0.4, 0.9, "B-Sign"), (0.9, 0.4, "B-Disease"), (0.5, 0.5, "B-Disease")])
@pytest.mark.parametrize("per_type", [False, True])
def test_the_more_probable_type_of_equal_spans_is_kept(per_type: bool, first: float, second: float, tag: str) -> None:
    form = Entities(labels=LABELS, per_type=per_type)
    said = {"Disease": '["fever"]', "Sign": '["fever"]'} if per_type else {"": '{"Disease": ["fever"], "Sign": ["fever"]}'}
    pieces = {}
    for key, text in said.items():
        at = [text.index('"fever"'), text.rindex('"fever"')]
        chances = {"Disease": [first], "Sign": [second]}.get(key, [first, second])
        pieces[key] = [(start, start + 7, math.log(chance)) for start, chance in zip(at, chances)]
    with reading(Answered(TOKENS, said, pieces)):
        decoded = form.read(said, TOKENS)
    assert decoded.tags == ["O", tag, "O", "O"]
    equal = first == second
    assert +decoded.repairs == {"overlapping_mention" if equal else "type_by_probability": 1}
    unknown = form.read(said, TOKENS)
    assert (unknown.tags[1], +unknown.repairs) == ("B-Disease", {"overlapping_mention": 1})
