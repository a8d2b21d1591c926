"""Tests of `budget=` with a scripted server: commands end before they spend more, keep what was paid for, and can be resumed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.inference.spending import spent_on
from conftest import Command, folder_of, load
from support.compiling import local
from support.scripted_models import Script
from support.scripted_server import ScriptedServer

PRICE = (1000.0, 2000.0)
PRICED = [f"model.price_input={PRICE[0]}", f"model.price_output={PRICE[1]}"]
"""The scripted server counts words as tokens, so a sentence costs some ten cents."""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def printed_command(stderr: str) -> list[str]:
    """The words of the command that the message asks for."""
    found = re.search(r"continue with a larger budget: (.*)", stderr)
    assert found, stderr
    words = shlex.split(found[1])
    return words[next(n for n, word in enumerate(words) if "=" in word) :]


def test_a_run_ends_at_its_budget_and_goes_on_with_a_larger_one(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    words = [*local(server)[:-1], *PRICED, "strategy=zero_shot", "limit=12"]
    done = command("run", *words, "budget=1", "hydra.run.dir=a")
    assert done.returncode == 2 and "clinspan: budget=1 is nearly spent: 0." in done.stderr, done.stderr
    kept = rows(tmp_path / "a" / "predictions.jsonl")
    assert 0 < len(kept) < 12 and len(server.requests) == len(kept)
    assert 0.6 < spent_on(kept, PRICE) <= 1
    assert re.search(r"0\.\d{4} of about \d\.\d\d US\$", done.stderr)
    again = command("run", *printed_command(done.stderr))
    assert again.returncode in (0, 2), again.stderr
    final = command("run", "resume=a", "budget=100")
    assert final.returncode == 0, final.stderr
    assert len(server.requests) == 12  # nothing was paid for twice
    record = load(tmp_path / "a" / "run.json")
    assert record["cost"] == pytest.approx(spent_on(rows(tmp_path / "a" / "predictions.jsonl"), PRICE))


def test_a_compilation_ends_at_its_budget_and_goes_on(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    words = [*local(server), *PRICED, "optimizer=labeled", "optimizer.k=4", "strategy.k=2", "hydra.run.dir=a"]
    done = command("optimize", *words, "budget=3")
    assert done.returncode == 2 and "budget=3 is nearly spent" in done.stderr, done.stderr
    asked = len(server.requests)
    spent = sum(spent_on(rows(path), PRICE) for path in (tmp_path / "a" / "candidates").glob("*/predictions.jsonl"))
    assert 2 < spent <= 3
    assert printed_command(done.stderr) == ["resume=a", "budget=6"]
    folder = folder_of(command("optimize", "resume=a", "budget=1000"))
    assert load(tmp_path / folder / "run.json")["cost"] > spent and len(server.requests) > asked


def test_an_annotation_ends_at_its_budget_and_goes_on(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        (tmp_path / "in" / f"{number}.txt").write_text(f"He has fever number {number}.", encoding="utf-8")
    words = [*local(server)[:-1], *PRICED, "strategy=zero_shot", "input=in", "output=out", "to=jsonl"]
    done = command("annotate", *words, "budget=1")
    assert done.returncode == 2 and "budget=1 is nearly spent" in done.stderr, done.stderr
    asked = len(server.requests)
    assert 0 < asked < 12
    again = command("annotate", *words, "budget=50")
    assert again.returncode == 0, again.stderr
    assert len(server.requests) == 12 and asked < 12
    assert load(tmp_path / "out" / "run.json")["cost"] > 1
    assert "budget=2" in printed_command(done.stderr) and "budget=1" not in printed_command(done.stderr)


def test_a_budget_without_a_price_is_refused_before_anything_is_sent(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    words = [*local(server)[:-1], "strategy=zero_shot", "budget=1"]
    for name in ("run", "optimize"):
        done = command(name, *words)
        assert done.returncode == 2 and "needs the price of the model" in done.stderr
    notes = [{"id": f"n{n}", "text": "He has Fever.", "entities": [{"start": 7, "end": 12, "label": "Sign"}]} for n in range(6)]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes), encoding="utf-8")
    folds = ["corpus=jsonl", "corpus.path=notes.jsonl", "corpus.phi=false", "corpus.folds=3"]
    assert "budget is for one run" in command("run", *words, *PRICED, *folds).stderr
    assert not server.requests
