"""Processes that are killed, terminated, interrupted or stopped at exact moments."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time

import pytest

from faults.bench import annotated, Bench, rows, tree
from support.faulty_server import held
from support.fork_server import until
from support.scripted_server import slow

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
CODES = {KILL: -KILL, TERM: 128 + TERM, INT: 128 + INT}
LAST = ".predictions.jsonl.part"
MOMENTS = [
    ("as it begins", "os.rename", ".run.json.part", 1, "signal", KILL),
    ("before the first prediction", "open", "predictions.jsonl", 1, "signal", KILL),
    ("within the line of the 5th sentence", "open", "predictions.jsonl", 5, "tear", KILL),
    ("before the last write", "os.rename", LAST, 1, "signal", KILL),
    ("while scores are written", "os.rename", ".scores.json.part", 1, "signal", KILL),
    ("before the 8th prediction", "open", "predictions.jsonl", 8, "signal", TERM),
    ("before the 3rd prediction", "open", "predictions.jsonl", 3, "signal", INT),
    ("while scores are written", "os.rename", ".scores.json.part", 1, "signal", INT),
]


def named(number: int) -> str:
    return signal.Signals(number).name


def some(number: int) -> list[pytest.MarkDecorator]:
    """Mark every second case as `long`."""
    return [pytest.mark.long] if number % 2 == 0 else []


@pytest.mark.parametrize("moment", [pytest.param(moment, marks=some(n)) for n, moment in enumerate(MOMENTS)])
def test_a_run_resumes_after_a_signal(bench: Bench, moment: tuple[str, str, str, int, str, int]) -> None:
    when, *arguments = moment
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=["at", str(folder), *arguments])
    assert ended.code == CODES[arguments[-1]], ended.err
    assert ended.clear or arguments[-1] == KILL, ended.err
    completed = len(rows(folder)) if arguments[2] == 8 else 0
    bench.server.requests.clear()
    again = bench.resumed(folder, "remote")
    assert again.code == 0, again.err
    assert len(bench.server.requests) <= 12 - completed
    bench.note("run", f"{named(arguments[-1])} {when}", f"ends with {ended.code}, goes on", bench.lost(folder, "remote"))


@pytest.mark.long
@pytest.mark.parametrize("part", range(6))
def test_a_run_resumes_after_a_kill_at_any_of_its_file_operations(bench: Bench, part: int) -> None:
    folder, file = bench.fresh("traced"), bench.fresh("trace")
    assert bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=["trace", str(folder), str(file)]).code == 0
    count = len(file.read_text().splitlines())
    for number in range(1 + part, count + 1, 6):
        folder = bench.fresh("hurt")
        fault = ["at", str(folder), "any", "", number, "signal", KILL]
        assert bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=fault).code == -KILL
        again = bench.resumed(folder, "remote")
        assert again.code == 0, again.err
        bench.note("run", f"SIGKILL before file operation {number} of {count}", "goes on", bench.lost(folder, "remote"))


def test_two_kills_in_a_row(bench: Bench) -> None:
    folder = bench.fresh("hurt")
    fault = ["at", str(folder), "open", "predictions.jsonl", 4, "tear", KILL]
    assert bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=fault).code == -KILL
    assert bench.run(f"resume={folder}", fault=fault).code == -KILL
    assert bench.run(f"resume={folder}").code == 0
    bench.note("run", "SIGKILL twice, a torn line each time", "goes on", bench.lost(folder, "remote"))


def test_a_run_that_is_paused_finishes(bench: Bench) -> None:
    folder = bench.fresh("hurt")
    bench.server.always = slow(0.1)
    running = bench.fork_server.begin("run", *bench.words("remote"), "model.timeout=1", f"hydra.run.dir={folder}", cwd=bench.root)
    until(lambda: len(bench.server.requests) >= 4)
    running.send(signal.SIGSTOP)
    time.sleep(1.5)
    bench.server.always = None
    running.send(signal.SIGCONT)
    ended = running.wait()
    assert ended.code == 0, ended.err
    bench.note("run", "SIGSTOP for longer than the time-out, SIGCONT", "goes on by itself", bench.lost(folder, "remote"))


@pytest.mark.parametrize("number", [INT, pytest.param(TERM, marks=pytest.mark.long)])
def test_an_interruption_does_not_wait_for_a_server(bench: Bench, number: int) -> None:
    bench.whole("remote")
    bench.server.heal()
    gate = threading.Event()
    bench.server.always = held(gate)
    folder = bench.fresh("hurt")
    running = bench.fork_server.begin("run", *bench.words("remote"), "model.timeout=300", f"hydra.run.dir={folder}", cwd=bench.root)
    until(lambda: len(bench.server.requests) == 2)
    running.send(number)
    ended = running.wait()
    assert (ended.code, ended.clear) == (CODES[number], True), ended.err
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    gate.set()
    bench.server.heal()
    assert bench.run(f"resume={folder}").code == 0
    bench.note("run", f"{named(number)} while a server lets requests wait", "ends at once, goes on", bench.lost(folder, "remote"))


@pytest.mark.parametrize("kind", ["local", "classifier"])
def test_a_local_model_resumes_after_a_kill(bench: Bench, kind: str) -> None:
    folder = bench.fresh("hurt")
    fault = ["at", str(folder), "open", "predictions.jsonl", 6, "tear", KILL]
    assert bench.run(*bench.words(kind), f"hydra.run.dir={folder}", fault=fault).code == -KILL
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    bench.note(f"run, {kind}", "SIGKILL within the line of the 6th sentence", "goes on", bench.lost(folder, kind))


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("within a line of its resume state", ["open", "state.jsonl", 5, "tear", KILL]),
        ("while all notes are written", ["os.rename", ".annotations.jsonl.part", 1, "signal", TERM]),
        pytest.param("while a note is written", ["os.rename", ".n17.ann.part", 1, "signal", KILL], marks=pytest.mark.long),
        pytest.param("before it says what it is", ["os.rename", ".run.json.part", 1, "signal", KILL], marks=pytest.mark.long),
    ],
)
def test_an_annotation_resumes_after_a_signal(bench: Bench, when: str, fault: list[object]) -> None:
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.notes(), f"output={folder}", command="annotate", fault=["at", str(folder), *fault])
    assert ended.code == CODES[int(str(fault[-1]))], ended.err
    again = bench.run(*bench.notes(), f"output={folder}", command="annotate")
    assert again.code == 0, again.err
    whole, ours = bench.annotated_whole(), annotated(folder)
    lost = sum(whole[name] != ours.get(name) for name in whole) + len(ours.keys() - whole.keys() - {".lock"})
    bench.note("annotate", f"{named(int(str(fault[-1])))} {when}", "goes on", lost)


COMPILE = ["optimizer=grid", "optimizer.space=['strategy.k=1,2']", "halving.rungs=1", "dev_limit=6", "train_limit=30"]


def in_order(content: bytes) -> list[bytes]:
    """The lines sorted, because the lines of candidates are in the order of their answers."""
    return sorted(content.splitlines())


def test_a_compilation_resumes_after_a_kill(bench: Bench) -> None:
    words = [*COMPILE, *[word for word in bench.remote("strategy=few_shot") if not word.startswith(("limit", "strategy=zero"))]]
    folders = [bench.fresh("compiled") for _ in range(2)]
    whole = bench.run(*words, f"hydra.run.dir={folders[0]}", command="optimize")
    assert whole.code == 0, whole.err
    fault = ["at", str(folders[1]), "open", "predictions.jsonl", 12, "tear", KILL]
    assert bench.run(*words, f"hydra.run.dir={folders[1]}", command="optimize", fault=fault).code == -KILL
    again = bench.run(f"resume={folders[1]}", command="optimize")
    assert again.code == 0, again.err
    besides = ("run.json", "run.log", ".lock")
    trees = [tree(folder, lambda path: path.name in besides or path.match("candidates/*/prompts.jsonl")) for folder in folders]
    lost = sum(in_order(content) != in_order(trees[1].get(name, b"")) for name, content in trees[0].items())
    bench.note("optimize", "SIGKILL within a line of the second candidate", "goes on", lost)


TRAIN = [
    "tuning=encoder",
    "limit=32",
    "dev_limit=8",
    "tuning.epochs=3",
    "tuning.batch_size=8",
    "model=bioclinicalbert",
]


@pytest.mark.parametrize("damage", [pytest.param("none", marks=pytest.mark.long), "cut weights"])
def test_a_training_resumes_from_an_intact_checkpoint(bench: Bench, damage: str) -> None:
    bench.words("classifier")
    words = [*TRAIN, "model.path=bert", "seed=1"]
    whole, folder = bench.root / "trained", bench.fresh("hurt")
    if not whole.exists():
        ended = bench.run(*words, f"hydra.run.dir={whole}", command="finetune")
        assert ended.code == 0, ended.err
    fault = ["at", str(folder), "os.mkdir", "checkpoint-12", 1, "signal", KILL]
    assert bench.run(*words, f"hydra.run.dir={folder}", command="finetune", fault=fault).code == -KILL
    if damage != "none":
        last = folder / "checkpoints" / "checkpoint-8" / "model.safetensors"
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    again = bench.run(f"resume={folder}", command="finetune")
    assert again.code == 0, again.err
    lost = int((whole / "model" / "model.safetensors").read_bytes() != (folder / "model" / "model.safetensors").read_bytes())
    epochs = [json.loads((run_folder / "run.json").read_text())["epochs"] for run_folder in (whole, folder)]
    assert epochs[0] == epochs[1]
    description = "SIGKILL in the last epoch" + ("" if damage == "none" else ", the newest checkpoint's weights cut in half")
    bench.note("finetune", description, "goes on, the same weights", lost)
    shutil.rmtree(folder)
