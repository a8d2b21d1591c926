"""Every command that a command prints works as it is printed, in the folder where it is printed."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clinspan.programs.rundir import printed_commands
from clinspan.programs.rundir.printed_commands import scoring_command, setting
from conftest import Command, fork_server, load
from support.compiling import local
from support.fork_server import Ended, until
from support.scripted_models import Script
from support.scripted_server import Handler, ScriptedServer, status
from support.tiny_models import random_bert, random_causal, random_llama

Done = subprocess.CompletedProcess[str] | Ended
SENTENCES = [
    (["Fever", "and", "rash", "."], ["B-Sign", "O", "B-Sign", "O"]),
    (["No", "aspirin", "was", "given", "."], ["O", "B-Drug", "O", "O", "O"]),
    (["He", "has", "a", "cough", "."], ["O", "O", "O", "B-Sign", "O"]),
]


def printed(text: str) -> list[list[str]]:
    """The commands in a text, each with its name and its words, read as a shell reads them."""
    begin = " -m programs."
    return [shlex.split(line.partition(begin)[2]) for line in text.splitlines() if begin in line]


def follow(done: Done, command: Command, *more: str) -> Path:
    """Run the only command that a command printed, with further words, and return the folder that it printed last.

    What a run prints for the next step, and the command that shows a prompt, do not count.
    """
    said = (done.out + done.err) if isinstance(done, Ended) else done.stdout + done.stderr
    besides = ("likely to be better", "plan=true")
    commands = printed("".join(line for line in said.splitlines(keepends=True) if not any(part in line for part in besides)))
    assert len(commands) == 1, said
    again = command(*commands[0], *more)
    assert again.returncode == 0, (commands[0], again.stderr)
    return Path(again.stdout.strip().splitlines()[-1])


def unanswered(handler: Handler, body: dict[str, Any]) -> None:
    """Keep a request waiting for longer than its command lives."""
    time.sleep(60)


@pytest.fixture
def notes(tmp_path: Path) -> list[str]:
    """Settings of a corpus in JSONL, in a folder whose name a shell and Hydra read only in quotation marks."""
    folder = tmp_path / "my notes, 2nd"
    folder.mkdir()
    document = "-DOCSTART- O\n\n" + "".join(
        "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)) + "\n" for tokens, tags in SENTENCES
    )
    for split in ("train", "devel", "test"):
        (folder / f"{split}.tsv").write_text(4 * document)
    return ["corpus=conll", setting("corpus.path", "my notes, 2nd"), "corpus.name=visits", "corpus.phi=false"]


def test_weights_are_named_where_a_program_may_not_bring_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = {"config": {"model": {"name": "smollm2"}}, "model": {"name": "smollm2"}}
    folder = tmp_path / "compiled"
    for place in (folder / "model", tmp_path / "runs" / "tuned" / "model"):
        assert "model." not in scoring_command(record, folder, {"model.adapter": place})
    outside = scoring_command(record, folder, {"model.adapter": tmp_path / "tuned" / "model"})
    assert outside.endswith("run program=compiled model.adapter=tuned/model")


def test_a_compilation_prints_the_command_that_scores_its_program(
    command: Command, server: ScriptedServer, notes: list[str], tmp_path: Path
) -> None:
    done = command("optimize", "optimizer=labeled", "optimizer.k=2", "strategy.k=1", *local(server), *notes)
    assert "hand-written start" in done.stdout and "format bio_lines" in done.stdout
    ran = follow(done, command)
    assert load(tmp_path / ran / "scores.json")["sentences"] == 12
    assert load(tmp_path / ran / "run.json")["corpus"]["split"] == "test"


def test_a_worse_candidate_does_not_replace_the_start(command: Command, server: ScriptedServer, script: Script) -> None:
    done = command("optimize", "optimizer=labeled", "optimizer.k=1", "strategy.k=5", *local(server))
    record = load(Path(done.stdout.strip().splitlines()[-1]) / "run.json")
    assert record["best"]["key"] == record["start"]["key"]
    assert record["best"]["micro"] == record["start"]["f1"]
    assert "kept: the start, as no other candidate is better (1 more was measured on all of dev)" in done.stdout
    assert "measured on dev: " in done.stdout and "18 sentences, 3 documents" in done.stdout


@pytest.mark.long
def test_a_leaderboard_shows_what_compilations_started_from(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    words = ["-m", "optimizer=labeled", "optimizer.k=1,8", "strategy.k=2", "hydra.sweep.dir=sweep", *local(server)]
    assert command("optimize", *words).returncode == 0
    start = load(tmp_path / "sweep/0/run.json")["start"]["f1"]
    shown = command("report", "sweep").stdout
    assert "start F1" in shown
    assert shown.count(f"{start:.4f}") >= 2


@pytest.mark.long
def test_a_trained_encoder_is_scored_by_the_printed_command(command: Command, tmp_path: Path, notes: list[str]) -> None:
    random_bert(tmp_path / "bert")
    words = ["tuning=encoder", "model=bioclinicalbert", "model.path=bert", "tuning.epochs=1"]
    done = command("finetune", *words, *notes)
    ran = follow(done, command)
    assert load(tmp_path / ran / "scores.json")["sentences"] == 12
    folder = done.stdout.strip().splitlines()[-1]
    refused = command("run", f"program={folder}")
    assert refused.returncode == 2
    said = refused.stderr.partition("this program was made for corpus ")[2]
    assert said.startswith("visits with the labels Drug, Sign; raremini has")
    own = said.partition("Add the settings of its own corpus: ")[2].partition(", or make a program for")[0]
    assert command("run", f"program={folder}", *shlex.split(own)).returncode == 0


@pytest.mark.parametrize("tuning", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_a_trained_decoder_is_scored_by_the_printed_command(
    command: Command, tmp_path: Path, notes: list[str], tuning: str
) -> None:
    random_causal("gpt2", tmp_path / "tiny")
    words = [f"tuning={tuning}", "model=hf", "model.path=tiny", "model.engine=generate", "prompt=bare", "format=inline"]
    done = command("finetune", *words, "tuning.epochs=1", "limit=3", "dev_limit=1", *notes)
    ran = follow(done, command, "limit=1")
    trained = load(Path(done.stdout.strip().splitlines()[-1]) / "run.json")
    assert load(tmp_path / ran / "run.json")["model"]["revision"] == trained["model"]["revision"]


@pytest.mark.long
def test_a_trained_label_supervised_decoder_is_scored_by_the_printed_command(
    command: Command, tmp_path: Path, notes: list[str]
) -> None:
    random_llama(tmp_path / "tiny")
    words = ["tuning=label_supervised", "model=label_supervised", "model.path=tiny", "tuning.epochs=1"]
    follow(command("finetune", *words, *notes), command)


@pytest.mark.long
def test_a_run_whose_server_fails_prints_the_command_that_continues_it(command: Command, server: ScriptedServer) -> None:
    server.always = status(500)
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0", "stop_after=2"]
    done = command("run", *words, "limit=6", setting("hydra.run.dir", "runs/my run"))
    assert done.returncode == 2
    unfinished = command("compare", "runs/my run", "runs/my run")
    scored = command("score", "runs/my run")
    server.always = None
    assert follow(done, command) == Path("runs/my run")
    for refused in (unfinished, scored):
        assert refused.returncode == 2
        follow(refused, command)
    assert command("compare", "runs/my run", "runs/my run").returncode == 0


def test_a_run_with_failed_sentences_prints_the_command_that_retries_them(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    server.behaviours[2] = status(500)
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0", "model.concurrency=1"]
    done = command("run", *words, "limit=4")
    assert "1 sentence failed with an error that may be temporary; to retry it: " in done.stdout
    ran = follow(done, command)
    assert load(tmp_path / ran / "scores.json")["failed"] == 0


@pytest.mark.parametrize(
    "words", [("run", "limit=6"), ("optimize", "optimizer=labeled", "optimizer.k=2"), ("run", "-m", "seed=1,2", "limit=6")]
)
def test_an_interrupted_command_prints_the_command_that_continues_it(
    command: Command, server: ScriptedServer, tmp_path: Path, words: tuple[str, ...]
) -> None:
    server.behaviours = dict.fromkeys(range(4, 20), unanswered)
    own = local(server)[:-1] if words[0] == "run" else local(server)
    running = fork_server().begin(words[0], *words[1:], *own, cwd=tmp_path)
    until(lambda: len(server.requests) > 4)
    running.send(signal.SIGINT)
    ended = running.wait()
    assert ended.code == 128 + signal.SIGINT
    assert "interrupted; results so far are on disk: continue with: " in ended.err
    server.behaviours = {}
    again = follow(ended, command)
    done = load(tmp_path / again / "run.json") if "-m" not in words else load(next((tmp_path / "runs/run").glob("*/1/run.json")))
    assert done["status"] == "finished"


def test_an_interrupted_annotation_prints_the_command_that_continues_it(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.txt").write_text("Fever and rash. No cough.\n")
    server.behaviours = dict.fromkeys(range(4, 20), unanswered)
    running = fork_server().begin("annotate", "input=in", "phi=false", *local(server)[:-1], cwd=tmp_path)
    until(lambda: len(server.requests) > 4)
    running.send(signal.SIGINT)
    ended = running.wait()
    server.behaviours = {}
    folder = follow(ended, command)
    assert load(tmp_path / folder / "run.json")["status"] == "finished"


def test_the_list_of_runs_that_a_message_names_can_be_shown(command: Command) -> None:
    refused = command("runs", "delete=nowhere", "folder=.")
    assert refused.returncode == 2
    (words,) = printed(refused.stderr.replace(" lists.", ""))
    assert command(*words, "folder=.").returncode == 0


@pytest.mark.parametrize(
    ("words", "module", "start"),
    [
        (["python", "-m", "programs.optimize"], "programs.optimize", ["python", "-m", "programs.run"]),
        (["python3", "-m", "clinspan.programs.run"], "clinspan.programs.run", ["python3", "-m", "clinspan.programs.run"]),
        (["python", "-m", "clinspan", "run"], "clinspan.programs.run", ["python", "-m", "clinspan", "run"]),
        (["python", "/nowhere/bin/clinspan", "run"], "clinspan.programs.run", ["/nowhere/bin/clinspan", "run"]),
        (["python", "script.py"], "", ["clinspan", "run"]),
    ],
)
def test_a_command_is_printed_as_this_one_was_started(
    monkeypatch: pytest.MonkeyPatch, words: list[str], module: str, start: list[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr(sys, "argv", ["x", "--config-dir=mine", "limit=1"])
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name=module) if module else None))
    assert shlex.split(printed_commands.command("run", "limit=2")) == [*start, "--config-dir=mine", "limit=2"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -0.5,
        "a",
        "",
        "a b",
        "a=b,c",
        'a"b',
        "a\\b",
        "a\\",
        'a\\"',
        "12",
        "null",
        "1e5",
        "é",
        "~/x",
        "a'b",
        ["a", "b c", {"x": None}],
    ],
)
def test_hydra_reads_a_printed_setting_as_the_same_value(value: Any) -> None:
    read = OverridesParser.create().parse_override(setting("key", value)).value()
    assert (str(read) if isinstance(value, str) else read) == value
