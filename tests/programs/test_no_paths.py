"""No absolute path gets into requests, exported programs, logs of prompts and pages, and no id or file name of a note into
requests. Programs and logs hold ids of documents, since leaks are found by them, but no file names."""

from __future__ import annotations

import getpass
import json
import re
from pathlib import Path

from conftest import Command, folder_of
from support.scripted_server import ScriptedServer

NAME = "doe-jane-1950-02-30"


def answer(messages: list[dict[str, str]]) -> str:
    tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
    return "\n".join(f"{token} : {'B-Sign' if token == 'fever' else 'O'}" for token in tokens)


def corpus(folder: Path) -> Path:
    folder.mkdir()
    for n in range(12):
        (folder / f"{NAME}-{n}.txt").write_text(f"No fever on day {n}. Still no fever today.\n", encoding="utf-8")
        (folder / f"{NAME}-{n}.ann").write_text("T1\tSign 3 8\tfever\n", encoding="utf-8")
    return folder


def test_prompts_programs_and_pages_name_no_file(command: Command, tmp_path: Path, server: ScriptedServer) -> None:
    server.reply = answer
    notes = corpus(tmp_path / "ward-7")
    model = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0"]
    run = tmp_path / folder_of(
        command(
            "run",
            "corpus=brat",
            f"corpus.path={notes}",
            "corpus.fold=0",
            "corpus.folds=3",
            "format=bio_lines",
            "strategy.k=2",
            *model,
        )
    )
    out = tmp_path / folder_of(command("annotate", f"input={notes}", "output=out", f"program={run}", "to=[html,jsonl]", *model))
    folder_of(command("report", str(run)))
    sent = json.dumps([body for _, _, body in server.requests])
    assert "fever" in sent
    hidden = [run / "program.json", out / "program.json", *run.glob("prompts.jsonl")]
    pages = [*run.glob("*.html"), *tmp_path.rglob("report.html"), *out.rglob("*.html")]
    assert len(hidden) >= 2
    assert len(pages) >= 13
    parts = [str(tmp_path), str(Path.home()), f"/{getpass.getuser()}/"]
    for name, text in [("requests", sent), *((str(path), path.read_text(encoding="utf-8")) for path in (*hidden, *pages))]:
        assert not [part for part in parts if len(part) > 2 and part in text], name
    assert NAME not in sent
    for name, text in [("requests", sent), *((str(path), path.read_text(encoding="utf-8")) for path in (*hidden, *pages))]:
        assert not re.search(rf"{NAME}-\d+\.(txt|ann)", text), name
