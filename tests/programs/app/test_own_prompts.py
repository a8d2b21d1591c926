"""Tests of prompts of the user's own in the commands: instructions from a file, given demonstrations, a named knowledge base."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.programs.building.build_tagger import with_knowledge
from clinspan.programs.config.composition import compose, load_corpus
from conftest import Command, folder_of, load
from support.scripted_server import ScriptedServer

CORPUS = ["corpus=jsonl", "corpus.path=notes", "limit=1"]
AWAY = "https://evil.test/v1"


def row(name: str, text: str, *mentions: tuple[str, str]) -> str:
    found = [{"label": label, "start": text.index(word), "end": text.index(word) + len(word)} for word, label in mentions]
    return json.dumps({"id": name, "text": text, "entities": found}) + "\n"


@pytest.fixture(autouse=True)
def notes(tmp_path: Path) -> Path:
    """A corpus with two labels in train, one of them rare, and many train sentences without an entity."""
    folder = tmp_path / "notes"
    folder.mkdir()
    train = [row(f"t{n}", f"Seen again in week {n}.") for n in range(30)]
    train += [row(f"p{n}", f"Fever on day {n}.", ("Fever", "Problem")) for n in range(4)]
    train += [row("m", "Takes aspirin.", ("aspirin", "Medication"))]
    (folder / "train.jsonl").write_text("".join(train))
    (folder / "test.jsonl").write_text(row("x", "A cough and a scan.", ("cough", "Problem"), ("scan", "Procedure")))
    (tmp_path / "own.jsonl").write_text(row("a", "A rash today.", ("rash", "Problem")) + row("b", "No pain.", ("pain", "Problem")))
    return folder


def asked(server: ScriptedServer) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server.address}/v1"]


def demos_of(folder: Path) -> list[dict[str, Any]]:
    demos: list[dict[str, Any]] = load(folder / "program.json")["tag"]["demos"]
    return demos


def test_instructions_come_from_a_file_which_the_program_does_not_need(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "MINE.md").write_text("Look for {labels}.\n{definitions}\n")
    words = [*CORPUS, *asked(server), "strategy=zero_shot", "+corpus.definitions.Problem=what is wrong"]
    folder = folder_of(command("run", *words, "prompt=file", "prompt.path=MINE.md"))
    system = server.requests[-1][2]["messages"][0]["content"]
    assert system.startswith("Look for Medication, Problem, Procedure.\n- Medication\n- Problem: what is wrong\n- Procedure")
    digest = hashlib.sha256((tmp_path / "MINE.md").read_bytes()).hexdigest()
    assert load(folder / "run.json")["files"] == {"prompt.path": {"path": "MINE.md", "sha256": digest}}
    (tmp_path / "MINE.md").unlink()
    again = folder_of(command("run", *words[:-1], f"program={folder}"))
    assert server.requests[-1][2]["messages"][0]["content"] == system
    assert "files" not in load(again / "run.json")
    done = command("run", *words, "prompt=file", "prompt.path=MINE.md")
    assert done.returncode == 2 and "MINE.md: cannot be read" in done.stderr


def test_a_run_is_not_resumed_with_other_instructions(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "MINE.md").write_text("Look for {labels}.")
    words = [*CORPUS, *asked(server), "strategy=few_shot", "prompt=file", "prompt.path=MINE.md", "strategy.examples=own.jsonl"]
    folder = folder_of(command("run", *words))
    (tmp_path / "MINE.md").write_text("Find {labels}.")
    record = load(folder / "run.json")
    (folder / "run.json").write_text(json.dumps({**record, "status": "failed"}))
    done = command("run", f"resume={folder}")
    assert done.returncode == 2 and "the file of prompt.path, MINE.md, has changed since the run began" in done.stderr


def test_demonstrations_come_from_a_file_in_its_order(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    words = [*CORPUS, *asked(server), "strategy=few_shot"]
    done = command("run", *words, "strategy.examples=own.jsonl")
    folder = folder_of(done)
    assert [demo["id"] for demo in demos_of(folder)] == ["own.jsonl/a:0", "own.jsonl/b:0"]
    assert demos_of(folder)[0]["tags"] == ["O", "B-Problem", "O", "O"]
    line = "clinspan: demonstrations: 2 sentences; shown: Problem 2; not shown: Medication, Procedure"
    assert line in done.stderr.splitlines()
    settings, record = load(folder / "program.json")["settings"]["strategy"], load(folder / "run.json")
    assert settings["k"] == 2 and not {"examples", "ids"} & settings.keys()
    assert record["demonstrations"] == ["own.jsonl/a:0", "own.jsonl/b:0"] and list(record["files"]) == ["strategy.examples"]
    assert load(folder / "program.json")["origin"] == {
        "phi": True,
        "corpora": [{"name": "notes", "sha256": record["corpus"]["sha256"]}],
        "documents": ["own.jsonl/a", "own.jsonl/b"],
    }
    (tmp_path / "own.jsonl").rename(tmp_path / "other.jsonl")
    again = command("run", *words[:-1], f"program={folder}")
    assert (
        demos_of(folder_of(again)) == demos_of(folder) and "the program's sentences show no Medication, Procedure" in again.stderr
    )
    changed = folder_of(command("run", *words[:-1], f"program={folder}", "strategy.examples=other.jsonl"))
    assert [demo["id"] for demo in demos_of(changed)] == ["other.jsonl/a:0", "other.jsonl/b:0"]
    fewer = folder_of(command("run", *words[:-1], f"program={folder}", "strategy.k=1"))
    assert len(demos_of(fewer)) == 1 and not demos_of(fewer)[0]["id"].startswith("own")


def test_demonstrations_come_from_columns_or_ids(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "own.conll").write_text("A\tO\nrash\tB-Problem\n\nNone\tO\n")
    folder = folder_of(command("run", *CORPUS, *asked(server), "strategy.examples=own.conll"))
    assert [demo["tokens"] for demo in demos_of(folder)] == [["A", "rash"], ["None"]]
    folder = folder_of(command("run", *CORPUS, *asked(server), "strategy.ids=[m:0,p2:0]"))
    assert load(folder / "run.json")["demonstrations"] == ["m:0", "p2:0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strategy.ids=[p9:0]"], "no sentence p9:0, which strategy.ids names. The nearest id is "),
        (["strategy.ids=[x:0]"], "strategy.ids has x:0, a sentence of the test split of notes"),
        (["strategy.examples=none.jsonl"], "none.jsonl: there is no such file"),
        (["strategy.examples=odd.jsonl"], "odd.jsonl: sentence q:0 has a mention of Sign, a label that notes lacks"),
        (
            ["strategy.examples=notes/test.jsonl"],
            "notes/test.jsonl: sentence x:0 has the words of x:0, a sentence of the test split",
        ),
        (["strategy.examples=own.jsonl", "strategy.ids=[m:0]"], "strategy.examples and strategy.ids are both set"),
        (["strategy=knn", "strategy.ids=[m:0]"], "strategy.ids gives fixed demonstrations, and this strategy has none"),
        (["strategy=zero_shot", "strategy.examples=own.jsonl"], "strategy.examples gives fixed demonstrations"),
        (["strategy.examples=own.jsonl", "strategy.k=3"], "strategy.k has no effect with strategy.examples"),
        (["strategy.ids=m:0"], "strategy.ids=m:0 is not a list"),
        (["strategy=rag_few_shot", "strategy.ids=[m:0]"], "no knowledge base is named for notes. Set retriever.knowledge=FOLDER"),
        (["strategy=rag"], "retriever.knowledge=FOLDER (your .txt and .md files), hpo, or bundled (articles on the diseases of"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused(
    words: list[str], message: str, command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "odd.jsonl").write_text(row("q", "A rash.", ("rash", "Sign")))
    done = command("run", *CORPUS, *asked(server), *words)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not server.requests


def test_examples_are_protected_as_the_corpus_is(command: Command, server: ScriptedServer) -> None:
    words = ["model=openai", "model.id=m", f"model.api_base={AWAY}", "strategy.examples=own.jsonl"]
    done = command("run", *CORPUS, *words)
    assert done.returncode == 2 and "nothing was sent" in done.stderr
    notes = ["input=notes/test.jsonl", "output=out", "corpus.phi=true", "phi=false"]
    done = command("annotate", *notes, *words)
    assert done.returncode == 2 and "the demonstrations of own.jsonl may hold protected health information" in done.stderr
    assert "corpus.phi=true" in done.stderr


def test_examples_for_an_annotation_of_protected_notes_are_protected_in_its_program(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "own.jsonl").write_text(row("a", "A rash today.", ("rash", "Sign")))
    done = command("annotate", "input=notes/test.jsonl", "output=out", "strategy.examples=own.jsonl", *asked(server))
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "out" / "program.json")["origin"]["phi"] is True


def test_other_corpora_are_covered_and_the_screen_says_so(command: Command, server: ScriptedServer) -> None:
    done = command("run", *CORPUS, *asked(server), "strategy.k=4")
    (shown,) = [text for text in done.stderr.splitlines() if "demonstrations:" in text]
    assert shown.startswith("clinspan: demonstrations: 4 sentences; shown: Medication 1, Problem ")
    assert "not shown: Procedure" in shown
    assert sum(set(demo["tags"]) == {"O"} for demo in demos_of(folder_of(done))) <= 1
    done = command("run", *CORPUS, *asked(server), "strategy.draw=random", "strategy.k=4", "seed=1")
    assert sum(set(demo["tags"]) == {"O"} for demo in demos_of(folder_of(done))) > 1
    assert "demonstrations: 4 sentences; not shown: Medication, Problem, Procedure; 4 without an entity" in done.stderr


@pytest.mark.parametrize("key", ["examples", "ids"])
def test_a_program_names_no_file_of_demonstrations(key: str, command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    folder = folder_of(command("run", *CORPUS, *asked(server), "strategy.examples=own.jsonl"))
    content = load(folder / "program.json")
    content["settings"]["strategy"][key] = "/etc/passwd"
    (tmp_path / "program.json").write_text(json.dumps(content))
    done = command("run", *CORPUS, *asked(server), "program=program.json")
    assert done.returncode == 2
    assert f"program.json: strategy.{key} is set, and a program has its demonstrations itself" in done.stderr


def knowledge(*words: str) -> object:
    config, _, _ = compose("run", words)
    return with_knowledge(config, load_corpus(config)).retriever.knowledge


def test_the_bundled_articles_are_used_for_raremini_or_if_they_are_named(notes: Path) -> None:
    other = ["corpus=jsonl", f"corpus.path={notes}"]
    assert knowledge("strategy=rag") == "bundled" and knowledge("strategy=rag_few_shot") == "bundled"
    assert knowledge("strategy=rag", *other, "retriever.knowledge=bundled") == "bundled"
    assert knowledge("strategy=rag", "retriever.knowledge=hpo") == "hpo"
    assert knowledge("strategy=knn", *other) is None
    with pytest.raises(InputError, match="no knowledge base is named for notes"):
        knowledge("strategy=rag", *other)
