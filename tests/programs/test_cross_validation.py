"""Tests of all folds in one command: recorded answers, a compilation with recorded answers, and a training of MiniLM."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.sources import Brat
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.compare import compare
from clinspan.programs.rundir.run_list import read_entry
from conftest import Command, folder_of, load, records
from support.compiling import local
from support.scripted_models import Script
from support.scripted_server import Handler, ScriptedServer

NOTES, FOLDS = 9, 3
REPLAY = ["corpus=brat", "corpus.path=notes", "model=replay", "format=bio_lines", "prompt=bare"]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Nine notes of two sentences, and recorded answers that find every second mention."""
    folder = tmp_path / "notes"
    folder.mkdir()
    lines = []
    for n in range(NOTES):
        (folder / f"n{n}.txt").write_text("Has fever.\nAnd a rash.\n")
        (folder / f"n{n}.ann").write_text("T1\tSign 4 9\tfever\nT2\tSymptom 17 21\trash\n")
        found = "Has : O\nfever : B-Sign\n. : O" if n % 2 else "Has : O\nfever : O\n. : O"
        lines += [{"id": f"n{n}:0", "output": found}, {"id": f"n{n}:1", "output": "And : O\na : O\nrash : B-Symptom\n. : O"}]
    answers(tmp_path, lines)
    return folder


def answers(folder: Path, lines: list[dict[str, str]]) -> None:
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def validate(command: Command, *words: str, name: str = "cv") -> Any:
    common = [*REPLAY, "model.path=answers.jsonl", "corpus.folds=3", f"hydra.run.dir=runs/{name}"]
    return command("run", *common, *words)


def summed(folders: list[Path]) -> dict[str, Counter[str]]:
    total: dict[str, Counter[str]] = {}
    for folder in folders:
        for label, counts in load(folder / "scores.json")["counts"].items():
            total.setdefault(label, Counter()).update(counts)
    return total


def test_counts_are_summed_and_each_document_is_test_once(command: Command, notes: Path) -> None:
    done = validate(command, "strategy=few_shot", "strategy.k=1")
    folder = folder_of(done)
    folds = [folder / f"fold_{n}" for n in range(FOLDS)]
    scores, record, rows = load(folder / "scores.json"), load(folder / "run.json"), records(folder)
    assert scores["counts"] == {label: dict(counts) for label, counts in summed(folds).items()}
    assert sorted({row["document"] for row in rows}) == [f"n{n}" for n in range(NOTES)] and len(rows) == 2 * NOTES
    tests = [load(fold / "run.json")["corpus"]["documents"]["test"] for fold in folds]
    assert record["folds"]["documents"] == tests and sorted(name for test in tests for name in test) == [
        f"n{n}" for n in range(NOTES)
    ]
    for fold, test in zip(folds, tests, strict=True):
        shown = {demo["id"].split(":")[0] for demo in load(fold / "program.json")["tag"]["demos"]}
        assert shown and not shown & set(test)
    again = score_records(rows, ["Sign", "Symptom"], Metric(), alignment="tokens")
    assert scores["micro"] == again["micro"] and scores["intervals"] == again["intervals"]
    by_fold = [load(fold / "scores.json")["micro"]["f1"] for fold in folds]
    assert scores["folds"]["f1"]["micro"] == by_fold
    assert "|folds:3@0|" in scores["signature"]
    assert [line.split(":")[1].split("(")[0].strip() for line in done.stderr.splitlines() if "clinspan: fold" in line] == [
        f"fold {n} of 3" for n in (1, 2, 3)
    ]
    assert "3 folds, counts summed; micro F1 by fold: " in done.stdout and done.stdout.count("micro F1 by fold") == 1
    assert len((folder / "prompts.jsonl").read_text().splitlines()) > 2 * NOTES
    assert not (folder / "program.json").exists()


@pytest.mark.long
def test_the_folder_is_read_like_any_run(command: Command, tmp_path: Path, notes: Path) -> None:
    first, second = folder_of(validate(command, "strategy=zero_shot")), folder_of(validate(command, "strategy=zero_shot", name="b"))
    other = folder_of(validate(command, "strategy=zero_shot", "corpus.folds=2", name="other"))
    assert compare(first, second)["micro"].difference == 0
    done = command("compare", str(first), str(second), str(other), "samples=50")
    assert "folds: the same 3 folds (seed 0)" in done.stdout
    assert "folds: other folds, and so other train documents: 3 folds (seed 0) and 2 folds (seed 0)" in done.stdout
    assert "The prompts are the same." in done.stdout
    assert "3 folds (seed 0)" in command("score", str(first)).stdout
    report = folder_of(command("report", str(first), str(second)))
    assert "3 folds (seed 0)" in (report / "leaderboard.md").read_text() and (report / "report.html").is_file()
    entry = read_entry(first)
    assert entry.scored and (entry.command, entry.split, entry.sentences) == ("run", "test", 2 * NOTES)


def test_a_stopped_cross_validation_is_resumed(command: Command, tmp_path: Path, notes: Path) -> None:
    whole = folder_of(validate(command, "strategy=zero_shot"))
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    lost = load(whole / "run.json")["folds"]["documents"][1][0]
    answers(tmp_path, [line for line in lines if line["id"] != f"{lost}:0"])
    stopped = validate(command, "strategy=zero_shot", name="stopped")
    assert stopped.returncode == 2 and f"no line for the sentence {lost}:0" in stopped.stderr
    folder = tmp_path / "runs" / "stopped"
    assert load(folder / "run.json")["status"] == "failed" and not (folder / "fold_2").exists()
    before = (folder / "fold_0" / "run.json").read_bytes()
    answers(tmp_path, lines)
    assert folder_of(command("run", "resume=runs/stopped")) == Path("runs/stopped")
    assert (folder / "fold_0" / "run.json").read_bytes() == before
    assert load(folder / "scores.json") == load(whole / "scores.json")
    assert (folder / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    assert load(folder / "run.json")["status"] == "finished"


@pytest.mark.long
def test_a_killed_cross_validation_is_resumed(command: Command, tmp_path: Path, notes: Path, server: ScriptedServer) -> None:
    stalled, released = threading.Event(), threading.Event()

    def stall(handler: Handler, body: dict[str, Any]) -> None:
        stalled.set()
        released.wait(120)

    server.reply, server.behaviours[8] = Script(Brat(path=str(notes)).load()), stall  # the second sentence of the second fold
    model = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "model.concurrency=1", "strategy=zero_shot"]
    words = ["corpus=brat", "corpus.path=notes", "corpus.folds=3", "format=bio_lines", *model, "hydra.run.dir=runs/killed"]
    running = subprocess.Popen([sys.executable, "-m", "clinspan.programs.run", *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert stalled.wait(240)
    running.kill()
    running.wait()
    released.set()
    folder = tmp_path / "runs" / "killed"
    assert load(folder / "run.json")["status"] == load(folder / "fold_1" / "run.json")["status"] == "started"
    folder_of(command("run", "resume=runs/killed"))
    assert len(server.requests) <= 2 * NOTES + 2  # the stalled sentence is asked again, and one whose answer was not yet recorded
    assert load(folder / "scores.json")["sentences"] == 2 * NOTES and load(folder / "scores.json")["failed"] == 0
    counts = summed([folder / f"fold_{n}" for n in range(FOLDS)])
    assert load(folder / "scores.json")["counts"] == {label: dict(one) for label, one in counts.items()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strategy=few_shot", "strategy.ids=[n1:0]"], "strategy.ids names sentences of notes, of which each document is a test"),
        (["strategy=zero_shot", "split=dev"], "split=dev is no part of a cross-validation. Leave split out"),
        (["strategy=zero_shot", "corpus.folds=10"], "9 documents, too few for 10 parts"),
        (["strategy=zero_shot", "program=runs/seen"], "program=runs/seen was made from notes, of which each document is a test"),
    ],
)
def test_what_has_seen_a_test_document_is_refused(
    command: Command, tmp_path: Path, notes: Path, words: list[str], message: str
) -> None:
    if "program=runs/seen" in words:
        keys = ["strategy=few_shot", "strategy.k=1", "corpus.folds=3", "corpus.fold=0", "hydra.run.dir=runs/seen"]
        folder_of(command("run", *REPLAY, "model.path=answers.jsonl", *keys))
    done = validate(command, *words, name="refused")
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "refused").exists()


def test_answers_without_ids_fit_one_fold_alone(command: Command, tmp_path: Path, notes: Path) -> None:
    answers(tmp_path, [{"output": ". : O"}] * 6)
    done = validate(command, "strategy=zero_shot")
    assert done.returncode == 2 and "answers.jsonl: has lines without an id, and each fold needs its own" in done.stderr


def test_other_commands_read_one_fold(command: Command, notes: Path) -> None:
    done = command("stats", "corpus=brat", "corpus.path=notes", "corpus.folds=3")
    assert "corpus.folds=3 without corpus.fold means all folds, and one is needed here" in done.stderr
    assert command("stats", "corpus=brat", "corpus.path=notes", "corpus.folds=3", "corpus.fold=0").returncode == 0


@pytest.mark.long
def test_a_program_is_compiled_and_tested_in_each_fold(command: Command, notes: Path, server: ScriptedServer) -> None:
    server.reply = Script(Brat(path=str(notes)).load())
    words = ["corpus=brat", "corpus.path=notes", "corpus.folds=3", "optimizer=labeled", "optimizer.k=2", "format=bio_lines"]
    folder = folder_of(command("optimize", *words, *local(server), "hydra.run.dir=runs/compiled"))
    tests = [folder / f"fold_{n}" / "test" for n in range(FOLDS)]
    assert load(folder / "scores.json")["counts"] == {label: dict(counts) for label, counts in summed(tests).items()}
    for test in tests:
        record, program = load(test / "run.json"), load(test.parent / "program.json")
        assert record["program"]["path"] == str(test.parent) and record["config"]["split"] == "test"
        assert load(test / "program.json")["tag"]["demos"] == program["tag"]["demos"]
        documents = {demo["id"].split(":")[0] for demo in program["tag"]["demos"]}
        assert documents and not documents & set(record["corpus"]["documents"]["test"])
    assert read_entry(folder).command == "optimize" and read_entry(folder).scored
    assert compare(folder, folder)["micro"].difference == 0
    assert folder_of(command("optimize", "resume=runs/compiled")) == Path("runs/compiled")


@pytest.mark.long
@pytest.mark.weights
def test_an_encoder_is_trained_and_tested_in_each_fold(command: Command, tmp_path: Path, notes: Path) -> None:
    words = ["corpus=brat", "corpus.path=notes", "corpus.folds=2", "tuning=encoder", "tuning.epochs=12", "tuning.patience=12"]
    folder = folder_of(command("finetune", *words, "hydra.run.dir=runs/trained"))
    tests = [folder / f"fold_{n}" / "test" for n in range(2)]
    assert load(folder / "scores.json")["counts"] == {label: dict(counts) for label, counts in summed(tests).items()}
    for test in tests:
        assert (test.parent / "model").is_dir()
        assert load(test / "run.json")["config"]["model"]["path"] == str(test.parent / "model")
    assert load(folder / "scores.json")["micro"]["f1"] > 0.9  # both notes' mentions are always the same words
    assert read_entry(folder).command == "finetune" and read_entry(folder).scored
    stamps = [(test.parent / "run.json").read_bytes() for test in tests]
    (tests[1] / "scores.json").unlink()
    record = load(tests[1] / "run.json")
    (tests[1] / "run.json").write_text(json.dumps({**record, "status": "started"}))
    folder_of(command("finetune", "resume=runs/trained"))
    assert [(test.parent / "run.json").read_bytes() for test in tests] == stamps
    assert (tests[1] / "scores.json").is_file()
