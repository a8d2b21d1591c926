"""Sentences of clinical notes: where they end, where they do not, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora.clinical import clinical_sentences, cut_long, cut_words
from clinspan.corpora.sources import Brat
from clinspan.corpora.tokens import punctuation_tokens

NOTE = """DISCHARGE SUMMARY
Date: 01/02/2020

HISTORY OF PRESENT ILLNESS:
Mr. Public is a 54 y.o. man with a history of Wilson disease, seen by
Dr. A. Smith at St. Mary Hospital for worsening tremor and dysarthria
over 3.5 weeks. He denies fever (temp. 37.2 C). Allergies? No. He left at 8 a.m. The rash vs. eczema was noted.

Medications
1. Lisinopril 10 mg i.v. Vitamins
2. Metformin 500 mg
- aspirin 81 mg
Zinc 50 mg
Iron 20 mg

Na\t140\tmmol/L
Hb      12.5    g/dL

See Fig. 3 and No. 5. "No pain." He left.
"""
SENTENCES = [
    "DISCHARGE SUMMARY",
    "Date : 01/02/2020",
    "HISTORY OF PRESENT ILLNESS :",
    "Mr . Public is a 54 y.o . man with a history of Wilson disease , seen by Dr . A . Smith at St . Mary Hospital for worsening "
    "tremor and dysarthria over 3.5 weeks .",
    "He denies fever ( temp . 37.2 C ) .",
    "Allergies ?",
    "No .",
    "He left at 8 a.m .",
    "The rash vs . eczema was noted .",
    "Medications",
    "1 . Lisinopril 10 mg i.v . Vitamins",
    "2 . Metformin 500 mg",
    "- aspirin 81 mg",
    "Zinc 50 mg",
    "Iron 20 mg",
    "Na 140 mmol/L",
    "Hb 12.5 g/dL",
    "See Fig . 3 and No . 5 .",
    '" No pain . "',
    "He left .",
]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_note_is_cut_at_headings_items_rows_and_full_stops(line_end: str) -> None:
    note = NOTE.replace("\n", line_end)
    sentences = clinical_sentences(note, punctuation_tokens(note))
    assert [" ".join(token.text for token in sentence) for sentence in sentences] == SENTENCES


def test_form_feeds_end_sentences_and_long_lines_are_read_in_linear_time() -> None:
    text = "no\ffever"
    assert [len(s) for s in clinical_sentences(text, punctuation_tokens(text))] == [1, 1]
    text = "cough and fever, " * 12_000
    assert len(clinical_sentences(text, punctuation_tokens(text))) == 1


texts = st.text(st.one_of(st.sampled_from(" \n\r\t\f\xa0\ufeff.?!,:-*()1Aaé\u0301\u2028|"), st.characters()), max_size=120)


@settings(deadline=None, max_examples=300)
@given(texts, st.integers(1, 7), st.integers(1, 5))
def test_no_character_but_white_space_is_outside_of_sentences(text: str, most: int, letters: int) -> None:
    tokens = punctuation_tokens(text)
    sentences = clinical_sentences(text, tokens)
    assert [token for sentence in sentences for token in sentence] == tokens
    position, rebuilt = 0, ""
    for sentence in sentences:
        gap = text[position : sentence[0].start]
        assert not gap.strip()
        position = sentence[-1].end
        rebuilt += gap + text[sentence[0].start : position]
    assert rebuilt + text[position:] == text
    for sentence in sentences:
        parts = cut_long(text, cut_words(sentence, letters), most)
        assert all(len(part) <= most for part in parts)
        assert "".join(t.text for part in parts for t in part) == "".join(t.text for t in sentence)
        assert all(text[t.start : t.end] == t.text for part in parts for t in part)


def test_long_sentences_are_cut_at_the_best_boundary() -> None:
    def cut(text: str, most: int) -> list[str]:
        parts = cut_long(text, punctuation_tokens(text), most)
        return [text[part[0].start : part[-1].end] for part in parts]

    assert cut("no cough, no fever; rash and pain", 8) == ["no cough, no fever;", "rash and pain"]
    assert cut("no cough, no fever and pain", 5) == ["no cough,", "no fever and pain"]
    assert cut("a b c\nd e f", 4) == ["a b c", "d e f"]
    assert cut("a/b c-d e/f", 2) == ["a/b c-d", "e/f"]


def test_any_corpus_can_use_clinical_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Seen by Dr. Roe.", encoding="utf-8")
    assert len(list(Brat(path=str(tmp_path), sentences="punctuation").load().sentences("test"))) == 2
    assert len(list(Brat(path=str(tmp_path), sentences="clinical").load().sentences("test"))) == 1
