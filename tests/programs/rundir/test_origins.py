"""Tests that programs, weights and knowledge bases made from protected text stay marked as protected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Command, folder_of, load
from support.scripted_server import ScriptedServer

AWAY = "https://evil.test/v1"


def corpus(folder: Path, name: str, split: str) -> None:
    """Write a small corpus with one sentence per document."""
    folder.mkdir()
    for part in ("train", "dev", split):
        entities = [{"start": len(name) + 11, "end": len(name) + 16, "label": "Sign"}]
        rows = [{"id": f"{name}{n}", "text": f"{name} Jones has Fever.", "entities": entities} for n in range(8)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def program(command: Command, server: ScriptedServer, tmp_path: Path) -> Path:
    """Folder of a program whose demonstrations are texts of patients."""
    corpus(tmp_path / "patients", "Anna", "test")
    corpus(tmp_path / "public", "pub", "test")
    words = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=few_shot", "strategy.k=3", "limit=2"]
    return folder_of(command("run", "corpus=jsonl", "corpus.path=patients", *words))


def model(server: str) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server}"]


def asked(server: str, *overrides: str) -> list[str]:
    return [
        "corpus=jsonl",
        "corpus.path=public",
        "corpus.phi=false",
        "model=openai",
        "model.id=m",
        f"model.api_base={server}",
        *overrides,
    ]


def test_a_program_records_its_source_corpora(program: Path) -> None:
    origin = load(program / "program.json")["origin"]
    assert origin["phi"] is True and origin["corpora"][0]["name"] == "patients"
    assert len(origin["documents"]) == 3 and all(name.startswith("Anna") for name in origin["documents"])


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "of an older version"])
def test_patient_demonstrations_are_not_sent_even_with_a_public_input(program: Path, command: Command, marked: bool) -> None:
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
    away = server.address.replace("127.0.0.1", "0.0.0.0") + "/v1"  # reaches this machine, but counts as another one
    folder = folder_of(command("run", *asked(away, "allow_remote=true", "allow_http=true"), f"program={program}", "limit=1"))
    (line,) = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert line["documents"] == ["pub0"] and line["scheme"] == "http"
    assert line["demonstrations"] == load(program / "program.json")["origin"]["documents"]
    again = load(folder / "program.json")["origin"]
    assert again == load(program / "program.json")["origin"]


def test_plain_http_to_another_machine_is_refused_unless_allowed(program: Path, command: Command) -> None:
    done = command("run", *asked("http://evil.test/v1", "limit=1", "strategy=zero_shot"))
    assert done.returncode == 2 and "by plain http" in done.stderr and "allow_http=true" in done.stderr


def test_a_users_own_knowledge_base_counts_as_protected(program: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Anna Jones has Fever.")
    words = asked(AWAY, "strategy=rag", "retriever.knowledge=notes", "limit=1")
    assert "the knowledge base notes may hold protected" in command("run", *words).stderr
    assert "retriever.phi=true" in command("run", *words).stderr
