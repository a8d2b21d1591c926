"""Large inputs: folders of Parquet, the order of files, ids on disk, and slices that return their notes unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.readers.notes import Note, note_files, read_notes, Unreadable
from clinspan.corpora.readers.shards import read_shard, shard_digest, write_shard
from clinspan.corpora.seen_ids import SeenIds
from clinspan.corpora.types import Token

parquet = pytest.importorskip("pyarrow.parquet")
pyarrow = pytest.importorskip("pyarrow")


def test_a_folder_of_parquet_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, rows in (("b/part-0", {"id": ["x", None], "text": ["1", "2"]}), ("a", {"id": ["y", "x"], "text": ["3", "4"]})):
        parquet.write_table(pyarrow.table(rows), tmp_path / f"{name}.parquet")
    assert list(read_notes(tmp_path)) == [Note("y", "3"), Note("x", "4"), Unreadable("x", "duplicate_id"), Note("b/part-0-2", "2")]
    intact = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(intact[:-20])
    with pytest.raises(InputError, match=r"c\.parquet: is not a Parquet file"):
        list(read_notes(tmp_path))
    (tmp_path / "n.txt").write_text("text")
    assert list(read_notes(tmp_path)) == [Note("n", "text")]


def test_files_come_in_the_order_of_sorted_paths(tmp_path: Path) -> None:
    for name in "a.txt a/z.txt a/b/c.txt a-b/x.txt a+b.txt B.txt a/.hid.txt .git/x.txt a/out/y.txt a/n.md".split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    paths = [path for path in sorted(tmp_path.rglob("*.txt")) if "/." not in str(path.relative_to(tmp_path.parent))]
    expected = [path for path in paths if "out" not in path.parts and "loop" not in path.parts]
    files = list(note_files(tmp_path, ".txt", tmp_path / "a" / "out"))
    assert files.pop() == Unreadable("loop", "linked_folder")
    assert files == expected
    assert len(expected) == 6


def test_each_id_is_first_exactly_once() -> None:
    names = ["a", "b", "", "a\0", "é", "a" * 5000, "A"]
    with SeenIds() as seen:
        assert [seen.first(name) for name in names] == [True] * len(names)
        assert not any(seen.first(name) for name in names)


def test_a_slice_returns_the_notes_that_were_written(tmp_path: Path) -> None:
    notes: list[Note | Unreadable] = [
        Note("a", "\ufeffx\r\n\0y\x0c"),
        Unreadable("b", "encoding", "byte 3"),
        Unreadable("a", "duplicate_id"),
        Note("c", "No x-ray", ((Token("No", 0, 2), Token("x-ray", 3, 8)),)),
        Note("d", "", ()),
    ]
    path = tmp_path / "notes.parquet"
    assert shard_digest(path) is None
    write_shard(notes, path, "digest1")
    assert shard_digest(path) == "digest1"
    assert list(read_shard(path)) == notes
    path.write_bytes(path.read_bytes()[:50])
    assert shard_digest(path) is None
