"""Tests of untrusted text on a terminal: labels, ids and file names are neither markup nor control sequences."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from clinspan.corpora.printable import printable
from conftest import Command, fork_server
from support.scripted_server import ScriptedServer

LABELS = ["[/NAME]", "[bold]x", "[name]", "a\x1b]0;PWN\x07", "\u202eevil", ":smile:"]


def corpus(folder: Path, label: str) -> None:
    folder.mkdir()
    row = {"text": "He has Fever.", "entities": [{"start": 7, "end": 12, "label": label}]}
    for split in ("train", "dev", "test"):
        rows = [json.dumps({"id": f"{split}{n}", **row}) + "\n" for n in range(6)]
        (folder / f"{split}.jsonl").write_text("".join(rows))


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_a_label_is_shown_literally_and_never_interpreted(
    label: str, command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    corpus(tmp_path / "c", label)
    words = ["corpus=jsonl", "corpus.path=c", "corpus.phi=false"]
    model = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=zero_shot", "limit=3"]
    runs = [f"hydra.run.dir=r{n}" for n in range(2)]
    for name, extra_words in (("stats", []), ("run", [*model, runs[0]]), ("run", [*model, runs[1]])):
        done = command(name, *words, *extra_words)
        if done.returncode == 2:  # some labels fit no format: one message before any request
            assert done.stderr.count("\n") == 1 and not server.requests
            return
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        assert printable(label)[:12] in done.stdout
        assert "\x1b]0;" not in done.stdout + done.stderr and "\u202e" not in done.stdout
    done = command("compare", "r0", "r1")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "\x1b]0;" not in done.stdout and printable(label)[:12] in done.stdout


def test_a_file_name_is_shown_without_control_characters(command: Command, tmp_path: Path) -> None:
    done = command("stats", "corpus=jsonl", "corpus.path=no\x1b[31msuch")
    assert done.returncode == 2 and "\x1b[31m" not in done.stderr and "\\x1b[31msuch" in done.stderr


@pytest.mark.long
def test_no_command_leaves_a_core_dump(server: ScriptedServer, tmp_path: Path) -> None:
    limits: list[tuple[int, int]] = []

    def reply(messages: list[dict[str, str]]) -> str:
        limits.append(resource.prlimit(running.pid, resource.RLIMIT_CORE))
        return "x : O"

    server.reply = reply
    words = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=zero_shot", "limit=1"]
    running = fork_server().begin("run", *words, cwd=tmp_path)
    assert running.wait().code == 0
    assert limits[0][0] == 0
