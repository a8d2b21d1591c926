"""What was made from protected text keeps that mark, wherever it goes: programs, weights, knowledge bases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Command, folder_of, load
from support.scripted_server import ScriptedServer

AWAY = "https://evil.test/v1"


def corpus(folder: Path, name: str, split: str) -> None:
    """A small corpus of one document a sentence."""
    folder.mkdir()
    for part in ("train", "dev", split):
        entities = [{"start": len(name) + 11, "end": len(name) + 16, "label": "Sign"}]
        rows = [{"id": f"{name}{n}", "text": f"{name} Jones has Fever.", "entities": entities} for n in range(8)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def program(command: Command, server: ScriptedServer, tmp_path: Path) -> Path:
    """A program with demonstrations of patients."""
    corpus(tmp_path / "patients", "Anna", "test")
    corpus(tmp_path / "public", "pub", "test")
    words = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=few_shot", "strategy.k=3", "limit=2"]
    return folder_of(command("run", "corpus=jsonl", "corpus.path=patients", *words))


def model(server: str) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server}"]


def asked(server: str, *more: str) -> list[str]:
    return [
        "corpus=jsonl",
        "corpus.path=public",
        "corpus.phi=false",
        "model=openai",
        "model.id=m",
        f"model.api_base={server}",
        *more,
    ]


def test_a_program_says_what_it_was_made_from(program: Path) -> None:
    origin = load(program / "program.json")["origin"]
    assert origin["phi"] is True and origin["corpora"][0]["name"] == "patients"
    assert len(origin["documents"]) == 3 and all(name.startswith("Anna") for name in origin["documents"])


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "of an older version"])
def test_demonstrations_of_patients_go_nowhere_with_a_public_input(program: Path, command: Command, marked: bool) -> None:
    if not marked:
        content = load(program / "program.json")
        del content["origin"]
        (program / "program.json").write_text(json.dumps(content))
    for words in (
        ["run", *asked(AWAY), f"program={program}", "limit=1"],
        ["optimize", *asked(AWAY), f"program={program}"],
        [
            "annotate",
            "input=public/test.jsonl",
            "phi=false",
            "model=openai",
            "model.id=m",
            f"model.api_base={AWAY}",
            f"program={program}",
        ],
        ["run", *asked("http://127.0.0.1:9/v1"), f"program={program}", "tracking=mlflow", "tracking.uri=https://evil.test"],
    ):
        done = command(*words)
        assert done.returncode == 2 and "phi in its program.json=true" in done.stderr and "nothing was sent" in done.stderr


def test_the_audit_names_the_documents_of_demonstrations(program: Path, command: Command, server: ScriptedServer) -> None:
    away = server.address.replace("127.0.0.1", "0.0.0.0") + "/v1"  # leads here, but counts as elsewhere
    folder = folder_of(command("run", *asked(away, "allow_remote=true", "allow_http=true"), f"program={program}", "limit=1"))
    (line,) = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert line["documents"] == ["pub0"] and line["scheme"] == "http"
    assert line["demonstrations"] == load(program / "program.json")["origin"]["documents"]
    again = load(folder / "program.json")["origin"]
    assert again == load(program / "program.json")["origin"]


def test_another_machine_is_asked_by_https_alone_unless_the_user_says_otherwise(program: Path, command: Command) -> None:
    done = command("run", *asked("http://evil.test/v1", "limit=1", "strategy=zero_shot"))
    assert done.returncode == 2 and "by plain http" in done.stderr and "allow_http=true" in done.stderr


def test_a_knowledge_base_of_ones_own_is_protected(program: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Anna Jones has Fever.")
    words = asked(AWAY, "strategy=rag", "retriever.knowledge=notes", "limit=1")
    assert "the knowledge base notes may hold protected" in command("run", *words).stderr
    assert "retriever.phi=true" in command("run", *words).stderr
