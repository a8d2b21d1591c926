"""Tests of changing notes, folders that cannot be listed, pipes and kills within a group: no note is lost silently."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.readers.notes import Note, note_files, read_notes, Unreadable
from conftest import Command, fork_server, lines, load
from support.fork_server import until
from support.scripted_server import Handler, ScriptedServer


def model(server: ScriptedServer) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=zero_shot"]


def notes(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_each_entry_of_the_input_folder_is_read_or_reported(tmp_path: Path) -> None:
    notes(tmp_path / "in", {"a": "x", "ward/b": "y"})
    (tmp_path / "in" / "UP.TXT").write_text("z")
    os.mkfifo(tmp_path / "in" / "pipe.txt")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "ward")
    entries = list(read_notes(tmp_path / "in"))
    assert [entry for entry in entries if isinstance(entry, Note)] == [Note("UP", "z"), Note("a", "x"), Note("ward/b", "y")]
    problems = {entry.id: entry.error for entry in entries if isinstance(entry, Unreadable)}
    assert problems == {"pipe": "no_regular_file", "link": "linked_folder"}


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes(tmp_path, {"a/x": "x", "locked/y": "y"})
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("clinspan.corpora.readers.notes.os.scandir", scandir)  # file modes would not stop root
    assert list(note_files(tmp_path, ".txt")) == [tmp_path / "a" / "x.txt", Unreadable("locked", "unreadable")]


def test_files_that_are_no_notes_are_counted_and_pipes_are_failures(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    notes(tmp_path / "in", {"a": "Fever."})
    (tmp_path / "in" / "scan.pdf").write_bytes(b"%PDF")
    os.mkfifo(tmp_path / "in" / "pipe.txt")
    done = command("annotate", "input=in", "output=out", *model(server), timeout=60)
    assert done.returncode == 2 and "skipped files that are not notes: 1 .pdf" in done.stdout
    assert lines(tmp_path / "out" / "failed.jsonl") == [{"id": "pipe", "error": "no_regular_file"}]


@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_note_that_changes_during_a_run_keeps_its_first_text_in_every_format(
    command: Command, server: ScriptedServer, tmp_path: Path, change: str
) -> None:
    texts = {"a": "Fever here.", "b": "Rash there.", "c": "Pain now."}
    notes(tmp_path / "in", texts)

    def reply(messages: list[dict[str, str]]) -> str:
        path = tmp_path / "in" / "b.txt"
        if change == "removed":
            path.unlink(missing_ok=True)
        else:
            path.write_text("Something else altogether.")
        tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
        return "\n".join(f"{token} : {'O' if n else 'B-Sign'}" for n, token in enumerate(tokens))

    server.reply = reply
    done = command("annotate", "input=in", "output=out", "to=[brat,jsonl,conll,parquet]", *model(server))
    assert done.returncode == 0, done.stderr
    rows = lines(tmp_path / "out" / "annotations.jsonl")
    assert {row["id"]: row["text"] for row in rows} == texts
    assert all(row["entities"] for row in rows)
    assert sorted(path.stem for path in (tmp_path / "out" / "brat").glob("*.ann")) == ["a", "b", "c"]
    assert (tmp_path / "out" / "annotations.conll").read_text().count("-DOCSTART-") == 3
    assert not (tmp_path / "out" / "texts.part").exists()


@pytest.mark.long
def test_a_kill_within_a_group_repeats_no_saved_answer(server: ScriptedServer, command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "in", {"long": " ".join(f"Number {n} is fine." for n in range(40))})
    words = ["input=in", "output=out", *model(server), "model.concurrency=1", "model.retries=0"]

    def hang(handler: Handler, body: dict[str, Any]) -> None:
        running.send(signal.SIGKILL)

    server.behaviours = {26: hang}
    running = fork_server().begin("annotate", *words, cwd=tmp_path)
    until(lambda: len(server.requests) >= 26)
    running.wait()
    saved_answers = [line for line in lines(tmp_path / "out" / "answers.jsonl") if line["error"] is None]
    assert len(saved_answers) >= 24 and not any("Number" in json.dumps(line) for line in saved_answers)
    done = command("annotate", *words)
    assert done.returncode == 0, done.stderr
    prompts = [body["messages"][-1]["content"] for _, _, body in server.requests]
    assert len(prompts) <= 42 and len(set(prompts)) == 40
    record = load(tmp_path / "out" / "run.json")
    answered = [server_tokens(body) for number, (_, _, body) in enumerate(server.requests, 1) if number != 26]
    assert sum(answered) - max(answered) <= record["tokens"]["prompt_tokens"] <= sum(answered)
    assert not (tmp_path / "out" / "answers.jsonl").exists()
    again = command("annotate", *words)
    assert again.returncode == 0 and load(tmp_path / "out" / "run.json")["tokens"] == record["tokens"]


def server_tokens(body: dict[str, Any]) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])


def test_answers_of_another_text_or_annotator_are_not_used(server: ScriptedServer, command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "in", {"a": "Fever here."})
    (tmp_path / "out").mkdir()
    row = {"key": "0" * 32, "by": "x", "pred": ["B-Sign"], "confidence": None, "repairs": {}, "usage": {}, "error": None}
    (tmp_path / "out" / "answers.jsonl").write_text(json.dumps(row) + "\n{torn")
    (tmp_path / "out" / "run.json").write_text("{}")
    assert command("annotate", "input=in", "output=out", *model(server)).returncode == 0
    assert len(server.requests) == 1
