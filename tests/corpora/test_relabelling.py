"""Tests of labels that are merged, renamed or left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import Entity, InputError
from clinspan.corpora.sources import Brat, Conll
from conftest import Command

TEXT = "Severe chest pain today."
ANN = "T1\tSign 0 17\tSevere chest pain\nT2\tSymptom 7 17\tchest pain\nT3\tTime 18 23\ttoday\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text(TEXT)
    (tmp_path / "notes" / "a.ann").write_text(ANN)
    return tmp_path / "notes"


def test_labels_are_merged_and_left_out(folder: Path) -> None:
    corpus = Brat(path=str(folder), map={"Sign": "Finding", "Symptom": "Finding", "Time": None}).load()
    (sentence,) = corpus.sentences("test")
    assert [label.name for label in corpus.labels] == ["Finding"]
    assert sentence.tags == ("B-Finding", "I-Finding", "I-Finding", "O", "O")
    assert sentence.mentions == (Entity("Finding", ((0, 17),)), Entity("Finding", ((7, 17),)))
    assert corpus.conversion["test"]["left_out_by_map"] == 1


def test_a_mention_that_is_left_out_displaces_no_other(folder: Path) -> None:
    (sentence,) = Brat(path=str(folder), map={"Sign": None}).load().sentences("test")
    assert sentence.tags == ("O", "B-Symptom", "I-Symptom", "B-Time", "O")


def test_labels_and_definitions_are_those_after_the_map(folder: Path) -> None:
    keys = {"map": {"Sign": "Finding", "Symptom": None, "Time": None}, "definitions": {"Finding": "what is found"}}
    corpus = Brat(path=str(folder), labels=["Finding"], **keys).load()  # type: ignore[arg-type]
    assert [(label.name, label.definition) for label in corpus.labels] == [("Finding", "what is found")]
    with pytest.raises(InputError, match="has tags of the label Time, which corpus.labels lacks"):
        Brat(path=str(folder), labels=["Finding"], map={"Sign": "Finding", "Symptom": None}).load()
    with pytest.raises(InputError, match=r"corpus\.map names Drug, which is not a label. The labels are Sign, Symptom, Time"):
        Brat(path=str(folder), map={"Drug": None}).load()


def test_tags_of_column_files_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("No\tO\nskin\tB-Sign\nrash\tI-Sign\ntoday\tB-Time\n")
    (sentence,) = Conll(path=str(tmp_path), map={"Sign": "Finding", "Time": None}).load().sentences("test")
    assert sentence.tags == ("O", "B-Finding", "I-Finding", "O")


def test_a_map_is_given_on_the_command_line(folder: Path, command: Command) -> None:
    done = command(
        "stats", "corpus=brat", "corpus.path=notes", "corpus.map={Sign: Finding, Symptom: Finding, Time: null}", "--json"
    )
    assert done.returncode == 0 and '"entities": {"Finding": 1}' in done.stdout
