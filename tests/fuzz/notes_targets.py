"""Readers of unannotated texts: each gives notes and known kinds of failure for any file content."""

from __future__ import annotations

import encodings.aliases
import io
from pathlib import Path

import pyarrow
import pyarrow.parquet

from clinspan.corpora import InputError
from clinspan.corpora.annotated import Annotated, Mention, note_tags
from clinspan.corpora.file_names import file_name
from clinspan.corpora.readers.notes import Note, read_notes, Unreadable
from clinspan.corpora.writers.bioc import bioc_json, bioc_xml
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.annotation.state import digest_of
from clinspan.reports.page.note_html import note_page
from fuzz.target import Target, text_of, written

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32-le", *sorted(set(encodings.aliases.aliases.values())))
KINDS = {"encoding", "not_json", "no_text", "surrogate", "unreadable", "duplicate_id"}


def checked(path: Path, encoding: str = "utf-8") -> list[Note | Unreadable]:
    """The checked notes; an empty list if the file was refused as documented."""
    try:
        notes = list(read_notes(path, encoding=encoding))
    except InputError:
        return []
    for note in notes:
        assert note.id.encode()
        assert len(file_name(note.id)) < 1500
        if isinstance(note, Unreadable):
            assert note.error in KINDS
        else:
            check_note(note)
    return notes


def check_note(note: Note) -> None:
    """Check that a note is cut without loss, and that each format can write it with every second token as a mention."""
    note.text.encode()
    assert len(digest_of(note)) == 64
    cut, _, _ = Segmenter(longest=5)(note)
    tokens = [token for sentence in cut for token in sentence]
    assert all(note.text[token.start : token.end] == token.text for token in tokens)
    bare = note.text.removeprefix("\ufeff") if note.cut is None else note.text
    assert "".join(token.text for token in tokens) == "".join(bare.split()) or note.cut is not None
    mentions = tuple(Mention(t.start, t.end, "Sign", t.text, 0.5) for t in tokens[::2])
    annotated = Annotated(note.id, note.text, tuple(cut), mentions, "m", "p")
    assert [tag for row in note_tags(annotated) for tag in row] == [("B-Sign", "O")[n % 2] for n in range(len(tokens))]
    assert bioc_json(annotated)
    assert bioc_xml(annotated)
    assert note_page(annotated, ["Sign"])


def read_text_file(data: bytes) -> None:
    number, _, text = data.partition(b"\n")
    encoding = ENCODINGS[sum(number) % len(ENCODINGS)]
    notes = checked(written("note.txt", text), encoding)
    for note in notes:
        if isinstance(note, Note) and encoding == "utf-8":
            assert note.text.encode() == text


def read_json_lines(data: bytes) -> None:
    checked(written("n.jsonl", data), ENCODINGS[sum(data[:2]) % 4] if data[:1] == b"#" else "utf-8")


def read_columns(data: bytes) -> None:
    for note in checked(written("n.conll", data)):
        if isinstance(note, Note):
            assert note.cut


def read_table(data: bytes) -> None:
    """Read the bytes as a Parquet file, or as the rows of two columns in a valid file."""
    if data[:4] == b"PAR1":
        checked(written("n.parquet", data))
        return
    rows = data.split(b"\n")
    columns = {"id": pyarrow.array([row[:3] for row in rows], pyarrow.binary()), "text": pyarrow.array(rows, pyarrow.binary())}
    loose = {name: pyarrow.Array.from_buffers(pyarrow.string(), len(rows), column.buffers()) for name, column in columns.items()}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(loose if len(data) % 2 else columns), sink)
    notes = checked(written("n.parquet", sink.getvalue()))
    assert len(notes) == len(rows)


def name_file(data: bytes) -> None:
    """Check that different names have different paths, and that no path leaves its folder."""
    first, _, second = text_of(data).encode("utf-8", "replace").decode().partition("\n")
    paths = [file_name(name) for name in (first, second)]
    assert (first == second) == (paths[0] == paths[1])
    for path in paths:
        assert not path.startswith("/")
        assert NOT_UP.isdisjoint(path.split("/"))
        assert len(path.encode()) < 1500
        assert all(len(part.encode()) <= 200 for part in path.split("/"))


NOT_UP = {"", ".", ".."}


def _parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a", "b"], "text": ["No fever", None]}), sink)
    return sink.getvalue()


_SENTENCE = "\ufeffHPI:\r\nNo\xa0fever, e.g. none.\x0cRash e\u0301 \u202e\u200b\x00\x85\u2028- item\n1. x"
TARGETS = {
    "notes_text": Target(
        read_text_file,
        (*(bytes([n]) + b"\n" + _SENTENCE.encode(name) for n, name in enumerate(ENCODINGS[:4])), b"\x07\nabc-\xff\xfe\x80"),
        (". ", "Dr.", "\r\n", "\x0c", "\t", "\xa0", "   ", ":", "- ", "\ufeff", "\u2028", "|", "xn--", "+AGE-", "\\u"),
    ),
    "notes_jsonl": Target(
        read_json_lines,
        (
            b'{"id": "a", "text": "No fever."}\n{"text": "x"}\n',
            b'{"id": "../a", "text": "\\ud800"}',
            b"[" * 2000,
            b"9" * 5000,
            '#"\n{"id": "a", "text": "é"}'.encode("utf-16-le"),
        ),
        ('"id":', '"text":', "null", "\\ud83d\\ude00", "\\udc00", "{}", "[]", "NaN", "1e999", "\ufeff"),
    ),
    "notes_conll": Target(
        read_columns,
        (b"-DOCSTART-\tO\n\nNo\tO\nfever\tB-Sign\n\nRash\tO\n", "a b c\nd\n\n\x85\n\u2028\tO".encode()),
        ("-DOCSTART-", "\t", "\n\n", "\r\n", "\xa0", "\x1c", "\u3000"),
    ),
    "notes_parquet": Target(read_table, (_parquet(), b"No fever\n\xff\xfe", b"a\n\n"), ("PAR1",)),
    "file_name": Target(
        name_file, (b"../a\n%2E./a", b"a/%\na//", b"a" * 250 + b"\n" + b"a/" * 900), ("/", "..", "%", "%2E", "\\", "é")
    ),
}
