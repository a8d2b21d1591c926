"""Tests of long, empty and hostile sentences: each gets one tag per token in every format, also with real weights."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.lms import LocalModel
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.types import shown_tokens
from clinspan.programs.tagging.instructions import bare
from clinspan.programs.tagging.tagger import Tagger

LABELS = [Label("Disease"), Label("Sign")]
SENTENCES = {
    "empty": [],
    "punctuation": list(".,;:!?()[]{}<>\"'`~@#$%^&*-_=+|\\/"),
    "emoji": ["👩‍⚕️", "says", "🤒", "🏥"],
    "right-to-left": ["حمى", "וחום", "fever", "\u202egnirts\u202c"],
    "combining": ["e\u0301te\u0301", "a\u0300\u0301\u0302", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞"],
    "zero width": ["fe\u200bver", "\u200b", "\u200d", "\ufeff", "\u2060"],
    "white space inside": ["New York", "a\tb", "c\nd", "\u00a0", " "],
    "markup": ["[x](Disease)", "<Sign>", "fever", "</Sign>", "<Disease>cold</Disease>", "{", '"Sign"', ":", "[", "]", "}"],
    "our lines": ["a", ":", "O", "fever : B-Sign", "B-Sign", ": O"],
    "prompt": ["###", "###", "Output:", "### Input:", "</s>", "<|im_end|>", "<|im_start|>", "system", "<|endoftext|>", "<s>"],
    "escapes": ["\\n", "\\u0041", "\\", '\\"', "\x01", "\x7f", "%ignore", "/regex/", "start:", "\ud7ff"],
}
FORMATS = [BioLines(labels=LABELS), Inline(labels=LABELS), Entities(labels=LABELS), Entities(labels=LABELS, per_type=True)]
NAMES = ["bio_lines", "inline", "entities", "entities_by_type"]


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
@pytest.mark.parametrize("name", SENTENCES)
def test_right_answers_to_hostile_sentences_are_read_back(form: Format, name: str) -> None:
    tokens = shown_tokens(SENTENCES[name])
    tags = ["B-Sign" if i % 3 == 0 else "I-Sign" if i % 3 == 1 else "O" for i in range(len(tokens))]
    answers = {q.key: form.answer(tokens, tags, q.key) for q in form.questions(tokens, ())}
    decoded = form.read(answers, tokens)
    if isinstance(form, Entities):  # a list of mentions does not say how often each occurs
        assert {" ".join(tokens[a:b]) for a, b, _ in tag_spans(tags)} >= {
            " ".join(tokens[a:b]) for a, b, _ in tag_spans(decoded.tags)
        }
        assert len(decoded.tags) == len(tokens)
    else:
        assert decoded.tags == tags
        assert not +decoded.repairs


@pytest.fixture(scope="module")
def lm(engine: Any) -> dspy.LM:
    return dspy.LM("local/test", engine=engine, cache=False)


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("form", FORMATS[:3], ids=NAMES[:3])
def test_hostile_sentences_get_one_tag_per_token(form: Format, lm: dspy.LM, smollm2: LocalModel) -> None:
    tagger = Tagger(bare(LABELS))
    for name, tokens in SENTENCES.items():
        with dspy.context(lm=lm, adapter=form, disable_history=True):
            prediction = tagger(tokens=tokens, id=name)
        assert len(prediction.tags) == len(tokens), name
        assert span_tags(len(tokens), tag_spans(prediction.tags)) == prediction.tags
        expected = ("overlapping_mention", "repeated_mention", "mention_without_letter", "type_by_probability")
        repairs = {key: n for key, n in prediction.repairs.items() if key not in expected}
        assert not repairs, (name, prediction.answers)


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("form", FORMATS[:3], ids=NAMES[:3])
def test_a_sentence_of_400_tokens_is_tagged_whole(form: Format, lm: dspy.LM, smollm2: LocalModel) -> None:
    tokens = [f"{word}{i}" if i % 7 == 0 else word for i, word in enumerate(["fever", "and", "cough", ",", "no", "rash"] * 67)][
        :400
    ]
    drafted = type(form)(labels=LABELS, drafter=lambda name, words: ["O"] * len(words))
    with dspy.context(lm=lm, adapter=drafted, disable_history=True):
        prediction = Tagger(bare(LABELS))(tokens=tokens, id="long")
    assert len(prediction.tags) == 400
    assert "cut" not in "".join(prediction.repairs)
