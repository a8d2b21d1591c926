"""Tests of training and running token classifiers by command, with MiniLM's weights on a few sentences of raremini."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from clinspan import lms
from clinspan.corpora import InputError
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.sources import RareMini
from clinspan.corpora.tag_layers import layer_classes
from clinspan.corpora.viterbi import Lattice
from clinspan.lms.classifiers.classifier import Reading
from clinspan.programs.building.build_classifier import check_classes
from clinspan.programs.building.load_program import read_program
from clinspan.programs.config.classifier_config import prompted, without_prompt
from clinspan.programs.inference.token_classifier import tagged
from conftest import Command, command_in, folder_of, load, records
from support.tiny_models import random_bert

LABELS = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
SHORT = [
    "tuning=encoder",
    "limit=96",
    "dev_limit=40",
    "tuning.epochs=4",
    "tuning.batch_size=8",
    "tuning.learning_rate=0.001",
    "tuning.decisions=tags",
]
PART = ["split=dev", "limit=40"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a MiniLM classifier after 48 training steps."""
    return folder_of(command_in(tmp_path_factory.mktemp("tuned"))("finetune", *SHORT))


@pytest.fixture(scope="module")
def ran(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and standard output of a run with that classifier."""
    done = command_in(tmp_path_factory.mktemp("ran"))("run", f"program={tuned}", *PART)
    return folder_of(done), done.stdout


def test_a_training_leaves_a_record_and_a_model_that_is_a_program(tuned: Path) -> None:
    assert sorted(path.name for path in tuned.iterdir()) == ["model", "program.json", "run.json", "run.log"]
    record = load(tuned / "run.json")
    assert record["status"] == "finished"
    assert record["choices"]["model"] == "minilm"
    assert not {"strategy", "format", "prompt", "retriever"} & (record["choices"].keys() | record["config"].keys())
    assert record["records"] == {"train": 96, "dev": 40, "left_out": {}}
    assert (record["steps"], record["use"], record["model"]["id"]) == (48, "model.path", "minilm")
    losses = [epoch["train_loss"] for epoch in record["epochs"]]
    assert losses[-1] < losses[0] / 2
    assert record["epochs"][record["best_epoch"] - 1]["dev_f1"] > 0.05
    program = load(tuned / "program.json")
    origin = program.pop("origin")
    weights = {"model": "minilm", "use": "path", "folder": "model"}
    cut = {"tokenizer": "punctuation", "sentences": "punctuation"}
    assert program == {"clinspan": 1, "labels": sorted(LABELS), "cut": cut, "classifier": weights}
    assert (origin["phi"], origin["corpora"][0]["name"]) == (False, "raremini")
    assert load(tuned / "model" / "tuning.json")["origin"] == origin


def test_a_classifier_run_writes_the_usual_files_and_records_no_strategy(tuned: Path, ran: tuple[Path, str]) -> None:
    folder, printed = ran
    trained = load(tuned / "run.json")
    scores, record = load(folder / "scores.json"), load(folder / "run.json")
    assert scores["micro"]["f1"] == pytest.approx(trained["epochs"][trained["best_epoch"] - 1]["dev_f1"])
    assert (record["status"], record["model"]["revision"]) == ("finished", trained["model"]["revision"])
    assert record["choices"] == {"corpus": "raremini", "model": "minilm", "metric": "seqeval"}
    assert record["tokens"]["pieces"] > 40
    assert "raremini dev (first 40 of 139 sentences, 6 documents): minilm\n" in "\n".join(
        line.rstrip() for line in printed.splitlines()
    )
    assert "sub-word pieces, no prompt" in printed
    rows = records(folder)
    assert [row["id"] for row in rows] == [s.id for s in corpus().sentences("dev")][:40]
    for row in rows:
        assert len(row["pred"]) == len(row["confidence"]) == len(row["tokens"])
        assert all(0 <= value <= 1 for value in row["confidence"])
        assert (row["raw"], row["repairs"], row["error"]) == (None, {}, None)
        for before, tag in zip(["O", *row["pred"]], row["pred"]):
            assert tag[0] != "I" or before[2:] == tag[2:]
    assert scores["calibration"]["entities"] == sum(tag[0] == "B" for row in rows for tag in row["pred"])
    assert read_program(folder)["classifier"]["folder"] == str((tuned / "model").resolve())


@pytest.mark.long
def test_a_classifier_runs_the_same_from_its_path_and_from_a_run_folder(
    tuned: Path, ran: tuple[Path, str], command: Command
) -> None:
    by_path = folder_of(command("run", "model=minilm", f"model.path={tuned / 'model'}", *PART))
    refused = command("run", f"program={ran[0]}", *PART)
    assert refused.returncode == 2 and f"If you trust them, set model.path={tuned / 'model'}" in refused.stderr
    by_run = folder_of(command("run", f"program={ran[0]}", f"model.path={tuned / 'model'}", "model.batch_size=3", *PART))
    assert (by_path / "predictions.jsonl").read_bytes() == (ran[0] / "predictions.jsonl").read_bytes()
    assert [row["pred"] for row in records(by_run)] == [row["pred"] for row in records(ran[0])]
    assert load(by_run / "run.json")["config"]["model"]["batch_size"] == 3


def test_an_interrupted_run_resumes_and_ends_with_the_same_predictions(
    ran: tuple[Path, str], command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(ran[0], tmp_path / "torn")
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "predictions.jsonl").write_text("".join(lines[:17]) + lines[17][:30], encoding="utf-8")
    (folder / "scores.json").unlink()
    (folder / "run.json").write_text(json.dumps(load(folder / "run.json") | {"status": "failed"}), encoding="utf-8")
    refused = command("run", f"resume={folder}", "strategy=knn")
    assert (refused.returncode, "strategy is for models that answer prompts" in refused.stderr) == (2, True)
    assert folder_of(command("run", f"resume={folder}")) == folder
    torn, whole = (load(path / "scores.json") for path in (folder, ran[0]))
    errors = [scores.pop("calibration")["ece"] for scores in (torn, whole)]  # other batches add in another order
    assert torn == whole
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)
    assert [row["pred"] for row in records(folder)] == [row["pred"] for row in records(ran[0])]


def test_classifier_runs_can_be_compared_and_reported(ran: tuple[Path, str], command: Command) -> None:
    done = command("compare", str(ran[0]), str(ran[0]), "samples=20")
    assert load(folder_of(done) / "comparison.json")["micro"]["difference"] == 0
    rows = load(folder_of(command("report", str(ran[0]))) / "leaderboard.json")["rows"]
    assert rows[0]["settings"]["model"] == "minilm"
    assert "strategy" not in rows[0]["settings"]


def corpus() -> Any:
    return RareMini(labels=LABELS, definitions={}).load()


def test_tags_are_the_most_probable_legal_ones_with_their_posteriors() -> None:
    sentence = next(s for s in corpus().sentences("dev") if len(s.tokens) > 3)
    scores = np.full((len(sentence.tokens), 11), -9, dtype=np.float32)
    scores[:, 0] = np.log(0.9)
    scores[1, :3] = np.log([0.1, 0.2, 0.7])  # I-Disease after a token that is almost surely O
    row = tagged(sentence, Reading(scores, 9), Lattice.of(bio_classes(LABELS)))
    assert row["pred"] == ["O", "B-Disease", *["O"] * (len(sentence.tokens) - 2)]
    assert row["confidence"][1] == pytest.approx(2 / 3, abs=0.01)
    assert row["confidence"][0] > 0.99
    assert row["usage"] == {"pieces": 9}


def test_a_model_for_other_labels_is_refused() -> None:
    check_classes(tuple(reversed(bio_classes(LABELS))), corpus())
    with pytest.raises(InputError, match="the model's classes are O, B-Drug, I-Drug; raremini has O, B- and I- of Disease"):
        check_classes(("O", "B-Drug", "I-Drug"), corpus())
    layers = layer_classes(LABELS)
    check_classes(layers, corpus())
    with pytest.raises(InputError, match="the model's classes are I-Symptom"):
        check_classes(layers[::-1], corpus())


def test_prompt_settings_are_dropped_or_refused() -> None:
    config = OmegaConf.create({"model": {"name": "x"}, "strategy": {"k": 5}, "format": {}, "draft": "outside", "limit": 3})
    OmegaConf.set_struct(config, True)
    assert without_prompt(config, {"model", "limit"}, what="model=x") == {"model": {"name": "x"}, "limit": 3}
    for key in ("strategy", "strategy.k", "format", "prompt", "draft", "retriever.top_k", "label_order", "constrained"):
        with pytest.raises(InputError, match=f"{key} is for models that answer prompts, and model=x classifies tokens"):
            without_prompt(config, {"limit", key}, what="model=x")


def test_commands_that_need_a_prompt_refuse_a_classifier() -> None:
    with pytest.raises(InputError, match="model=minilm classifies tokens without a prompt, so there is nothing. Use a model that"):
        prompted(lms.ClassifierModel(name="minilm"), "so there is nothing")
    spec = lms.ReplayModel()
    assert prompted(spec, "") is spec


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("run", ["model=minilm"], "model=minilm is a base model without a head that was tuned: finetune it with tuning=encoder"),
        (
            "run",
            ["model=minilm", "model.path={base}", "format=inline"],
            "format is for models that answer prompts, and model=minilm",
        ),
        ("run", ["model=minilm", "model.path={head}"], "the model's classes are LABEL_0, LABEL_1; raremini has O, B- and I-"),
        ("optimize", ["model=minilm"], "so there is no prompt to optimize. Use a model that answers prompts"),
        ("bench", ["model=minilm"], "and this run needs a prompt. Use a model that answers prompts"),
        ("finetune", ["model=minilm"], "model=minilm answers no prompts, so tuning=lora cannot train it: use tuning=encoder"),
        ("finetune", ["tuning=encoder", "strategy=knn"], "strategy is for models that answer prompts, and tuning=encoder"),
    ],
)
def test_invalid_arguments_get_one_message_and_exit_code_2(
    command: Command, tmp_path: Path, name: str, words: list[str], message: str
) -> None:
    folders = {"base": random_bert(tmp_path / "base"), "head": random_bert(tmp_path / "head", head=True)}
    done = command(name, *(word.format(**folders) for word in words))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("clinspan:") == 1


def test_a_classifier_program_and_a_prompt_program_are_not_confused(tuned: Path, command: Command, tmp_path: Path) -> None:
    done = command("run", f"program={tuned}", "model=smollm2", *PART)
    assert (done.returncode, "is a token classifier, and model=smollm2 answers prompts" in done.stderr) == (2, True)
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(tuned / "program.json", lone)
    done = command("run", f"program={lone}", *PART)
    assert (done.returncode, "its weights folder model is missing" in done.stderr) == (2, True)
    (lone / "program.json").write_text('{"clinspan": 1, "labels": [], "classifier": {"model": 3}}', encoding="utf-8")
    with pytest.raises(InputError, match="is not a program of this version"):
        read_program(lone)


def test_a_cased_bert_on_disk_is_trained_and_run(command: Command, tmp_path: Path) -> None:
    """Like Bio_ClinicalBERT: a folder with a cased WordPiece vocabulary and a masked language model (random weights)."""
    base = random_bert(tmp_path / "random-cased-bert")
    words = ["tuning=encoder", "model=bioclinicalbert", f"model.path={base}", "limit=12", "dev_limit=6", "tuning.epochs=1"]
    folder = folder_of(command("finetune", *words))
    record = load(folder_of(command("run", f"program={folder}", "limit=5")) / "run.json")
    assert record["choices"]["model"] == "bioclinicalbert"
    assert record["counts"] == {"sentences": 5, "failed": 0, "repairs": {"read_in_windows": 5}}


def test_decisions_that_weigh_counts_need_the_train_split(command: Command, tmp_path: Path) -> None:
    """Hardly trained random weights, so that the most probable tags are bad, and counts of train know all mentions."""
    for split, number in (("train", 6), ("devel", 180), ("test", 2)):
        sentences = ["No\tO\nfever\tB-Sign\n", "a\tO\nrash\tB-Sign\nof\tO\ncopper\tO\n", "Wilson\tB-Disease\nis\tO\nrare\tO\n"]
        text = "".join("-DOCSTART-\tO\n\n" + "\n".join(sentences) + "\n" for _ in range(number))
        (tmp_path / f"{split}.tsv").write_text(text, encoding="utf-8")
    corpus = ["corpus=conll", f"corpus.path={tmp_path}", "corpus.phi=false"]
    base = random_bert(tmp_path / "random-bert")
    words = ["tuning=encoder", f"model.path={base}", "tuning.epochs=1", "tuning.learning_rate=0.00001", "tuning.decisions=counted"]
    done = command("finetune", *words, *corpus)
    folder, tried = folder_of(done), load(folder_of(done) / "run.json")["decisions_f1"]
    assert "mentions are chosen by regression with counts of train, dev F1" in done.stdout
    ran = folder_of(command("run", f"program={folder}", *corpus))
    assert load(ran / "scores.json")["micro"]["f1"] > tried["tags"] + 0.2
    note = tmp_path / "note.txt"
    note.write_text("No fever. Wilson is rare.", encoding="utf-8")
    tagged = ["annotate", f"program={folder}", f"input={note}"]
    refused = command(*tagged, "output=without")
    assert refused.returncode == 2
    assert "is another train split. Use the corpus= settings of its training" in refused.stderr
    assert "Traceback" not in refused.stderr
    annotated = command(*tagged, "output=with", *corpus)
    assert annotated.returncode == 0, annotated.stderr
