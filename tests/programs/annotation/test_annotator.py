"""Tests of the annotator with a scripted tagger: offsets into arbitrary text, cuts of long sentences, every output format."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st

from clinspan.corpora import Sentence
from clinspan.corpora.annotated import Annotated, brat_files, note_tags
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.corpora.readers.brat import load_pair
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.sources import Conll, Jsonl
from clinspan.corpora.words import Words
from clinspan.corpora.writers.bioc import bioc_json, bioc_xml
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.annotation.writers import write_conll, write_jsonl
from clinspan.programs.inference.predictor import blank_record
from clinspan.programs.rundir.errors import RunError
from clinspan.reports.page.note_html import note_page

LABELS = ("Sign", "Disease")


class Scripted:
    """Tagger that derives each tag from a checksum of the token.

    It fails on sentences of more than `holds` tokens and on sentences with the word `refuse`.
    """

    def __init__(self, holds: int = 1000) -> None:
        self.holds, self.asked = holds, 0

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        for sentence in reversed(sentences):
            self.asked += 1
            raw = [("O", "B-Sign", "I-Sign", "B-Disease")[zlib.crc32(word.encode()) % 4] for word in sentence.words]
            pred = span_tags(len(raw), tag_spans(raw))
            error = "prompt_too_long" if len(raw) > self.holds else "content_filter" if "refuse" in sentence.words else None
            fields = {"pred": ["O"] * len(raw) if error else pred, "confidence": [0.123456] * len(raw)}
            yield sentence, {**blank_record(sentence), **fields, "repairs": {}, "usage": {"prompt_tokens": 2}, "error": error}


def annotator(holds: int = 1000, **keys: Any) -> Annotator:
    return Annotator(Scripted(holds), Facts(LABELS, "model@1", "program1", "by1"), Segmenter(**keys))


def test_sentences_are_shown_with_the_spacing_of_a_corpus_that_was_cut_the_same_way(tmp_path: Path) -> None:
    text = "E-cadherin was 3.5mg/dl. No fever, no rash."
    (tmp_path / "test.jsonl").write_text(json.dumps({"id": "d", "text": text, "entities": []}), encoding="utf-8")
    for tokenizer in ("clinical", "punctuation"):
        asked: list[Sentence] = []
        corpus = Jsonl(path=str(tmp_path), phi=False, labels=LABELS, definitions={}, tokenizer=tokenizer).load()

        def tag_all(sentences: Sequence[Sentence], seen: list[Sentence] = asked) -> Generator[tuple[Sentence, dict[str, Any]]]:
            seen += sentences
            return Scripted(4).tag_all(sentences)

        annotator(tokenizer=tokenizer).annotate([Note("d", text)], tag_all=tag_all)
        shown = [Words.of(sentence).text() for sentence in corpus.sentences("test")]
        whole = [sentence for sentence in asked if "." not in sentence.id]
        assert [Words.of(sentence).text() for sentence in whole] == shown
        halves = [Words.of(sentence).text() for sentence in asked if "." in sentence.id]
        assert halves and not any("E - cadherin" in part for part in (*shown, *halves))


def annotated(text: str, holds: int = 1000, **keys: Any) -> Annotated:
    note = annotator(holds, **keys).annotate([Note("d", text)])[0].annotated
    assert note is not None
    return note


pieces = st.sampled_from(
    ["\r\n", "\n", "\ufeff", "\xa0", "\t", "\x0c", "e\u0301", "\x00", "\x85", "<b>", "&amp;", "]]>", ". ", "B-Sign"]
)
texts = st.lists(st.one_of(pieces, st.text(st.characters(codec="utf-8"), max_size=12)), max_size=12).map("".join)


@settings(deadline=None, max_examples=200)
@given(texts, st.integers(1, 9), st.integers(1, 9))
def test_every_mention_equals_its_slice_of_the_unchanged_text(text: str, longest: int, holds: int) -> None:
    note = annotated(text, holds, longest=longest)
    assert note.text == text
    at = 0
    for mention in note.mentions:
        assert at <= mention.start < mention.end
        assert text[mention.start : mention.end] == mention.text
        assert mention.confidence == 0.1235
        at = mention.end
    tokens = [token for sentence in note.cut for token in sentence]
    assert not any(token.start == 0 and token.text[0] == "\ufeff" for token in tokens)
    tags = [tag for sentence in note_tags(note) for tag in sentence]
    assert len(tokens) == len(tags)
    assert sum(tag[0] == "B" for tag in tags) == len(note.mentions)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts.filter(lambda text: "\0" not in text))
def test_brat_jsonl_and_conll_are_read_back_by_corpora(tmp_path: Path, text: str) -> None:
    note = annotated(text + " end")
    for suffix, content in brat_files(note).items():
        (tmp_path / f"d{suffix}").write_bytes(content)
    assert (tmp_path / "d.txt").read_bytes() == note.text.encode()
    back, annotations, acts = load_pair(tmp_path / "d.txt")
    assert (back, acts["other_lines"]) == (note.text, sum(m.confidence is not None for m in note.mentions))
    spans = [(m.start, m.end, m.label) for m in note.mentions]
    assert [(a.entity.start, a.entity.end, a.entity.label) for a in annotations] == spans
    write_jsonl([note], tmp_path / "d.jsonl")
    (document,) = Jsonl(path=str(tmp_path / "d.jsonl")).load().splits["test"]
    assert document.text == note.text
    assert [(e.start, e.end, e.label) for e in document.entities] == spans
    write_conll([note, note], tmp_path / "d.conll")
    first, second = Conll(path=str(tmp_path / "d.conll")).load().splits["test"]
    assert [list(s.tags) for s in first.sentences] == [list(s.tags) for s in second.sentences] == note_tags(note)
    assert [s.words for s in first.sentences] == [tuple(t.text for t in tokens) for tokens in note.cut]


@settings(deadline=None, max_examples=200)
@given(texts)
def test_bioc_offsets_locate_every_character(text: str) -> None:
    note = annotated(text)
    spans = [(m.start, m.end - m.start, m.label) for m in note.mentions]
    (document,) = json.loads(bioc_json(note))["documents"]
    (passage,) = document["passages"]
    assert passage["text"] == text
    assert [
        (a["locations"][0]["offset"], a["locations"][0]["length"], a["infons"]["type"]) for a in passage["annotations"]
    ] == spans
    root = ET.fromstring(bioc_xml(note))
    assert [element.tag for element in root][:3] == ["source", "date", "key"]
    rest = list(text)
    for passage in root.iter("passage"):
        at, words = int(passage.findtext("offset", "")), passage.findtext("text", "")
        assert text[at : at + len(words)] == words
        rest[at : at + len(words)] = [""] * len(words)
    assert not re.search("[\t\n\r\x20-\ud7ff]", "".join(rest))
    marks = list(root.iter("annotation"))
    assert len(marks) == len(spans)
    for mark, mention in zip(marks, note.mentions):
        places = [(int(p.get("offset", "")), int(p.get("length", ""))) for p in mark.iter("location")]
        assert places
        assert mark.findtext("text", "") in ("".join(text[a : a + n] for a, n in places), "")
        assert all(mention.start <= a and a + n <= mention.end for a, n in places)


@settings(deadline=None, max_examples=100)
@given(texts)
def test_html_shows_the_text_and_escapes_its_markup(text: str) -> None:
    page = note_page(annotated(text), list(LABELS)).decode()
    body = page.split("<pre>\n")[1].split("</pre>")[0]
    shown = html.unescape(re.sub(r"<small>.*?</small></mark>|<mark [^>]*>", "", body))
    visible = [sign for sign in text if sign >= " " and sign != "\x7f"]
    assert [sign for sign in shown if sign >= " " and not "\u2400" <= sign <= "\u2421"] == [
        sign for sign in visible if not "\u2400" <= sign <= "\u2421"
    ]
    assert not re.search(r"<(?!/?(mark|small)\b)", body)


def test_long_sentences_are_cut_to_fit_and_counted() -> None:
    text = "fever and cough, " * 20
    (whole,) = annotator(longest=1000).annotate([Note("d", text)])
    (cut,) = annotator(longest=16).annotate([Note("d", text)])
    (halved,) = annotator(holds=10, longest=1000).annotate([Note("d", text)])
    assert (whole.counts["sentences"], whole.counts["cuts"]) == (1, 0)
    assert (cut.counts["sentences"], cut.counts["cuts"]) == (5, 4)
    assert halved.counts["sentences"] == halved.counts["cuts"] + 1
    assert 8 <= halved.counts["sentences"] <= 20
    for outcome in (whole, cut, halved):
        assert outcome.annotated is not None
        assert outcome.annotated.mentions


def test_a_mention_across_a_cut_is_one_mention(tmp_path: Path) -> None:
    class Halves(Scripted):
        """Tags each run of words in capital letters as a sign. After a cut, the rest of a sign looks like a new one."""

        def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
            for sentence, record in super().tag_all(sentences):
                raw = ["I-Sign" if word.isupper() else "O" for word in sentence.words]
                yield (
                    sentence,
                    {**record, "pred": span_tags(len(raw), tag_spans(raw)) if record["error"] is None else record["pred"]},
                )

    text = "no fever and SEVERE PAIN IN BOTH ARMS since days"
    for holds, longest in ((1000, 5), (1000, 4), (4, 1000), (2, 5), (1, 1000)):
        finder = Annotator(Halves(holds), Facts(LABELS, "model@1", "program1", "by1"), Segmenter(longest=longest))
        note = finder.annotate([Note("d", text)])[0].annotated
        assert note is not None
        assert [mention.text for mention in note.mentions] == ["SEVERE PAIN IN BOTH ARMS"], (holds, longest)
        write_conll([note], tmp_path / "n.conll")
        tags = [tag for sentence in Conll(path=str(tmp_path / "n.conll")).load().sentences("test") for tag in sentence.tags]
        assert [tag for tag in tags if tag != "O"] == ["B-Sign", *["I-Sign"] * 4]
    (apart,) = Annotator(Halves(), Facts(LABELS, "m", "p", "b")).annotate([Note("d", "It was PAIN\n\nFEVER came.")])
    assert apart.annotated is not None
    assert [mention.text for mention in apart.annotated.mentions] == ["PAIN", "FEVER"]


def test_200_kilobytes_in_one_line_or_one_word_lose_no_text() -> None:
    for text in ("no fever and " * 16_000, "x" * 200_000):
        note = annotated(text)
        assert "".join(t.text for tokens in note.cut for t in tokens) == text.replace(" ", "")


def test_a_note_with_a_failed_sentence_is_not_partly_annotated() -> None:
    outcomes = annotator().annotate([Note("a", "We refuse. No fever."), Note("b", "No fever.")])
    assert (outcomes[0].annotated, outcomes[0].error, outcomes[0].counts["failed_sentences"]) == (None, "content_filter", 1)
    assert outcomes[1].annotated is not None
    with pytest.raises(RunError, match="1 of 2 sentences failed: content_filter"):
        annotator()("We refuse. No fever.")


def test_empty_texts_have_no_entities() -> None:
    for text in ("", " \r\n\xa0", "\ufeff"):
        assert len(annotator()(text)) == 0


class Positioned(Scripted):
    """Records the sentences before and after each sentence that it tags."""

    def __init__(self, holds: int = 1000) -> None:
        super().__init__(holds)
        self.around: dict[str, tuple[list[str], list[str]]] = {}

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        for sentence in sentences:
            assert sentence.position is not None
            self.around[" ".join(sentence.words)] = sentence.position.before(1), sentence.position.after(1)
        yield from super().tag_all(sentences)


def test_sentences_know_their_neighbours_in_the_note() -> None:
    tagger = Positioned(holds=4)
    made = Annotator(tagger, Facts(LABELS, "model@1", "program1", "by1"), Segmenter())
    made.annotate([Note("a", "No fever. He has a rash today. Rest."), Note("b", "Other note.")])
    assert tagger.around["No fever ."] == ([], ["He has a rash today."])
    assert tagger.around["Other note ."] == ([], []), "notes are apart"
    assert tagger.around["He has a"] == (["No fever."], ["rash today."]), "so are halves of a sentence that was too long"
    assert tagger.around["rash today ."] == (["He has a"], ["Rest."])
