"""Tests of the program that ships with clinspan, `program=bundled`."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan import Annotator
from clinspan.lms import LocalModel
from clinspan.programs.building.library import load_corpus
from clinspan.programs.building.load_program import BUNDLED, read_program
from conftest import Command, folder_of, load, records

_NOTE = '{"id": "a", "text": "Fever.", "entities": [{"start": 0, "end": 5, "label": "Finding"}]}\n'


def test_its_demonstrations_are_train_sentences_that_show_every_type() -> None:
    corpus = load_corpus()
    train = {sentence.id: sentence for sentence in corpus.sentences("train")}
    demos = read_program(BUNDLED)["tag"]["demos"]
    assert all(tuple(demo["tokens"]) == train[demo["id"]].words for demo in demos)
    shown = {tag[2:] for demo in demos for tag in demo["tags"] if tag != "O"}
    assert shown == {label.name for label in corpus.labels}
    assert not {tuple(demo["tokens"]) for demo in demos} & {s.words for split in ("dev", "test") for s in corpus.sentences(split)}


@pytest.mark.weights
def test_it_tags_the_bundled_corpus_by_its_fitted_decisions(command: Command, smollm2: LocalModel) -> None:
    folder = folder_of(command("run", "program=bundled", "limit=6"))
    record = load(folder / "run.json")
    assert record["config"]["format"]["decisions"]["fingerprint"], "belongs to this prompt and model, else it is refused"
    assert sum(tag.startswith("B-") for row in records(folder) for tag in row["pred"]) >= 4
    assert all(row["usage"]["passes"] == 1 for row in records(folder))
    assert load(folder / "scores.json")["micro"]["f1"] > 0.2


@pytest.mark.long
@pytest.mark.weights
def test_it_annotates_notes_with_the_counts_of_its_train_split(smollm2: LocalModel) -> None:
    found = Annotator.load("bundled", phi=False)("She has Wilson disease with tremor.")
    assert [(mention.label, mention.text) for mention in found.mentions] == [("RareDisease", "Wilson disease"), ("Sign", "tremor")]


def test_it_is_refused_for_another_corpus(command: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(_NOTE, encoding="utf-8")
    done = command("run", "program=bundled", "corpus=jsonl", "corpus.path=notes.jsonl")
    assert done.returncode == 2
    assert "labels" in done.stderr
