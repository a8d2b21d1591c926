"""Tests of splits that are made here: whole documents and groups, the shares asked for, balanced by label, the same for a seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.division import stratified
from clinspan.corpora.sources import Brat, Conll
from clinspan.programs.rundir.open_run import corpus_entry
from clinspan.programs.rundir.run_record import RunFacts
from conftest import Command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty notes of twenty patients; every tenth note has the rare label."""
    folder = tmp_path_factory.mktemp("notes")
    for number in range(60):
        name = f"p{number % 20:02}_{number // 20}"
        label = "Rare" if number % 10 == 0 else "Sign"
        (folder / f"{name}.txt").write_text("Has fever. And a rash.")
        (folder / f"{name}.ann").write_text(f"T1\t{label} 4 9\tfever\nT2\tSign 17 21\trash\n")
    return folder


def divided(folder: Path, **keys: Any) -> Corpus:
    return Brat(path=str(folder), **keys).load()


def ids(corpus: Corpus) -> dict[str, list[str]]:
    return {split: [document.id for document in documents] for split, documents in corpus.splits.items()}


def test_a_flat_folder_is_divided_by_the_shares_and_by_label(folder: Path) -> None:
    corpus = divided(folder, split=[0.5, 0.25, 0.25])
    assert {split: len(documents) for split, documents in corpus.splits.items()} == {"train": 30, "dev": 15, "test": 15}
    rare = {split: sum("B-Rare" in s.tags for s in corpus.sentences(split)) for split in corpus.splits}
    assert rare["train"] == 3 and rare["dev"] + rare["test"] == 3 and min(rare.values()) >= 1
    assert ids(divided(folder, split=[0.5, 0.25, 0.25])) == ids(corpus)
    assert ids(divided(folder, split=[0.5, 0.25, 0.25], split_seed=1)) != ids(corpus)
    assert list(divided(folder, split=[0.8, 0.2]).splits) == ["train", "test"]


def test_documents_of_a_group_stay_together(folder: Path) -> None:
    corpus = divided(folder, split=[0.6, 0.2, 0.2], group="^(p[0-9]+)_")
    patients = {split: {name.split("_")[0] for name in names} for split, names in ids(corpus).items()}
    assert sum(map(len, patients.values())) == len(set().union(*patients.values())) == 20
    with pytest.raises(InputError, match="does not match the document p00_0"):
        divided(folder, split=[0.6, 0.2, 0.2], group="^(q[0-9]+)_")


def test_folds_cover_every_document_once(folder: Path) -> None:
    tests: list[str] = []
    for fold in range(5):
        names = ids(divided(folder, folds=5, fold=fold))
        assert sum(map(len, names.values())) == len({name for part in names.values() for name in part}) == 60
        assert [len(names[split]) for split in ("train", "dev", "test")] == [36, 12, 12]
        tests += names["test"]
    assert len(tests) == len(set(tests)) == 60
    assert list(ids(divided(folder, folds=2, fold=0))) == ["train", "test"]


def test_a_run_lists_the_documents_of_its_splits(folder: Path, tmp_path: Path) -> None:
    corpus = divided(folder, split=[0.6, 0.2, 0.2])
    assert corpus_entry(RunFacts(), corpus, "test", tmp_path).documents == ids(corpus)
    assert corpus_entry(RunFacts(), divided(folder), "test", tmp_path).documents is None


def test_convert_writes_the_division(folder: Path, command: Command, tmp_path: Path) -> None:
    words = ["corpus=brat", f"corpus.path={folder}", "corpus.split=[.6,.2,.2]"]
    assert command("convert", *words, "to=brat", "output=made").returncode == 0
    assert ids(Brat(path=str(tmp_path / "made")).load()) == {
        split: sorted(names) for split, names in ids(divided(folder, split=[0.6, 0.2, 0.2])).items()
    }
    done = command("stats", *words, "--json")
    assert {split: part["documents"] for split, part in json.loads(done.stdout)["splits"].items()} == {
        "train": 36,
        "dev": 12,
        "test": 12,
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"split": [0.5, 0.4]}, r"corpus\.split=\[0\.5,0\.4\] is not a division"),
        ({"split": [1.0]}, "is not a division"),
        ({"split": [0.5, 0.5, 0.0]}, "is not a division"),
        ({"split": [0.5, 0.5], "folds": 3}, "are both set"),
        ({"folds": 1}, "corpus.folds=1"),
        ({"folds": 3, "fold": 3}, "corpus.fold=3"),
        ({"folds": 3}, r"corpus\.folds=3 without corpus\.fold means all folds, .* corpus\.fold=0 to 2"),
        ({"folds": 61, "fold": 0}, "60 documents, too few for 61 parts"),
        ({"folds": 21, "fold": 0, "group": "^p[0-9]+"}, "20 groups, too few for 21 parts"),
        ({"split": [0.5, 0.5], "group": "("}, "corpus.group is not a regular expression"),
    ],
)
def test_what_cannot_be_divided_is_refused(folder: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        divided(folder, **keys)


def test_splits_that_a_corpus_has_are_kept(ncbi: Path) -> None:
    with pytest.raises(InputError, match="has the splits train, dev, test already"):
        Conll(path=str(ncbi), split=[0.5, 0.5]).load()


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=3, max_size=30), st.integers(0, 9))
def test_no_part_is_empty_and_sizes_are_near_the_shares(counts: list[int], seed: int) -> None:
    labels = [Counter({"A": n} if n else {}) for n in counts]
    parts = stratified(labels, [1] * len(counts), [0.5, 0.25, 0.25], random.Random(seed))
    assert set(parts) == {0, 1, 2}
    mentions = [sum(n for n, part in zip(counts, parts, strict=True) if part == number) for number in range(3)]
    if sum(counts) >= 8:
        assert all(abs(own - share * sum(counts)) <= 4 for own, share in zip(mentions, (0.5, 0.25, 0.25), strict=True))
