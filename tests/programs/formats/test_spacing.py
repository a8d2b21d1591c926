"""Tests of tokens within words: prompts and answers show the text's own spacing, and answers are read at the tokens' ends."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Label, Sentence
from clinspan.corpora.bio import Policies, span_tags
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.sources import Brat, RAREMINI
from clinspan.corpora.words import Words
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.tagging.strategy import as_demonstration
from clinspan.programs.tagging.tagger import plain_demos, Tagger

LABELS = [Label("Sign"), Label("Drug")]
SHOWING_TEXT: list[Format] = [Entities(labels=LABELS), Entities(labels=LABELS, per_type=True), Inline(labels=LABELS)]
FORMATS = [BioLines(labels=LABELS), *SHOWING_TEXT]


def cut(text: str, tokenizer: str = "clinical") -> Sentence:
    document, _ = build_document("d", text, (), cutting=Cutting(tokenizer, "lines"), policies=Policies())
    return document.sentences[0]


def test_a_sentence_knows_its_own_spacing() -> None:
    sentence = cut("ASA,Plavix  10mg (p.o.)")
    assert sentence.text == "ASA,Plavix 10mg (p.o.)"
    assert Words.of(sentence).text() == sentence.text
    assert cut("ASA,Plavix (p.o.)", "punctuation").text == "ASA,Plavix ( p.o . )"


@pytest.mark.parametrize("form", SHOWING_TEXT)
def test_prompts_and_answers_have_the_spacing_of_the_text(form: Format) -> None:
    words = Words.of(cut("HTN/HLD, ASA10mg today"))
    tags = ["B-Sign", "O", "B-Sign", "O", "B-Drug", "I-Drug", "I-Drug", "O"]
    question = form.questions(words, ())[0]
    assert "HTN/HLD, ASA10mg today" in " ".join(text for _, text in question.turns)
    answers = {key: form.answer(words, tags, key) for key in {q.key for q in form.questions(words, ())}}
    assert "ASA10mg" in "".join(answers.values())
    assert form.read(answers, words).tags == tags


def test_lines_still_show_token_by_token() -> None:
    form = BioLines(labels=LABELS)
    words = Words.of(cut("HTN/HLD"))
    assert form.answer(words, ["B-Sign", "O", "O"]) == "HTN : B-Sign\n/ : O\nHLD : O"
    assert form.sentence(words) == "HTN / HLD"


def test_a_mention_is_found_in_whole_words_first() -> None:
    form = Entities(labels=LABELS)
    words = Words.of(cut("CD4 count, CD high, x4y"))
    assert form.read({"": '{"Sign": ["CD", "4"], "Drug": []}'}, words).tags[:5] == ["O", "B-Sign", "O", "O", "B-Sign"]
    assert form.read({"": '{"Sign": ["x"], "Drug": []}'}, words).tags[-3:] == ["B-Sign", "O", "O"]


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None)
@given(data=st.data())
def test_right_answers_are_read_back(form: Format, data: st.DataObject) -> None:
    text = data.draw(st.text("aB1,/ (", min_size=1, max_size=14).filter(str.strip))
    words = Words.of(cut(text))
    starts = data.draw(st.sets(st.integers(0, len(words) - 1)))
    tags = span_tags(len(words), [(n, n + 1, data.draw(st.sampled_from(["Sign", "Drug"]))) for n in starts])
    answers = {question.key: form.answer(words, tags, question.key) for question in form.questions(words, ())}
    read = form.read(answers, words).tags
    if isinstance(form, Entities):  # a mention marks all places, and of two labels the first has it
        assert {words[n] for n, tag in enumerate(read) if tag != "O"} == {words[n] for n, tag in enumerate(tags) if tag != "O"}
    else:
        assert read == tags


@pytest.mark.parametrize("kind", [BioLines, Inline])
def test_gold_of_a_corpus_cut_by_the_clinical_rules_is_read_back(kind: type[Format]) -> None:
    corpus = Brat(path=str(RAREMINI)).load()
    form = kind(labels=corpus.labels)
    for sentence in corpus.sentences("dev"):
        words = Words.of(sentence)
        assert form.read({"": form.answer(words, sentence.tags)}, words).tags == list(sentence.tags)


def test_gold_lists_of_a_corpus_are_read_back_but_for_few_sentences() -> None:
    corpus = Brat(path=str(RAREMINI)).load()
    form = Entities(labels=corpus.labels)
    sentences = list(corpus.sentences("dev"))
    wrong = sum(
        form.read({"": form.answer(words, sentence.tags)}, words).tags != list(sentence.tags)
        for sentence in sentences
        for words in [Words.of(sentence)]
    )
    assert wrong <= len(sentences) * 0.01


def test_demonstrations_keep_their_spacing_through_a_saved_program() -> None:
    demo = as_demonstration(cut("HTN/HLD"))
    assert demo["joined"] == [1, 2]
    tagger = Tagger("Tag.", demonstrations=[demo])
    state = json.loads(json.dumps(tagger.dump_state()))
    assert state["tag"]["demos"] == [demo]
    again = Tagger("Tag.")
    again.load_state(state)
    _, turns = SHOWING_TEXT[0].messages("", again.tag.demos, SHOWING_TEXT[0].questions(["x"], ())[0])
    assert turns[0] == ("user", "HTN/HLD")
    bootstrapped: dict[str, Any] = {"tokens": Words.of(cut("HTN/HLD")), "tags": demo["tags"], "answers": {}}
    assert plain_demos([bootstrapped]) == [{key: demo[key] for key in ("tokens", "tags", "joined")}]
    assert "joined" not in as_demonstration(cut("HTN / HLD"))


def test_grammars_have_the_spacing_of_the_text(engine: Any) -> None:
    from llguidance import LLMatcher

    words = Words.of(cut("HTN/HLD, ASA10mg today"))
    tags = ["B-Sign", "O", "B-Sign", "O", "B-Drug", "I-Drug", "I-Drug", "O"]
    for form in FORMATS:
        for key in {question.key for question in form.questions(words, ())}:
            matcher = LLMatcher(engine._vocabulary, LLMatcher.grammar_from_lark(form.grammar(words, key).lark()))
            assert not matcher.is_error()
            ids = list(engine.decoder.plain(form.answer(words, tags, key)))
            assert matcher.validate_tokens(ids) == len(ids), (type(form).__name__, key)


def test_copies_of_words_keep_their_spacing() -> None:
    words = Words(["a", "b"], joined=[1])
    assert copy.deepcopy(words).text() == copy.copy(words).text() == "ab"
