"""Test of a document with 100,000 entities: it is written in every format and read back."""

from __future__ import annotations

import html
import json
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from clinspan.corpora.annotated import Annotated, brat_files, conll_rows, Mention
from clinspan.corpora.readers.brat import load_pair
from clinspan.corpora.sources import Brat, Conll, Jsonl
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.corpora.writers.bioc import bioc_json, bioc_xml
from clinspan.programs.annotation.writers import write_jsonl
from clinspan.reports.page.note_html import note_page


@pytest.mark.long
def test_a_hundred_thousand_entities_are_written_in_every_format_and_read_back(tmp_path: Path) -> None:
    text = "fever, \x0c" * 100_000
    tokens = punctuation_tokens(text)
    cut = tuple(tuple(tokens[i : i + 100]) for i in range(0, len(tokens), 100))
    mentions = tuple(Mention(t.start, t.end, "Sign", t.text, 0.5) for t in tokens[::2])
    assert len(mentions) == 100_000
    note = Annotated("d", text, cut, mentions, "m", "p")
    spans = [(m.start, m.end) for m in mentions]
    began = time.process_time()
    for suffix, content in brat_files(note).items():
        (tmp_path / f"d{suffix}").write_bytes(content)
    back, annotations, acts = load_pair(tmp_path / "d.txt")
    assert (back, acts) == (text, {"other_lines": len(mentions)})  # the notes with confidences
    assert [(a.entity.start, a.entity.end) for a in annotations] == spans
    (document,) = Brat(path=str(tmp_path)).load().splits["test"]
    assert sum(tag == "B-Sign" for s in document.sentences for tag in s.tags) == 100_000
    write_jsonl([note], tmp_path / "d.jsonl")
    (document,) = Jsonl(path=str(tmp_path / "d.jsonl")).load().splits["test"]
    assert [(e.start, e.end) for e in document.entities] == spans
    (tmp_path / "d.conll").write_text(conll_rows(note), encoding="utf-8")
    assert sum(tag == "B-Sign" for s in Conll(path=str(tmp_path / "d.conll")).load().sentences("test") for tag in s.tags) == 100_000
    marks = [mark.find("location") for mark in ET.fromstring(bioc_xml(note)).iter("annotation")]
    assert [int(place.get("offset", "")) for place in marks if place is not None] == [start for start, _ in spans]
    (passage,) = json.loads(bioc_json(note))["documents"][0]["passages"]
    assert [a["locations"][0]["offset"] for a in passage["annotations"]] == [start for start, _ in spans]
    body = note_page(note, ["Sign"]).decode().split("<pre>\n")[1].split("</pre>")[0]
    assert html.unescape(re.sub(r"<small>.*?</small></mark>|<mark [^>]*>", "", body)).replace("\u240c", "\x0c") == text
    assert time.process_time() - began < 60
