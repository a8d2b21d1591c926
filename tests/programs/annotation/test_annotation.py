"""The result of a call: a sequence of mentions, lists, streams, forms for notebooks, and refusals of what is no text."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import clinspan
from clinspan.corpora import InputError, Sentence
from clinspan.corpora.bio import span_tags
from clinspan.corpora.sources import Jsonl
from clinspan.programs.annotation.annotation import Annotation
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.inference.predictor import blank_record
from clinspan.programs.rundir.errors import RunError
from clinspan.reports.page.note_html import note_fragment, note_page
from clinspan.reports.wording import confidence_words
from support.tiny_models import tiny_encoder

LABELS = ("Disease", "Sign")


class Scripted:
    """Tags `fever` as a sign and `flu` as a disease; fails on `refuse`. It notes the size of each call."""

    def __init__(self, confidence: float = 0.99996) -> None:
        self.confidence, self.calls = confidence, list[int]()

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        self.calls.append(len(sentences))
        for sentence in sentences:
            names = {"fever": "Sign", "flu": "Disease"}
            spans = [(n, n + 1, names[word]) for n, word in enumerate(sentence.words) if word in names]
            error = "content_filter" if "refuse" in sentence.words else None
            fields = {"pred": span_tags(len(sentence.words), spans), "confidence": [self.confidence] * len(sentence.words)}
            yield sentence, {**blank_record(sentence), **fields, "repairs": {}, "usage": {}, "error": error}


def scripted(tagger: Scripted | None = None) -> Annotator:
    return Annotator(tagger or Scripted(), Facts(LABELS, "model", "program", "by"))


def test_it_is_a_sequence_of_mentions() -> None:
    found = scripted()("No fever, but flu.")
    assert isinstance(found, clinspan.Annotation)
    assert (len(found), found.text, [mention.text for mention in found]) == (2, "No fever, but flu.", ["fever", "flu"])
    assert (found[0].label, found[-1].label, found[:1]) == ("Sign", "Disease", (found.mentions[0],))
    assert found[1] in found
    assert found.index(found[1]) == 1
    assert repr(found) == "<Annotation: 2 mentions>"
    assert not scripted()("nothing")
    with pytest.raises(IndexError):
        found[2]


def test_a_list_gives_a_list_in_one_call_of_the_tagger() -> None:
    tagger = Scripted()
    found = scripted(tagger)(["flu", "", "no fever"])
    assert [[mention.text for mention in one] for one in found] == [["flu"], [], ["fever"]]
    assert (tagger.calls, scripted()([])) == ([2], [])
    assert [one.text for one in scripted()(("flu", "fever"))] == ["flu", "fever"]


def test_a_failed_text_of_a_list_is_never_a_text_without_mentions() -> None:
    bad, good = scripted()(["We refuse. No fever.", "flu"])
    assert (len(good), good.error, bad.text) == (1, None, "We refuse. No fever.")
    assert bad.error == "1 of 2 sentences failed: content_filter"
    assert repr(bad) == "<Annotation: failed, 1 of 2 sentences failed: content_filter>"
    assert bad._repr_html_() is None
    for use in (len, list, bool, Annotation.to_json, Annotation.to_df):
        with pytest.raises(RunError, match="content_filter"):
            use(bad)
    with pytest.raises(RunError, match="content_filter"):
        scripted()("We refuse.")
    assert [one.error is None for one in scripted().pipe(["flu", "refuse", "flu"])] == [True, False, True]


def test_a_stream_is_in_order_and_reads_no_more_than_a_batch_ahead() -> None:
    read = list[int]()

    def texts() -> Iterator[str]:
        for number in range(1000):
            read.append(number)
            yield f"fever {number}"

    tagger = Scripted()
    stream = scripted(tagger).pipe(texts(), batch_size=8)
    assert inspect.isgenerator(stream)
    assert read == []
    for number, one in enumerate(stream):
        assert (one.text, len(one)) == (f"fever {number}", 1)
        assert len(read) <= number + 8
        assert json.loads(one.to_json())["id"] == str(number)
        if number == 20:
            break
    assert tagger.calls == [8, 8, 8]
    assert [one.text for one in scripted().pipe(iter("abc"), batch_size=2)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "the argument is None. Pass a text (str) or a list of texts."),
        (3, "the argument is of the type int. Pass a text (str) or a list of texts."),
        (b"flu", "the argument is of the type bytes. Decode it first: text.decode()."),
        (["flu", None], "text 2 is None. Each text is a str."),
        (["flu", b""], "text 2 is of the type bytes. Decode it first: text.decode()."),
        ([["flu"]], "text 1 is of the type list. Each text is a str."),
        (iter(["flu"]), "Pass a text (str) or a list of texts. For other iterables use pipe."),
        ("\ud83e", "the text contains a lone surrogate. Decode it again from its bytes."),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(value: Any, words: str) -> None:
    tagger = Scripted()
    with pytest.raises(InputError) as refused:
        scripted(tagger)(value)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert tagger.calls == []


@pytest.mark.parametrize("value", ["one text", b"", None, 7])
def test_a_stream_of_no_texts_is_refused_at_once(value: Any) -> None:
    with pytest.raises(InputError, match="for one text call the annotator itself"):
        scripted().pipe(value)
    for size in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="batch_size="):
            scripted().pipe([], batch_size=size)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text 2 is None"):
        list(scripted().pipe(["flu", None]))  # type: ignore[list-item]


def test_a_data_frame_has_a_row_a_mention(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    frame = scripted()("No fever, but flu.").to_df()
    assert list(frame.columns) == ["start", "end", "text", "label", "confidence"]
    assert frame.to_dict("records")[1] == {"start": 14, "end": 17, "text": "flu", "label": "Disease", "confidence": 0.9999}
    assert list(scripted()("nothing").to_df().columns) == list(frame.columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"^to_df needs pandas\. Install it with: pip install pandas$"):
        scripted()("flu").to_df()


def test_lines_of_json_are_a_corpus(tmp_path: Path) -> None:
    rows = [one.to_json() for one in scripted()(["Flu\nor flu", "fever"])]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    first, second = Jsonl(path=str(tmp_path / "a.jsonl")).load().splits["test"]
    assert [(e.start, e.end, e.label) for e in (*first.entities, *second.entities)] == [(7, 10, "Disease"), (0, 5, "Sign")]


def test_a_notebook_shows_what_the_page_shows() -> None:
    found = scripted()("<b>No fever & flu</b>\n  \x00")
    assert found.found is not None
    page, cell = note_page(found.found, LABELS).decode(), found._repr_html_()
    assert cell == note_fragment(found.found, LABELS)
    (text,) = re.findall(r"<pre>\n.*?</pre>", str(cell), re.DOTALL)
    types = re.findall(r"<li>(.*?)</li>", str(cell))
    assert len(types) == len(LABELS)
    assert all(part in page for part in (text, *types))
    (style,) = re.findall("<style>(.*?)</style>", str(cell))
    assert all(rule.startswith(".clinspan-note ") for rule in style.split("}") if rule)
    assert "<script" not in str(cell)
    assert re.findall("<small>(.*?)</small>", str(cell)) == ["Sign &gt;.99", "Disease &gt;.99"]


def test_no_confidence_is_rounded_to_certainty() -> None:
    assert scripted()("flu")[0].confidence == 0.9999
    assert scripted(Scripted(1.0))("flu")[0].confidence == 1.0
    shown = {confidence_words(number / 10_000) for number in range(10_001)}
    assert not shown & {"1.00", ".00", "1", "0"}
    assert {">.99", ".99", ".50", ".01", "<.01"} <= shown


def test_load_takes_the_path_first(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    found = Annotator.load(folder)("the fever and rash")
    assert [mention.text for mention in found] == ["fever", "rash"]
    strict = Annotator.load(folder, min_confidence={"Sign": 1})("the fever and rash")
    assert (len(strict), strict.removed) == (0, {"Sign": 2})
    with pytest.raises(InputError, match="min_confidence names Sing.*Did you mean Sign"):
        Annotator.load(folder, min_confidence={"Sing": 0.5})
