"""Tests of the line below a run's table, and of the page that a run leaves beside its results."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from clinspan.lms import ClassifierModel, LocalModel, OpenAIModel, ReplayModel
from clinspan.programs.app.next_step import interpretation, next_command
from clinspan.programs.app.report_content import write_run_page
from clinspan.programs.config.command_line import parse
from clinspan.programs.config.composition import compose, load_corpus
from clinspan.programs.rundir.run_folder import RunFolder
from conftest import Command

LOCAL, SERVED = LocalModel(name="m", path="weights"), OpenAIModel(name="m", id="m", api_base="http://127.0.0.1:1/v1")
RECORD: dict[str, Any] = {
    "given": ["corpus", "corpus.path", "model", "model.id", "strategy"],
    "choices": {"corpus": "brat", "model": "openai", "strategy": "zero_shot"},
    "config": {"corpus": {"path": "my notes"}, "model": {"id": "m"}},
}


@pytest.mark.parametrize(
    ("record", "spec", "has_train", "command"),
    [
        (RECORD, LOCAL, True, "finetune"),
        (RECORD, SERVED, True, "run"),
        ({**RECORD, "choices": {**RECORD["choices"], "strategy": "few_shot"}}, SERVED, True, "optimize"),
        (RECORD, SERVED, False, "export"),
        ({**RECORD, "given": [*RECORD["given"], "program"]}, SERVED, True, "export"),
        (RECORD, ReplayModel(), True, "export"),
        (RECORD, ClassifierModel(name="m", path="weights"), True, "export"),
    ],
)
def test_the_next_command_fits_the_run_and_composes(record: dict[str, Any], spec: Any, has_train: bool, command: str) -> None:
    _, words = next_command(record, Path("runs/run/a"), spec=spec, has_train=has_train)
    parts = shlex.split(words)
    assert command in (parts[1], parts[-1]) or f".{command}" in " ".join(parts)
    settings = list(parse([word for word in parts if "=" in word]).words)
    composed, chosen, _ = compose(command, settings)
    if command != "export":
        assert chosen["corpus"] == "brat" and composed.corpus.path == "my notes"


def test_the_strongest_and_the_weakest_type_are_named() -> None:
    rows = {"Sign": {"f1": 0.5, "support": 9}, "Age": {"f1": 0.25, "support": 1}, "Name": {"f1": 0.0, "support": 0}}
    line = interpretation({"per_type": rows}, RECORD, Path("a"), spec=ReplayModel(), has_train=True)
    assert line.startswith("strongest type Sign (F1 0.5000), weakest Age (0.2500, 1 mention); its errors as a table: ")


def test_a_run_leaves_a_page_of_its_sentences(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text('{"output": "x : O"}\n' * 346, encoding="utf-8")
    words = ["model=replay", "model.path=out.jsonl", "strategy=zero_shot", "split=train", "limit=346"]
    done = command("run", *words, "hydra.run.dir=a")
    assert done.returncode == 0, done.stderr
    *_, reading, page, folder = done.stdout.splitlines()
    assert "its errors as a table: " in reading and reading.endswith("to=errors_csv")
    assert page == "every sentence: a/report.html" and folder == str(tmp_path / "a")
    text = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    first = json.loads((tmp_path / "a" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["tokens"][0] in text and "<figure" not in text and not list((tmp_path / "a").glob("*.png"))
    corpus = load_corpus(compose("run", [])[0])
    write_run_page(RunFolder(tmp_path / "a"), corpus)  # what is loaded once for a process
    began = time.process_time()
    write_run_page(RunFolder(tmp_path / "a"), corpus)
    assert time.process_time() - began < 1.0


def test_a_run_without_a_page(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text('{"output": "x : O"}\n', encoding="utf-8")
    words = ["model=replay", "model.path=out.jsonl", "strategy=zero_shot", "limit=1", "hydra.run.dir=a"]
    done = command("run", *words, "report=false")
    assert done.returncode == 0 and "every sentence" not in done.stdout
    assert not (tmp_path / "a" / "report.html").exists()
