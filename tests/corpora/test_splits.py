"""Splits by the names of files and folders: each kind of name, what is passed over, and what cannot be decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import Brat, Conll, Jsonl, PubTator
from clinspan.corpora.splits import find_splits, split_within

ROW = "rash\tB-Sign\n"
SUFFIXES = (".tsv", ".conll", ".txt")


def put(folder: Path, *names: str, content: str = ROW) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def places(folder: Path) -> dict[str, list[str]]:
    found = find_splits(folder, SUFFIXES).places
    return {split: [file.relative_to(folder).as_posix() for file in place.files] for split, place in found.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.tsv", "devel.tsv", "test.tsv"], {"train": ["train.tsv"], "dev": ["devel.tsv"], "test": ["test.tsv"]}),
        (["AnEM.train", "AnEM.test"], {"train": ["AnEM.train"], "test": ["AnEM.test"]}),
        (
            ["wnut17train.conll", "emerging.dev.conll", "emerging.test.conll"],
            {"train": ["wnut17train.conll"], "dev": ["emerging.dev.conll"], "test": ["emerging.test.conll"]},
        ),
        (["NER-validation.tsv", "GoldTrainingSet.tsv"], {"train": ["GoldTrainingSet.tsv"], "dev": ["NER-validation.tsv"]}),
        (
            ["train/x.conll", "train/a/y.conll", "Valid/x.conll"],
            {"train": ["train/a/y.conll", "train/x.conll"], "dev": ["Valid/x.conll"]},
        ),
        (["data/train/x.conll", "data/test/x.conll"], {"train": ["data/train/x.conll"], "test": ["data/test/x.conll"]}),
        (["data/train.tsv", "data/test.tsv"], {"train": ["data/train.tsv"], "test": ["data/test.tsv"]}),
        (
            ["CG_training_data/x.conll", "CG_test_data/x.conll"],
            {"train": ["CG_training_data/x.conll"], "test": ["CG_test_data/x.conll"]},
        ),
        (
            ["train-00000-of-00002.tsv", "train-00001-of-00002.tsv"],
            {"train": ["train-00000-of-00002.tsv", "train-00001-of-00002.tsv"]},
        ),
        (["note1.conll", "ward/note2.conll"], {"test": ["note1.conll", "ward/note2.conll"]}),
        (["latest.conll", "retrieval.conll"], {"test": ["latest.conll", "retrieval.conll"]}),
        (["train.tsv", "train.txt", "dev.tsv"], {"train": ["train.tsv"], "dev": ["dev.tsv"]}),
        (["train.tsv", "dev.txt"], {"train": ["train.tsv"], "dev": ["dev.txt"]}),
        (["train.tsv", "train_dev.tsv", "dev.tsv"], {"train": ["train.tsv"], "dev": ["dev.tsv"]}),
        (["train.tsv", "train_old.tsv"], {"train": ["train.tsv"]}),
        (["corpus.tsv", "README.txt", "LICENSE.txt"], {"test": ["corpus.tsv"]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_each_kind_of_name_gives_its_split(tmp_path: Path, names: list[str], expected: Mapping[str, list[str]]) -> None:
    assert places(put(tmp_path, *names)) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train_a.tsv", "train_b.tsv"], r"holds train_a\.tsv and train_b\.tsv\. .*each would be the split train"),
        (["dev/a.conll", "valid/a.conll"], "holds dev and valid"),
        (["a.tsv", "b.conll"], r"does not say by names which are the splits: a\.tsv, b\.conll\. Name them train, dev and test"),
        (["ward_test.conll", "ward_two.conll"], r"which are the splits: ward_test\.conll, ward_two\.conll"),
        (["en/train.conll", "de/train.conll"], r"which are the splits: de/train\.conll, en/train\.conll"),
        (["train_dev.tsv"], r"which are the splits: train_dev\.tsv"),
        (["a.pdf"], r"holds no \.tsv, \.conll, \.txt file"),
        ([f"{n}.conll" for n in range(9)] + ["x.tsv"], r"7\.conll and 2 more"),
    ],
)
def test_what_names_do_not_decide_is_refused_with_the_files(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        places(put(tmp_path, *names))


@pytest.mark.parametrize("name", ["devtest", "trainval", "latest", "contest", "evaluation", "Genia4EReval1", "interval", "corpus"])
def test_names_with_two_splits_or_another_word_name_none(name: str) -> None:
    assert split_within(name) is None


def test_entries_that_are_not_read_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "data/train/x.conll", "data/train/x.md", "data/old/x.conll", "data/LICENSE.txt", "about.pdf")
    found = find_splits(tmp_path, SUFFIXES)
    assert found.passed_over == {".md": 1, "old/": 1, ".txt": 1, ".pdf": 1}


def test_a_given_name_comes_before_other_names(tmp_path: Path) -> None:
    put(tmp_path, "mine.txt", "train.tsv", "test.tsv")
    found = find_splits(tmp_path, SUFFIXES, {"test": "mine.txt"})
    assert {split: place.files[0].name for split, place in found.places.items()} == {"train": "train.tsv", "test": "mine.txt"}
    assert found.passed_over == {".tsv": 1}


def ids(corpus: Corpus) -> dict[str, list[str]]:
    return {split: [document.id for document in documents] for split, documents in corpus.splits.items()}


def test_every_reader_finds_the_splits(tmp_path: Path) -> None:
    put(tmp_path / "conll", "AnEM.train", "AnEM.test")
    assert ids(Conll(path=str(tmp_path / "conll")).load()) == {"train": ["AnEM-0"], "test": ["AnEM-0"]}
    put(tmp_path / "jsonl", "data/train/a.jsonl", "data/test/a.jsonl", content=json.dumps({"text": "Rash."}))
    assert ids(Jsonl(path=str(tmp_path / "jsonl")).load()) == {"train": ["a-1"], "test": ["a-1"]}
    put(tmp_path / "pubtator", "train/a.txt", "train/b.txt", "test/c.txt", content="1|t|Rash.\n")
    put(tmp_path / "pubtator", "train/b.txt", content="2|t|Rash.\n")
    assert ids(PubTator(path=str(tmp_path / "pubtator")).load()) == {"train": ["1", "2"], "test": ["1"]}
    put(tmp_path / "brat", "corpus/CG_training_data/a.txt", "corpus/CG_test_data/b.txt", content="Rash.")
    assert ids(Brat(path=str(tmp_path / "brat")).load()) == {"train": ["a"], "test": ["b"]}


def test_several_files_of_a_split_are_documents_and_share_their_scheme(tmp_path: Path) -> None:
    put(tmp_path, "one.conll", content="a\tI-Sign\n\nb\tO\n")
    put(tmp_path, "two.conll", content="a\tB-Sign\nb\tI-Sign\n")
    corpus = Conll(path=str(tmp_path)).load()
    assert ids(corpus) == {"test": ["one-0", "two-0"]}
    assert corpus.conversion["test"] == {"orphan_i_kept": 1}  # alone, the first file would be IOB1
    assert [len(document.sentences) for document in corpus.splits["test"]] == [2, 1]
