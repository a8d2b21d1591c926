"""Tests of hostile answers: reading takes bounded time, keeps one tag per token and leaves only text that can be written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.lms import lm15
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.types import shown_tokens
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.tagging.instructions import bare
from clinspan.programs.tagging.tagger import Tagger

LABELS = [Label("Sign"), Label("Disease")]
TOKENS = "Wilson disease causes tremor and rash in the young .".split() * 10
FORMATS: dict[str, Format] = {
    "bio_lines": BioLines(labels=LABELS),
    "positional": BioLines(labels=LABELS, alignment="positional"),
    "inline": Inline(labels=LABELS),
    "entities": Entities(labels=LABELS),
    "entities_by_type": Entities(labels=LABELS, per_type=True),
}
LONG = 100_000
ANSWERS = {
    "one line": "fever " * (LONG // 6),
    "one word": "a" * LONG,
    "tags alone": "B-Sign\n" * (LONG // 7),
    "other words": "\n".join(f"w{i} : O" for i in range(LONG // 10)),
    "noise": "output" + " " * LONG + "x",
    "colons": " : " * (LONG // 3),
    "an open mark": "<" + " " * LONG,
    "marks": "<Sign>a</Sign>" * (LONG // 14),
    "unknown marks": "<x>" * (LONG // 3),
    "a list": '{"Sign": [' + ", ".join(f'"w{i}"' for i in range(LONG // 12)) + "]}",
    "escapes": '{"Sign": [' + ", ".join(f'"\\u0077{i}"' for i in range(LONG // 24)) + "]}",
    "open lists": '{"Sign": ["' * (LONG // 11),
    "brackets": "[" * LONG,
    "objects": '{"a":' * (LONG // 5),
    "quotes": '{"Sign": ["' + 'a" ' * (LONG // 3),
}


@pytest.mark.parametrize("form", FORMATS)
def test_reading_100_kilobytes_takes_seconds_at_most(form: str) -> None:
    adapter = FORMATS[form]
    for name, text in ANSWERS.items():
        began = time.process_time()
        decoded = adapter.read({question.key: text for question in adapter.questions(TOKENS, ())}, TOKENS)
        assert time.process_time() - began < 5, name
        assert span_tags(len(TOKENS), tag_spans(decoded.tags)) == decoded.tags
        assert len(decoded.tags) == len(TOKENS)


def test_a_long_sentence_that_is_echoed_with_a_change_is_aligned_by_words() -> None:
    tokens = [f"w{'x' * 60}{i}" for i in range(60)]
    tags = ["B-Sign" if i == 30 else "O" for i in range(60)]
    form = FORMATS["inline"]
    decoded = form.read({"": form.answer(tokens, tags).replace("w", "W", 1)}, tokens)
    assert decoded.tags == tags
    assert decoded.repairs["changed_text"] == 1


class Halves:
    """Engine whose answer ends with half of a surrogate pair, like text that a relay cuts inside a character."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        text = '{"Sign": ["fever"], "Disease": ["\ud83e'
        usage = lm15.Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        message = lm15.Message.assistant(text)
        return lm15.Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


def test_half_a_surrogate_pair_in_an_answer_can_be_written(tmp_path: Path) -> None:
    lm = dspy.LM("local/test", engine=Halves(), cache=False)
    with dspy.context(lm=lm, adapter=FORMATS["entities"], disable_history=True):
        prediction = Tagger(bare(LABELS))(tokens=["No", "fever"], id="a")
    assert prediction.tags == ["O", "B-Sign"]
    RunFolder(tmp_path).append({"id": "a", "raw": prediction.answers})
    assert json.loads((tmp_path / "predictions.jsonl").read_text(encoding="utf-8"))["raw"][""].endswith("\ufffd")


words = st.text(
    st.one_of(st.sampled_from("<>/:|[]{}\"'\\BIO- Sign\u0301\u200b\ufeff\x85\x00"), st.characters(codec="utf-8")), max_size=8
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(words, st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])), min_size=1, max_size=8))
def test_right_answers_are_read_back_whatever_the_tokens_are(rows: list[tuple[str, str]]) -> None:
    tokens = shown_tokens([word for word, _ in rows])
    tags = span_tags(len(tokens), tag_spans([tag for _, tag in rows]))
    for form in (FORMATS["bio_lines"], FORMATS["inline"]):
        decoded = form.read({"": form.answer(tokens, tags)}, tokens)
        assert decoded.tags == tags
        assert not +decoded.repairs
