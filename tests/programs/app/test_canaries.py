"""Tests of all commands on protected texts: names stay in the output folders, and files of runs are closed to others."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from conftest import command_in, folder_of
from support.scripted_server import ScriptedServer, serving

CANARIES = ("Zebulon Quagmire", "MRN-5550199")
KEY = "key-canary-77"
PROBLEMS = ("He has Fever.", "No rash seen.", "Pain in the leg.", "Seizures stopped.")


def patients(folder: Path) -> None:
    """Write a corpus and notes with a patient's name and record number in every text."""
    folder.mkdir()
    for split in ("train", "dev", "test"):
        rows = []
        for n in range(12):
            text = f"{CANARIES[0]} {CANARIES[1]} note {n}: {PROBLEMS[n % 4]}"
            start = text.index(PROBLEMS[n % 4]) + len(PROBLEMS[n % 4]) - 6
            rows.append({"id": f"{split}{n}", "text": text, "entities": [{"start": start, "end": start + 5, "label": "Sign"}]})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "notes").mkdir()
    for n in range(3):
        (folder / "notes" / f"n{n}.txt").write_text(f"{CANARIES[0]} has Fever, {CANARIES[1]}.", encoding="utf-8")


@pytest.mark.long
@pytest.mark.weights
def test_no_command_leaves_names_outside_its_folder(tmp_path: Path, smollm2: object) -> None:
    home, place = tmp_path / "home", tmp_path / "work"
    for folder in (home, place, tmp_path / "tmp"):
        folder.mkdir()
    patients(tmp_path / "corpus")
    call = command_in(place)
    with serving(ScriptedServer()) as server:
        variables = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "TMPDIR": tmp_path / "tmp", "DSPY_CACHEDIR": home / "dspy"}
        env = {**{key: str(value) for key, value in variables.items()}, "OPENAI_API_KEY": KEY, "OPENAI_LOG": "debug"}
        env |= {"CLINSPAN_CACHE": os.environ.get("CLINSPAN_CACHE") or str(Path("~/.cache/clinspan").expanduser())}
        azure = {**env, "AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": KEY}
        corpus = ["corpus=jsonl", f"corpus.path={tmp_path / 'corpus'}", "corpus.phi=true"]
        model = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1"]
        small = ["limit=2", "hydra.verbose=true"]
        stderr_texts: list[str] = []

        def run(name: str, *words: str, env: dict[str, str] = env, code: int = 0) -> Path:
            done = call(name, *words, env=env)
            stderr_texts.append(done.stderr)
            assert done.returncode == code, (name, words, done.stderr)
            return folder_of(done) if not code else place

        run("stats", *corpus)
        run("convert", *corpus, "to=jsonl", "output=converted")
        first = run("run", *corpus, *model, *small, "strategy=few_shot", "strategy.k=2")
        second = run("run", *corpus, "model=gpt4", *small, env=azure)
        run("run", *corpus, *model, *small, "strategy=knn", "strategy.k=2")
        run("run", *corpus, "limit=1")  # the default model
        run("compare", str(first), str(second))
        run("report", str(first))
        redacted = run("report", str(first), "redact=true")
        labeled = ["optimizer=labeled", "optimizer.k=2", "strategy.k=2", "train_limit=6", "dev_limit=3"]
        made = run("optimize", *corpus, *model, *labeled)
        source = f"input={tmp_path / 'corpus' / 'notes'}"
        formats = "to=[brat,conll,jsonl,parquet,bioc_xml,bioc_json,html]"
        run("annotate", source, "output=out", formats, *model, "strategy=zero_shot")
        run("annotate", source, "output=out2", *model, f"program={made}")
        tuned = run("finetune", *corpus, "model=minilm", "tuning=encoder", "tuning.epochs=1", "limit=4", "dev_limit=2")
        run("run", *corpus, f"program={tuned}", *small)
        run("run", *corpus, *model, "limit=1", f"program={first}/nothing", code=2)
    assert not any(canary in text or KEY in text for text in stderr_texts for canary in CANARIES)
    runs = (place / "runs", place / "out", place / "out2", place / "converted")
    for path in [*home.rglob("*"), *(tmp_path / "tmp").rglob("*"), *place.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            inside = any(path.is_relative_to(folder) for folder in runs)
            assert inside or not any(canary.encode() in content for canary in CANARIES), path
        if path.is_relative_to(place / "runs"):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    page = (redacted / "report.html").read_text(encoding="utf-8")
    hidden: list[Any] = [*CANARIES, first.name, str(tmp_path)]
    assert not [word for word in hidden if word in page]
