"""Tests of what is known around a sentence: headings and titles of a text, neighbours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clinspan.corpora.bio import Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.headings import headings_of, title_of
from clinspan.corpora.sources import BioC
from clinspan.corpora.types import Document

NOTE = """\n  Discharge summary of the ward \nALLERGIES: None known.
HISTORY OF PRESENT ILLNESS
He has a rash. It itches
at night.
BP: 120/80
Plan:
# Follow-up visits
Return in a week.
"""


def document(text: str) -> Document:
    made, _ = build_document("d", text, (), cutting=Cutting("clinical", "clinical"), policies=Policies())
    return made


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("Plan:", "Plan"),
        ("  PAST HISTORY  ", "PAST HISTORY"),
        ("IMPRESSION: No fracture, and no effusion is seen in any of the views that were taken.", "IMPRESSION"),
        ("# Plan", "Plan"),
        ("### Findings:", "Findings"),
        ("BP: 120/80", None),
        ("HTN", None),
        ("He has a rash.", None),
        ("#1 fever", None),
        ("The patient was told to take the following drugs every day in the morning:", None),
        ("THE PATIENT WAS SEEN BY THE SURGEON ON CALL AND WAS SENT HOME WITHOUT DRUGS", None),
        (":", None),
    ],
)
def test_what_is_a_heading(line: str, heading: str | None) -> None:
    found = headings_of(f"He slept.\r\n{line}\r\nNo fever.")
    assert [one.text for one in found] == ([] if heading is None else [heading])
    for one in found:
        assert f"He slept.\r\n{line}\r\nNo fever."[one.start : one.end].startswith(line.strip()[:5])


def test_headings_of_many_lines_are_found_in_linear_time() -> None:
    assert len(headings_of("Plan:\n" * 100_000 + "A" * 1_000_000)) == 100_000


def test_the_title_is_the_first_line_cut_between_words() -> None:
    assert title_of(NOTE).text == "Discharge summary of the ward"
    assert title_of(" \n\t\n").text == ""
    long = title_of("word " * 100)
    assert len(long.text) <= 200 and long.text.endswith("word") and long.end == 500


def test_sentences_know_their_neighbours_heading_and_title() -> None:
    made = document(NOTE)
    known = {" ".join(sentence.words): sentence.position for sentence in made.sentences}
    last, first = known["Return in a week ."], known["Discharge summary of the ward"]
    rash = known["He has a rash ."]
    assert last is not None and first is not None and rash is not None
    assert (last.heading, last.title, last.after(3)) == ("Follow-up visits", "Discharge summary of the ward", [])
    assert (first.heading, first.title, first.before(3)) == ("", "", [])
    assert rash.heading == "HISTORY OF PRESENT ILLNESS"
    assert rash.before(1) == ["HISTORY OF PRESENT ILLNESS"]
    assert rash.after(2) == ["It itches", "at night."]
    assert len(rash.before(99)) + 1 + len(rash.after(99)) == len(made.sentences)
    allergies = next(position for words, position in known.items() if words.startswith("ALLERGIES"))
    assert allergies is not None and allergies.heading == "", "it begins with its own heading"


def test_parts_of_a_sentence_are_neighbours() -> None:
    made = document("Part\tone. He has a rash and fever. Two.")
    sentence = made.sentences[1]
    assert sentence.position is not None
    parts = sentence.position.parted([sentence.tokens[:4], sentence.tokens[4:]])
    assert [(part.before(1), part.after(1)) for part in parts] == [(["Part one."], ["and fever."]), (["He has a rash"], ["Two."])]
    assert parts[1].parted([sentence.tokens[4:5], sentence.tokens[5:]])[0].before(9) == ["Part one.", "He has a rash"]


def test_positions_are_no_part_of_what_a_sentence_is() -> None:
    one, other = document("No fever. A rash."), document("No fever. A rash. More.")
    assert one.sentences[0] == other.sentences[0]
    assert "outline" not in repr(one.sentences[0]).lower()


SECTIONS = ({"section": "History"}, {"section_type": "EXAM"}, {"type": "paragraph"})


def in_json() -> str:
    rows = [
        {"offset": 20 * n, "text": text, "infons": infons, "annotations": []}
        for n, (text, infons) in enumerate(zip(("No fever.", "A rash.", "Rest."), SECTIONS, strict=True))
    ]
    return json.dumps({"documents": [{"id": "d", "passages": rows}]})


def in_xml() -> str:
    rows = []
    for n, (text, infons) in enumerate(zip(("No fever.", "A rash.", "Rest."), SECTIONS, strict=True)):
        about = "".join(f'<infon key="{key}">{value}</infon>' for key, value in infons.items())
        rows.append(f"<passage>{about}<offset>{20 * n}</offset><text>{text}</text></passage>")
    return f"<collection><document><id>d</id>{''.join(rows)}</document></collection>"


@pytest.mark.parametrize(("name", "written"), [("test.json", in_json), ("test.xml", in_xml)])
def test_bioc_names_the_sections_of_passages(name: str, written: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(written(), encoding="utf-8")
    corpus = BioC(path=str(tmp_path), labels=["Sign"]).load()
    positions = [sentence.position for sentence in corpus.sentences("test")]
    assert [position.heading for position in positions if position is not None] == ["History", "EXAM", ""]
