"""Readers of unannotated texts: the notes they return, the files they skip, and the failures they report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.file_names import file_name
from clinspan.corpora.readers.notes import Note, read_notes, Unreadable


def read(path: Path, encoding: str = "utf-8", leave: Path | None = None) -> list[Note | Unreadable]:
    return list(read_notes(path, encoding=encoding, leave=leave))


def test_a_folder_is_read_at_any_depth_and_byte_by_byte(tmp_path: Path) -> None:
    text = "\ufeffNo\xa0fever.\r\n\tNa 140\x0c\r\ne\u0301"
    (tmp_path / "ward" / "out").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "ward" / "b.txt").write_bytes(text.encode())
    (tmp_path / "ward" / "b.ann").write_text("no annotation at all")
    (tmp_path / "a.b.txt").write_bytes(b"")
    (tmp_path / ".hidden.txt").write_bytes(b"x")
    (tmp_path / ".git" / "c.txt").write_bytes(b"x")
    (tmp_path / "ward" / "out" / "d.txt").write_bytes(b"x")
    assert read(tmp_path, leave=tmp_path / "ward" / "out") == [Note("a.b", ""), Note("ward/b", text)]


def test_the_given_encoding_is_used_and_failures_name_the_position(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    assert read(tmp_path) == [Unreadable("a", "encoding", "byte 3")]
    assert read(tmp_path / "a.txt", "latin-1") == [Note("a", "café")]
    for name in ("utf-9", "rot13"):
        with pytest.raises(InputError, match=f"encoding={name} is not known"):
            read(tmp_path, name)


def test_json_lines_give_texts_and_a_reason_for_each_bad_line(tmp_path: Path) -> None:
    rows = [b'{"id": "x/1", "text": "a\\r\\nb"}', b"", b'{"text": "c"}', b'{"id": 7}', b"{", b'{"id": "e", "text": "\xe9"}']
    rows += [b'{"id": "x/1", "text": "again"}', b'{"id": "s", "text": "\\ud800"}', b"[" * 100_000]
    (tmp_path / "n.jsonl").write_bytes(b"\n".join(rows))
    assert read(tmp_path / "n.jsonl") == [
        Note("x/1", "a\r\nb"),
        Note("n-3", "c"),
        Unreadable("7", "no_text", "line 4"),
        Unreadable("n-5", "not_json", "line 5"),
        Unreadable("n-6", "encoding", "line 6"),
        Unreadable("x/1", "duplicate_id"),
        Unreadable("s", "surrogate"),
        Unreadable("n-9", "not_json", "line 9"),
    ]


def test_conll_keeps_its_tokens_and_sentences(tmp_path: Path) -> None:
    (tmp_path / "t.conll").write_bytes(b"-DOCSTART-\tO\r\n\r\nNo\tO\r\nx-ray\tB-X\r\n\r\nRash\tO\r\n")
    (note,) = read(tmp_path / "t.conll")
    assert isinstance(note, Note)
    assert (note.id, note.text) == ("t", "No x-ray\nRash")
    assert note.cut is not None
    assert [[token.text for token in sentence] for sentence in note.cut] == [["No", "x-ray"], ["Rash"]]
    assert all(note.text[t.start : t.end] == t.text for sentence in note.cut for t in sentence)
    (tmp_path / "two.tsv").write_text("-DOCSTART- O\n\na\n\n-DOCSTART- O\n\nb\n")
    assert [(n.id, n.text) for n in read(tmp_path / "two.tsv") if isinstance(n, Note)] == [("two-0", "a"), ("two-1", "b")]


def test_parquet_is_read_and_errors_name_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "text": ["x\r\n", None]}), tmp_path / "n.parquet")
    assert read(tmp_path / "n.parquet") == [Note("a", "x\r\n"), Unreadable("b", "no_text", "row 2")]
    parquet.write_table(pyarrow.table({"id": ["a"]}), tmp_path / "m.parquet")
    with pytest.raises(InputError, match="has no column text"):
        read(tmp_path / "m.parquet")
    (tmp_path / "no.parquet").write_bytes(b"text")
    with pytest.raises(InputError, match="is not a Parquet file"):
        read(tmp_path / "no.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow"):
        read(tmp_path / "n.parquet")


def test_paths_without_notes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    for path, message in (
        (tmp_path / "none", "no such file"),
        (tmp_path / "a.pdf", r"files of type \.pdf are not supported"),
        (tmp_path, "no .txt"),
    ):
        with pytest.raises(InputError, match=message):
            read(path)


def test_different_ids_have_different_paths_below_the_folder(tmp_path: Path) -> None:
    ids = ["a", "a/b", "../a", "..", "/etc/x", "a//b", "a/./b", "%2E./a", "x\0y", "x\ny", "a\\b", "é" * 200, "é" * 201, "", "%"]
    paths = [file_name(name) for name in ids]
    assert len(set(paths)) == len(ids)
    for path in paths:
        assert (tmp_path / path).resolve().is_relative_to(tmp_path.resolve())
        (tmp_path / (path + ".txt")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / (path + ".txt")).write_text(json.dumps(path))
