"""Context and members by command, with MiniLM's weights: training, runs and annotation read the same text around a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinspan import lms
from clinspan.corpora import Sentence
from clinspan.corpora.neighbours import with_neighbours
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.sources import RareMini
from clinspan.programs.annotation.annotator import Annotator
from clinspan.programs.inference.token_classifier import ClassifierTagger
from conftest import Command, command_in, folder_of, load, records

SHORT = ["tuning=encoder", "limit=48", "dev_limit=12", "tuning.epochs=1", "tuning.batch_size=8", "tuning.learning_rate=0.002"]
PART = ["split=dev", "limit=12", "report=false"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and standard output of two MiniLM classifiers that read context."""
    done = command_in(tmp_path_factory.mktemp("tuned"))("finetune", *SHORT, "tuning.context=32", "tuning.members=2")
    return folder_of(done), done.stdout


@pytest.fixture(scope="module")
def tagger(tuned: tuple[Path, str]) -> ClassifierTagger:
    return ClassifierTagger(lms.build_classifier(lms.ClassifierModel(name="minilm", path=str(tuned[0] / "model"))), 4)


def dev() -> list[Sentence]:
    """The dev sentences with the words around them in their documents."""
    split = RareMini(labels=None, definitions={}).load().splits["dev"]
    return [sentence for document in split for sentence in with_neighbours(document.sentences, 32)]


def tags(tagger: ClassifierTagger, sentences: list[Sentence]) -> dict[str, Any]:
    return {sentence.id: record["pred"] for sentence, record in tagger.tag_all(sentences)}


def test_a_training_of_members_says_what_each_reached_and_what_they_reach_together(tuned: tuple[Path, str]) -> None:
    folder, printed = tuned
    record = load(folder / "run.json")
    assert [(epoch["member"], epoch["number"]) for epoch in record["epochs"]] == [(1, 1), (2, 1)]
    assert f"dev F1 of the averaged probabilities: {record['members_f1']:.4f}" in printed
    assert printed.count("kept") == 2
    assert f"{record['seconds']:.0f} s" in printed
    note = load(folder / "model" / "tuning.json")
    assert (note["context"], note["members"]) == (32, 2)


def test_a_run_reads_the_text_around_its_sentences(tuned: tuple[Path, str], tagger: ClassifierTagger, command: Command) -> None:
    done = command("run", f"program={tuned[0]}", *PART)
    rows = records(folder_of(done))
    assert load(folder_of(done) / "scores.json")["micro"]["f1"] == pytest.approx(load(tuned[0] / "run.json")["members_f1"])
    assert {row["id"]: row["pred"] for row in rows} == tags(tagger, dev()[:12])
    alone = {
        record["id"]: record["usage"]["pieces"] for _, record in tagger.tag_all([replace(s, before=(), after=()) for s in dev()])
    }
    assert all(alone[row["id"]] < row["usage"]["pieces"] <= alone[row["id"]] + 32 for row in rows)


def test_gold_tags_around_a_sentence_are_not_read(tagger: ClassifierTagger) -> None:
    split = RareMini(labels=None, definitions={}).load().splits["dev"][:2]
    plain = [replace(s, tags=("O",) * len(s.tags)) for document in split for s in with_neighbours(document.sentences, 32)]
    assert tags(tagger, plain) == tags(tagger, dev()[: len(plain)])


def test_annotating_reads_the_neighbours_in_the_note(tuned: tuple[Path, str], tagger: ClassifierTagger) -> None:
    annotator = Annotator.load(tuned[0])
    text = "Wilson disease is rare. It causes tremor and jaundice. Patients have Kayser-Fleischer rings."
    heard: list[Sentence] = []

    def tag_all(sentences: Any) -> Any:
        heard.extend(sentences)
        return tagger.tag_all(sentences)

    (outcome,) = annotator.annotate([Note("a", text)], tag_all=tag_all)
    assert outcome.annotated is not None
    words = [s.words for s in heard]
    assert len(words) == 3
    assert [s.before for s in heard] == [(), words[0], words[0] + words[1]]
    assert [s.after for s in heard] == [words[1] + words[2], words[2], ()]


def test_a_corpus_without_documents_is_read_without_context(tuned: tuple[Path, str], command: Command, tmp_path: Path) -> None:
    lines = "".join(f"{word}\t{tag}\n" for word, tag in [("no", "O"), ("fever", "B-Sign"), (".", "O")])
    for name in ("train", "devel"):
        (tmp_path / f"{name}.tsv").write_text(f"{lines}\n" * 12)
    where = ["corpus=conll", f"corpus.path={tmp_path}", "corpus.name=tiny"]
    done = command("finetune", *where, *SHORT, "tuning.context=16")
    assert done.stderr.count("in tiny train no document has several sentences, so none is read with the text around it") == 1
    assert load(folder_of(done) / "model" / "tuning.json")["context"] == 16


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tuning.context=300", "tuning.context=300 leaves no room for a sentence in tuning.max_length=256. Use at most 240"),
        ("tuning.context=x", "tuning.context=x is not a whole number or null"),
        ("tuning.members=0", "tuning.members=0 is too small"),
        ("tuning.layer_decay=2", "tuning.layer_decay=2 is not above 0 and at most 1"),
    ],
)
def test_bad_values_end_the_command(command: Command, setting: str, message: str) -> None:
    done = command("finetune", *SHORT, setting)
    assert (done.returncode, message in done.stderr) == (2, True)
