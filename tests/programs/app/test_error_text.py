"""Tests of the texts of unexpected errors: shown for public texts and with `debug=true`, otherwise in a private file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from conftest import Command, folder_of

CANARY = "Zebrafever"
MODULE = f"""
from clinspan.lms.answering import lm_of
from clinspan.metrics.scoring import Metric

class Broken(Metric):
    def more(self, records, labels):
        raise ValueError("cannot count {CANARY}")

class Finder:
    holds_phi = False
    def find(self, texts):
        raise RuntimeError("nothing about {CANARY}")

class Model:
    name, concurrency, endpoints, price = "words", 1, (), None
    def build(self, **_):
        def answer(turns):
            raise ValueError("no answer about {CANARY}")
        return lm_of(answer, "words")

class Saying(Model):
    def build(self, **_):
        return lm_of(lambda turns: "x : O", "words")

class Optimizer:
    name, keeps_start = "broken", True
    def check(self, context):
        pass
    def compile(self, context):
        raise ValueError("no way with {CANARY}")
"""
OPTIONS = {
    "metric/broken": "_target_: classes_of_mine.Broken\nmode: conlleval\n",
    "retriever/finder": "_target_: classes_of_mine.Finder\n",
    "model/words": "_target_: classes_of_mine.Model\n",
    "model/saying": "_target_: classes_of_mine.Saying\n",
    "optimizer/broken": "_target_: classes_of_mine.Optimizer\n",
}
NOTE = {"id": "a", "text": "No fever today .", "entities": [{"start": 3, "end": 8, "label": "Sign"}]}
WORDS = ["--config-dir", "mine", "corpus=jsonl", "corpus.path=notes", "hydra.run.dir=out", "strategy=zero_shot"]
REPLAY = ["model=replay", "model.path=outputs.jsonl", "format=bio_lines"]
METRIC = [*WORDS, *REPLAY, "metric=broken"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A project with classes that raise errors which quote a text."""
    (tmp_path / "classes_of_mine.py").write_text(MODULE, encoding="utf-8")
    for name, text in OPTIONS.items():
        path = tmp_path / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "notes").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "notes" / f"{split}.jsonl").write_text(json.dumps({**NOTE, "id": split}) + "\n", encoding="utf-8")
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n', encoding="utf-8")
    return tmp_path


def test_a_private_file_has_the_text(command: Command, folder: Path) -> None:
    done = command("run", *METRIC)
    assert done.returncode == 1
    assert CANARY not in done.stdout + done.stderr
    assert "in more\nclinspan: stopped by ValueError; its message is left out" in done.stderr
    assert "/out/error.txt, which only you can read; debug=true shows it here" in done.stderr.splitlines()[-1]
    path = folder / "out" / "error.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Traceback" in (text := path.read_text()) and text.endswith(f"ValueError: cannot count {CANARY}\n")
    assert CANARY not in (folder / "out" / "run.json").read_text() + (folder / "out" / "run.log").read_text()


@pytest.mark.parametrize("word", ["corpus.phi=false", "debug=true"])
def test_the_text_is_shown_where_it_is_public_or_asked_for(command: Command, folder: Path, word: str) -> None:
    done = command("run", *METRIC, word)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr and "classes_of_mine.py" in done.stderr
    assert done.stderr.splitlines()[-1] == f"ValueError: cannot count {CANARY}"
    assert not (folder / "out" / "error.txt").exists()


@pytest.mark.long
def test_a_resumed_run_is_as_private_as_it_began(command: Command) -> None:
    """The corpus of the command line, which is not used, is public."""
    assert command("run", *METRIC).returncode == 1
    done = command("run", "--config-dir", "mine", "resume=out")
    assert done.returncode == 1 and CANARY not in done.stderr and "out/error.txt" in done.stderr
    assert CANARY in command("run", "--config-dir", "mine", "resume=out", "debug=true").stderr


def test_debugging_is_no_other_job(command: Command) -> None:
    folder_of(command("run", *WORDS, *REPLAY))
    assert command("run", *WORDS, *REPLAY, "debug=true").returncode == 0


def test_an_error_of_a_retriever_stops_the_run_with_its_place(command: Command) -> None:
    words = [*WORDS, *REPLAY, "strategy=rag", "retriever=finder"]
    done = command("run", *words)
    assert done.returncode == 1 and CANARY not in done.stderr
    assert "classes_of_mine.py, line" in done.stderr and "out/error.txt" in done.stderr
    assert f"nothing about {CANARY}" in command("run", *words, "debug=true").stderr


def test_an_error_of_a_model_is_told_when_every_sentence_fails(command: Command, folder: Path) -> None:
    words = [*WORDS, "model=words", "format=entities"]
    done = command("run", *words)
    assert done.returncode == 2 and CANARY not in done.stderr
    *_, where, last = done.stderr.splitlines()
    assert where.startswith("clinspan: its message is in ") and "1 sentences in a row failed" in last
    assert f"no answer about {CANARY}" in (folder / "out" / "error.txt").read_text()
    done = command("run", *words, "corpus.phi=false", "hydra.run.dir=public")
    assert f"no answer about {CANARY}" in done.stderr


def test_an_error_of_a_model_is_told_for_notes_too(command: Command, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "n.txt").write_text("No fever.", encoding="utf-8")
    words = ["--config-dir", "mine", "input=in", "output=annotated", "model=words", "strategy=zero_shot", "stop_after=1"]
    done = command("annotate", *words)
    assert done.returncode == 2 and CANARY not in done.stderr
    assert f"no answer about {CANARY}" in (folder / "annotated" / "error.txt").read_text()
    done = command("annotate", *words, "phi=false")
    assert f"no answer about {CANARY}" in done.stderr


def test_an_error_of_an_optimizer_is_told(command: Command, folder: Path) -> None:
    words = [*WORDS, "model=saying", "format=bio_lines", "optimizer=broken"]
    done = command("optimize", *words)
    assert done.returncode == 2 and CANARY not in done.stderr
    assert "the optimizer stopped with ValueError in classes_of_mine.py, line" in done.stderr.splitlines()[-1]
    assert f"no way with {CANARY}" in (folder / "out" / "error.txt").read_text()
    done = command("optimize", *words, "debug=true", "hydra.run.dir=shown")
    assert f"no way with {CANARY}" in done.stderr and "the optimizer stopped with" in done.stderr.splitlines()[-1]


def test_a_failed_job_of_a_sweep_has_a_file_of_its_own(command: Command, folder: Path) -> None:
    done = command("run", "-m", *METRIC, "label_order=corpus,rare", "hydra.sweep.dir=sweep")
    assert done.returncode == 2 and CANARY not in done.stderr
    for n in range(2):
        assert CANARY in (folder / "sweep" / str(n) / "error.txt").read_text()
        assert f"sweep/{n} (ValueError)" in done.stderr
