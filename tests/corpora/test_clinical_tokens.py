"""Tests of the tokens of clinical notes: they keep the ends of annotations, and sentences do not depend on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinspan.corpora.build import Cutting
from clinspan.corpora.clinical import parted_at_stops
from clinspan.corpora.fidelity import changed_mentions
from clinspan.corpora.sources import Brat
from clinspan.corpora.tokens import clinical_tokens, punctuation_tokens, whitespace_tokens

LIST = "PMH: HTN/HLD, PE/DVT. On ASA,Plavix,Lasix and lisinopril10mg.\nAllergies: none.No drugs. PNA.Will treat.\n"
MENTIONS = [("HTN", "Problem"), ("HLD", "Problem"), ("PE", "Problem"), ("DVT", "Problem"), ("ASA", "Drug"), ("Plavix", "Drug")]
MENTIONS += [("Lasix", "Drug"), ("lisinopril", "Drug"), ("PNA", "Problem")]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("HTN/HLD", "HTN / HLD"),
        ("lisinopril10mg", "lisinopril 10 mg"),
        ("3.5 x10^9/L", "3 . 5 x 10 ^ 9 / L"),
        ("naïve cafe\u0301 Ünal’s", "naïve cafe\u0301 Ünal ’ s"),
        ("___ **[Name8]**", "_ _ _ * * [ Name 8 ] * *"),
        ("５μg", "５ μg"),
        ("soft\u00adhyphen", "soft\u00adhyphen"),
        ("🩺🩺 x", "🩺 🩺 x"),
    ],
)
def test_letters_digits_and_marks_are_tokens_of_their_own(text: str, tokens: str) -> None:
    assert [token.text for token in clinical_tokens(text)] == tokens.split(" ")


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_tokens_cover_everything_but_white_space_and_refine_words(text: str) -> None:
    tokens = clinical_tokens(text)
    assert all(text[token.start : token.end] == token.text for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(word.text for word in whitespace_tokens(text))
    starts = {token.start for token in tokens}
    assert starts >= {token.start for token in punctuation_tokens(text)}


@given(st.text("aB1 .,:/\n-", max_size=60))
def test_sentences_of_clinical_tokens_are_those_of_words(text: str) -> None:
    by_words = [(tokens[0].start, tokens[-1].end) for tokens in Cutting("punctuation", "clinical")(text)]
    by_tokens = Cutting("clinical", "clinical")(text)
    ends = {end for _, end in by_words}
    assert ends <= {tokens[-1].end for tokens in by_tokens}  # a stop without white space may end one more
    assert [token for tokens in by_tokens for token in tokens] == clinical_tokens(text)
    protocol = Cutting("clinical", "punctuation")(text)
    assert [(t[0].start, t[-1].end) for t in protocol] == [(t[0].start, t[-1].end) for t in Cutting()(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Impression: 1. No acute fracture. 2. Mild edema.", ["Impression: 1. No acute fracture.", "2. Mild edema."]),
        ("Allergies: none.No drugs. PNA.Will treat.", ["Allergies: none.", "No drugs.", "PNA.", "Will treat."]),
        ("See Dr.Roe or J.Smith at www.Site.Com, then call.", ["See Dr.Roe or J.Smith at www.Site.Com, then call."]),
        ("Mail A.Roe@Site.Org today. Temp 37.5, p.o. meds.", ["Mail A.Roe@Site.Org today.", "Temp 37.5, p.o. meds."]),
        ("Grade was 2. No rash.", ["Grade was 2.", "No rash."]),
    ],
)
def test_findings_and_stops_without_white_space_end_sentences(text: str, sentences: list[str]) -> None:
    assert [text[tokens[0].start : tokens[-1].end] for tokens in Cutting("clinical", "clinical")(text)] == sentences


def test_words_are_parted_at_inner_stops_alone() -> None:
    words = parted_at_stops(whitespace_tokens("none.No a.m.The 3.No x.No OK?Yes"))
    assert [word.text for word in words] == ["none", ".", "No", "a.m.The", "3.No", "x.No", "OK", "?", "Yes"]


def test_a_clinical_list_keeps_every_mention_at_its_own_offsets(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(LIST)
    rows = [
        f"T{n}\t{label} {LIST.index(word)} {LIST.index(word) + len(word)}\t{word}\n" for n, (word, label) in enumerate(MENTIONS, 1)
    ]
    (tmp_path / "note.ann").write_text("".join(rows))
    corpus = Brat(path=str(tmp_path)).load()
    assert corpus.cut == {"tokenizer": "clinical", "sentences": "clinical"}
    assert not changed_mentions(corpus.splits["test"]) and not corpus.conversion["test"]
    words = Brat(path=str(tmp_path), tokenizer="punctuation").load()
    changes = [(LIST[one.entity.start : one.entity.end], one.change) for one in changed_mentions(words.splits["test"])]
    assert changes == [
        ("HTN", "other_ends"), ("HLD", "other_ends"), ("PE", "other_ends"), ("DVT", "other_ends"), ("ASA", "other_ends"),
        ("Plavix", "other_ends"), ("Lasix", "other_ends"), ("lisinopril", "other_ends"), ("PNA", "other_ends"),
    ]  # fmt: skip
    assert words.conversion["test"]["duplicate_dropped"] == 4
