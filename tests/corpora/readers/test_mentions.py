"""Tables of mentions beside texts: where texts are, which split they belong to, and rows that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import Csv
from conftest import Command

HEADER = "document,start,end,label,text\n"


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    return folder


def load(folder: Path, files: dict[str, str], **settings: Any) -> Corpus:
    return Csv(path=str(put(folder, files)), **settings).load()


def found(corpus: Corpus) -> dict[str, dict[str, list[str]]]:
    """The text of each mention by split and document."""
    return {
        split: {document.id: [document.text[e.start : e.end] for e in document.entities] for document in documents}
        for split, documents in corpus.splits.items()
    }


@pytest.mark.parametrize(
    "files",
    [
        {"mentions.csv": HEADER + "a,3,8,Sign,fever\n", "a.txt": "No fever.", "b.txt": "Well."},
        {"mentions.csv": HEADER + "a.txt,3,8,Sign,fever\n", "texts/a.txt": "No fever.", "texts/b.txt": "Well."},
        {"m.csv": "id,start,end,label\na,3,8,Sign\n", "t.csv": "id,text\na,No fever.\nb,Well.\n"},
        {"m.tsv": "label\tend\tstart\tdoc\nSign\t8\t3\ta\n", "t.csv": 'document;text;x\na;"No fever.";1\nb;Well.;2\n'},
        {"m.csv": (HEADER + "a,3,8,Sign,fever\n").replace("\n", "\r"), "a.txt": "No fever.", "b.txt": "Well."},
        {"m.csv": "\ufeffDocument;Begin;End;Type\r\na;3;8;Sign\r\nb;;;\r\n", "a.txt": "No fever.", "b.txt": "Well."},
    ],
    ids=["texts beside", "a folder of texts", "a table of texts", "other delimiters", "carriage returns", "other columns"],
)
def test_mentions_and_texts_are_found_in_each_layout(tmp_path: Path, files: dict[str, str]) -> None:
    corpus = load(tmp_path, files)
    assert found(corpus) == {"test": {"a": ["fever"], "b": []}}
    assert [" ".join(s.tags) for s in corpus.splits["test"][0].sentences] == ["O B-Sign O"]
    assert not corpus.passed_over


def test_texts_may_be_elsewhere_and_a_single_table_is_test(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"m/mentions.csv": HEADER + "a,3,8,Sign,\n", "m/notes.md": "x", "t/a.txt": "No fever.", "t.csv": "id,text\na,No fever.\n"},
    )
    for texts in ("t", "t.csv"):
        corpus = Csv(path=str(tmp_path / "m"), texts=str(tmp_path / texts)).load()
        assert found(corpus) == {"test": {"a": ["fever"]}} and corpus.passed_over == {".md": 1}
        one = Csv(path=str(tmp_path / "m" / "mentions.csv"), texts=str(tmp_path / texts)).load()
        assert found(one) == {"test": {"a": ["fever"]}}


def test_texts_belong_to_the_split_of_their_path_or_of_their_mentions(tmp_path: Path) -> None:
    shared = {
        "train.csv": HEADER + "a,3,8,Sign,fever\n",
        "test.csv": HEADER + "b,0,4,Sign,Rash\n",
        "texts/a.txt": "No fever.",
        "texts/b.txt": "Rash.",
        "texts/c.txt": "Well.",
        "guide.pdf": "",
    }
    corpus = load(tmp_path / "shared", shared)
    assert found(corpus) == {"train": {"a": ["fever"]}, "test": {"b": ["Rash"]}}
    assert corpus.passed_over == {"texts of no split with mentions": 1, ".pdf": 1}
    folders = {
        "train/mentions.csv": HEADER + "a,3,8,Sign,fever\n",
        "train/a.txt": "No fever.",
        "train/c.txt": "Well.",
        "test/mentions.csv": HEADER + "a,0,4,Sign,Rash\n",
        "test/a.txt": "Rash.",
        "dev/d.txt": "Well.",
    }
    corpus = load(tmp_path / "folders", folders)
    assert found(corpus) == {"train": {"a": ["fever"], "c": []}, "test": {"a": ["Rash"]}}
    assert corpus.passed_over == {"texts of no split with mentions": 1}


def test_long_texts_with_line_ends_and_offsets_in_another_unit(tmp_path: Path) -> None:
    text = "🤢 has rash.\n" + "x " * 70_000
    corpus = load(tmp_path, {"m.csv": HEADER + "a,7,11,Sign,rash\n", "t.csv": f'document,text\na,"{text}"\n'})
    assert found(corpus) == {"test": {"a": ["rash"]}}
    assert corpus.conversion["test"] == {"utf16_offsets": 1}


def test_mentions_that_differ_from_the_text_and_policies_are_counted(tmp_path: Path) -> None:
    rows = "a,3,8,Sign,cough\na,0,8,Long,No fever\na,4,8,Part,ever\n,,,,\n"
    corpus = load(tmp_path, {"m.csv": HEADER + rows, "a.txt": "No fever."}, partial="drop")
    assert corpus.conversion["test"] == {"mention_differs_from_text": 1, "overlap_longest": 1, "partial_drop": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,3,8,Sign,fever", "mentions the document x, which has no text"),
        ("a,3,99,Sign,fever", r"the span ends at 99, past the end of the text \(9 characters\)"),
        ("a,8,3,Sign,fever", "'8' to '3' is not a span"),
        ("a,3.0,8,Sign,fever", "'3.0' to '8' is not a span"),
        ("a,²,8,Sign,fever", "is not a span"),
        ("a,3,,Sign,fever", "'3' to '' is not a span"),
        ("a,3,8,,fever", "is not a BIO tag"),
        ("a,3,8,Sign", "has 4 fields, but the header has 5"),
        ("a,3,8,Sign,fever,x", "has 6 fields, but the header has 5"),
        ('a,3,8,Sign,"fever', "is not a table"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, {"m.csv": f"{HEADER}a,0,2,Sign,No\n{row}\n", "a.txt": "No fever."})
    assert caught.value.line in (3, 4) and caught.value.path == tmp_path / "m.csv"


def test_missing_and_repeated_texts_are_refused(tmp_path: Path) -> None:
    mentions = HEADER + "a,3,8,Sign,fever\n"
    with pytest.raises(InputError, match=r"holds no texts\. Put \.txt files or a table"):
        load(tmp_path / "none", {"m.csv": mentions})
    with pytest.raises(InputError, match="gives a second text for a"):
        load(tmp_path / "twice", {"m.csv": mentions, "x/a.txt": "No fever.", "y/a.txt": "No rash."})
    with pytest.raises(InputError, match=r"t\.csv:3: gives a second text for a"):
        load(tmp_path / "rows", {"m.csv": mentions, "t.csv": "id,text\na,x\na,y\n"})
    with pytest.raises(InputError, match=r"holds no \.csv, \.tsv file"):
        load(tmp_path / "texts", {"a.txt": "No fever."})


def test_the_command_reads_tables_with_overrides(command: Command, tmp_path: Path) -> None:
    put(tmp_path, {"m/dev.csv": HEADER + "a,3,8,Sign,fever\n", "t/a.txt": "No fever."})
    done = command("stats", "corpus=csv", "corpus.path=m", "corpus.texts=t", "corpus.tokenizer=whitespace", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)["splits"]
    assert table["dev"]["entities"] == {"Sign": 1} and table["dev"]["conversion"] == {"partial_expand": 1}
