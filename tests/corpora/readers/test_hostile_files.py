"""Hostile input files, found by fuzzing or by inspection; each one is refused or read correctly."""

from __future__ import annotations

import gc
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st

from clinspan.corpora import Entity, InputError
from clinspan.corpora.bio import Policies, tag_sentences
from clinspan.corpora.build import build_corpus, build_document, Cutting, PROTOCOL
from clinspan.corpora.clinical import clinical_sentences
from clinspan.corpora.file_names import file_name
from clinspan.corpora.readers.brat import parse_annotations
from clinspan.corpora.readers.notes import Note, read_notes, Unreadable
from clinspan.corpora.readers.raredis import protocol_tags
from clinspan.corpora.sources import Brat, Conll, Jsonl
from clinspan.corpora.tokens import punctuation_sentences, punctuation_tokens
from clinspan.corpora.writers.brat import brat_type, write_brat
from clinspan.corpora.writers.conll import shown_word, write_conll
from clinspan.corpora.writers.jsonl import write_jsonl


def jsonl(folder: Path, line: str) -> Any:
    (folder / "test.jsonl").write_text(line + "\n", encoding="utf-8")
    return Jsonl(path=str(folder)).load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, r"test\.jsonl:1: is not JSON \(nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", r"test\.jsonl:1: is not JSON"),
        ('{"id": "a", "text": "\\ud83e"}', "a lone surrogate"),
        ('{"id": "\\udd12", "text": "x"}', "a lone surrogate"),
        ('{"id": "a", "text": ["x"]}', "it has no text"),
        ('{"id": "a", "text": "xy", "entities": [{"label": "S", "start": 0.2, "end": 0.9}]}', "not a whole number"),
        ('{"id": "a", "text": "xy", "entities": [{"label": "S", "start": false, "end": true}]}', "not a whole number"),
        ('{"id": "a", "text": "xy", "entities": [{"label": "", "start": 0, "end": 1}]}', "not a BIO tag"),
        ('{"id": "a", "text": "xy", "entities": [{"label": "a\\tb", "start": 0, "end": 1}]}', "a label has white space"),
        ('{"id": "a", "text": "xy", "sentences": [{"tokens": [[0, 1]], "tags": ["B-\\n"]}]}', "a label has white space"),
    ],
)
def test_json_lines_are_refused_with_their_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        jsonl(tmp_path, line)
    assert caught.value.line == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("ann", ["T1\tSign " + "9" * 5000 + " 1\tx", "T1\tSign 0 " + "9" * 5000 + "\tx"])
def test_offsets_of_thousands_of_digits_are_malformed(tmp_path: Path, ann: str) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "a.ann").write_text(ann, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.ann:1: malformed T line"):
        Brat(path=str(tmp_path)).load()


def test_a_file_name_that_is_not_utf_8_is_refused_or_one_failure(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("x", encoding="utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    (tmp_path / "b.txt").write_text("y", encoding="utf-8")
    assert list(read_notes(tmp_path)) == [Note("b", "y"), Unreadable("caf\ufffd", "surrogate")]
    with pytest.raises(InputError, match="has a name that is not UTF-8") as caught:
        Brat(path=str(tmp_path)).load()
    str(caught.value).encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-8"])
def test_json_lines_in_every_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    rows = [{"id": "a", "text": "né\u0a0a\n"}, {"id": "b", "text": "\U0001f912"}]  # U+0A0A has line-feed bytes in it
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    (tmp_path / "n.jsonl").write_bytes(text.encode(encoding))
    assert list(read_notes(tmp_path / "n.jsonl", encoding=encoding)) == [Note(row["id"], row["text"]) for row in rows]


def test_utf_16_is_not_read_beyond_a_broken_character(tmp_path: Path) -> None:
    good, bad = '{"id": "a", "text": "x"}\n'.encode("utf-16-le"), b"\x00\xdc\n\x00"
    (tmp_path / "n.jsonl").write_bytes(good + bad + good)
    notes = list(read_notes(tmp_path / "n.jsonl", encoding="utf-16-le"))
    assert notes[-1] == Unreadable(f"n-{len(notes)}", "encoding", f"line {len(notes)}")


def test_parquet_rows_that_are_not_text_are_failures_and_cut_files_are_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = pyarrow.array([b"ok", b"\xff", None], pyarrow.binary())
    loose = pyarrow.Array.from_buffers(pyarrow.string(), 3, raw.buffers())
    parquet.write_table(pyarrow.table({"id": ["a", "b", "c"], "text": loose}), tmp_path / "n.parquet")
    notes = list(read_notes(tmp_path / "n.parquet"))
    assert notes == [Note("a", "ok"), Unreadable("n-2", "encoding", "row 2"), Unreadable("c", "no_text", "row 3")]
    intact = (tmp_path / "n.parquet").read_bytes()
    for damaged in (intact[:4] + b"\xff" * 40 + intact[44:], intact[:-20] + intact[-8:]):
        (tmp_path / "m.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match=r"m\.parquet"):
            list(read_notes(tmp_path / "m.parquet"))


def test_paths_have_a_maximum_length() -> None:
    deep, deeper = "a/" * 900 + "x", "a/" * 900 + "y"
    assert len({file_name(deep), file_name(deeper)}) == 2
    assert all(len(file_name(name)) < 200 for name in (deep, deeper))


def test_columns_hold_any_token_and_never_begin_a_document(tmp_path: Path) -> None:
    text = "-DOCSTART- a\tb \u2028 x"
    spans = [[0, 10], [11, 14], [15, 16], [17, 18]]
    corpus = jsonl(
        tmp_path, json.dumps({"id": "a", "text": text, "sentences": [{"tokens": spans, "tags": ["O", "B-S", "I-S", "O"]}]})
    )
    write_conll(corpus, tmp_path)
    (sentence,) = Conll(path=str(tmp_path)).load().sentences("test")
    assert (sentence.words, sentence.tags) == (("_DOCSTART-", "a b", "_", "x"), ("O", "B-S", "I-S", "O"))
    (tmp_path / "empty.tsv").write_text("-DOCSTART-\tO\n\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no token"):
        Conll(path=str(tmp_path / "empty.tsv")).load()


def test_labels_with_blanks_are_written_in_brats_form(tmp_path: Path) -> None:
    corpus = jsonl(tmp_path, '{"id": "a", "text": "fever", "entities": [{"label": "Rare Disease", "start": 0, "end": 5}]}')
    write_brat(corpus, tmp_path / "brat")
    (sentence,) = Brat(path=str(tmp_path / "brat")).load().sentences("test")
    assert sentence.tags == (f"B-{brat_type('Rare Disease')}",)


def entities_of(n: int, label: str) -> list[Entity]:
    return [Entity(label, ((10 * i, 10 * i + 5),)) for i in range(n)]


def in_text(n: int) -> Any:
    text = "fever and " * n
    return text, punctuation_tokens(text)


def cut_clinical(text: str) -> None:
    clinical_sentences(text, punctuation_tokens(text))


def brat_relation(n: int) -> None:
    parse_annotations("R1\ta " + ":T" * n + "\n", Path("a.ann"))


SLOW: dict[str, tuple[int, Callable[[int], object]]] = {
    "a run of blanks": (2_000, lambda n: cut_clinical("A" + " " * n + "\u2003b\nB")),
    "full stops in one line": (8_000, lambda n: cut_clinical("x1. b " * n)),
    "mentions in one sentence": (2_000, lambda n: tag_sentences([in_text(n)[1]], entities_of(n, "S"), Policies())),
    "the same mentions twice": (2_000, lambda n: tag_sentences([in_text(n)[1]], entities_of(n, "S") * 2, Policies())),
    "a mention over all sentences": (
        2_000,
        lambda n: tag_sentences(
            punctuation_sentences("a. " * n, punctuation_tokens("a. " * n)), [Entity("S", ((0, 3 * n),))], Policies()
        ),
    ),
    "mentions of RareDis": (2_000, lambda n: protocol_tags(in_text(n)[1], entities_of(n, "SIGN"))),
    "mentions that all cover all": (1_000, lambda n: protocol_tags(in_text(n)[1], [Entity("SIGN", ((1, 10 * n),))] * n)),
    "colons in a relation": (20_000, brat_relation),
}


@pytest.mark.parametrize("name", SLOW)
def test_time_grows_linearly_with_the_input(name: str) -> None:
    n, act = SLOW[name]

    def seconds(size: int) -> float:
        began = time.process_time()
        act(size)
        return time.process_time() - began

    gc.disable()  # a collection of all that earlier tests left may take most of a second
    try:
        assert seconds(4 * n) < 10 * seconds(n) + 0.5
    finally:
        gc.enable()


signs = st.one_of(
    st.sampled_from(" \t\r\n\x0b\x0c\x85\xa0\u2028\ufeff.-*|<>&"), st.characters(codec="utf-8", exclude_characters="\0")
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(signs, max_size=30), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_any_corpus_is_the_same_after_jsonl_conll_and_brat(tmp_path: Path, texts: list[str], rng: Random) -> None:
    documents = []
    for number, text in enumerate([*texts, "end ."]):
        cut = Cutting()(text)
        entities = [
            Entity(rng.choice(["Sign", "Rare Disease"]), ((t.start, t.end),)) for row in cut for t in row if rng.random() < 0.5
        ]
        documents.append(build_document(f"d{number}", text, entities, cutting=Cutting(), policies=Policies())[0])
    corpus = build_corpus("c", {"test": documents})
    for writer in (write_jsonl, write_conll, write_brat):
        writer(corpus, tmp_path / writer.__name__)
    before = list(corpus.sentences("test"))
    assert Jsonl(path=str(tmp_path / "write_jsonl")).load().splits == corpus.splits
    back = list(Conll(path=str(tmp_path / "write_conll"), scheme="IOB2").load().sentences("test"))
    assert [(s.words, s.tags) for s in back] == [(tuple(map(shown_word, s.words)), s.tags) for s in before]
    standoff = {s.id: s for s in Brat(path=str(tmp_path / "write_brat"), **PROTOCOL).load().sentences("test")}
    assert all(standoff[s.id].words == s.words and standoff[s.id].tags == tuple(map(brat_type, s.tags)) for s in before)
    shutil.rmtree(tmp_path / "write_brat")
