"""Tests of `--json` and `--display`: documents have the documented keys, and nothing else is on standard output."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.app.results import as_json, DOCUMENT_KEYS, give
from conftest import Command, ROOT

BOXES = re.compile("[\u2500-\u257f\u001b\r]")
REPLAY = ["run", "model=replay", "model.path=out.jsonl", "strategy=zero_shot", "limit=3"]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / "out.jsonl").write_text('{"output": "x : O"}\n' * 3, encoding="utf-8")
    return tmp_path


def document(command: Command, name: str, *words: str, code: int = 0) -> dict[str, Any]:
    """The only thing on standard output: a document with the keys of its command."""
    done = command(name, *words, "--json")
    assert done.returncode == code, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    assert tuple(content) == DOCUMENT_KEYS[name]
    return content


def test_the_page_has_the_keys_of_each_command() -> None:
    page = (ROOT / "docs" / "json-output.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`.*`) \|$", page, re.M)
    assert {name: tuple(re.findall(r"`(\w+)`", keys)) for name, keys in rows} == DOCUMENT_KEYS


@pytest.mark.long
def test_documents_of_commands_that_read_runs(command: Command, outputs: Path) -> None:
    run = document(command, *REPLAY, "hydra.run.dir=one")
    assert (run["folder"], run["sentences"], run["corpus"]) == (str(outputs / "one"), 3, "raremini")
    assert Path(run["report"]).is_file()
    again = document(command, "run", "resume=one")  # a finished run has the same result
    assert {key for key in run if again[key] != run[key]} <= {"folder", "report", "seconds"}
    assert command(*REPLAY, "hydra.run.dir=two", "report=false").returncode == 0
    compared = document(command, "compare", "one", "two")
    assert compared["pairs"][0]["micro"]["difference"] == 0 and len(compared["runs"]) == 2
    assert document(command, "report", "one", "two")["page"].endswith("report.html")
    assert document(command, "score", "one", "match=relaxed")["results"][0]["runs"] == ["one"]
    listed = document(command, "runs", "folder=.")["runs"]
    assert [row["folder"] for row in listed if row["command"] == "run"] == ["one", "two"]


def test_documents_of_commands_that_read_a_corpus(command: Command, tmp_path: Path) -> None:
    stats = document(command, "stats")
    assert stats["splits"]["test"]["documents"] == 30 and (Path(stats["folder"]) / "stats.json").is_file()
    assert {"check", "level", "number", "text", "remedy"} == set(document(command, "check")["verdicts"][0])
    found = document(command, "doctor", "model=azure", "model.deployment=d", code=1)["verdicts"]
    assert any(one["level"] == "error" for one in found)


def test_json_is_refused_where_there_is_no_result(command: Command, outputs: Path) -> None:
    done = command("convert", "output=x", "--json")
    assert done.returncode == 2 and "convert prints no JSON document. --json is for" in done.stderr and not done.stdout
    done = command(*REPLAY, "--json", "-m", "seed=1,2")
    assert done.returncode == 2 and "a sweep has several results" in done.stderr
    done = command(*REPLAY, "--json", "limit=nothing")
    assert done.returncode == 2 and not done.stdout


@pytest.mark.parametrize("words", [[], ["--display", "plain"]])
def test_output_to_a_pipe_is_plain(command: Command, outputs: Path, words: list[str]) -> None:
    done = command(*REPLAY, *words)
    assert done.returncode == 0, done.stderr
    assert not BOXES.search(done.stdout + done.stderr)
    assert re.search(r"^micro +0\.0000 ", done.stdout, re.M)
    assert [line for line in done.stderr.splitlines() if line.startswith("tagging 3/3 ")]


def test_rich_is_as_on_a_terminal(command: Command, outputs: Path) -> None:
    done = command(*REPLAY, "--display", "rich")
    assert "┏━" in done.stdout and "━" in done.stderr


def test_none_leaves_the_path_alone(command: Command, outputs: Path) -> None:
    done = command(*REPLAY, "--display", "none", "hydra.run.dir=one")
    assert done.stdout == f"{outputs / 'one'}\n", done.stderr
    assert "tagging" not in done.stderr
    assert command("check", "--display", "none").stdout == ""
    assert command(*REPLAY, "--display", "loud").returncode == 2


def test_a_document_with_other_keys_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with as_json("runs"), pytest.raises(AssertionError):
        give("runs", None, lambda: {"runs": [], "more": 1})
    assert not capsys.readouterr().out
