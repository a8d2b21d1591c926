"""Tests of `plan=true`: what it says is what a run does, and it leaves and sends nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clinspan.programs.app.results import DOCUMENT_KEYS
from conftest import Command, folder_of, load
from support.compiling import local
from support.scripted_server import ScriptedServer


def test_the_plan_of_a_priced_model_is_what_its_run_sends(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    words = [*local(server)[:-1], "model.price_input=10", "model.price_output=30", "strategy=few_shot", "limit=4"]
    done = command("run", *words, "plan=true")
    assert done.returncode == 0, done.stderr
    assert not server.requests and not list(tmp_path.glob("runs/run/*"))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("prompt of ") and "4 sentences, 4 requests" in lines and "time: not known" in lines
    assert re.fullmatch(r"cost: about 0\.\d\d US\$", lines[-2]) and lines[-1] == "Nothing was sent, and no model was loaded."
    plan = json.loads(command("run", *words, "plan=true", "--json").stdout)
    assert tuple(plan) == DOCUMENT_KEYS["plan"]
    folder_of(command("run", *words))
    sent = [body["messages"] for *_, body in server.requests]
    assert plan["prompt"] in ["\n\n".join(f"[{one['role']}]\n{one['content']}" for one in messages) for messages in sent]
    assert len(sent) == plan["requests"] and len(sent[0]) > 2


def test_a_plan_without_a_price_says_how_to_give_one(command: Command, server: ScriptedServer) -> None:
    done = command("run", *local(server)[:-1], "strategy=zero_shot", "limit=2", "plan=true")
    assert "cost: not known: add model.price_input=USD" in done.stdout


@pytest.mark.weights
def test_the_plan_of_a_local_model_is_rendered_by_its_tokenizer(command: Command, smollm2: object, tmp_path: Path) -> None:
    words = ["strategy=few_shot", "limit=2", "draft=none"]
    plan = json.loads(command("run", *words, "plan=true", "--json").stdout)
    assert (plan["counted"] and plan["cost"] == 0 and plan["seconds"] is None) or plan["seconds"] > 0
    folder = folder_of(command("run", *words))
    rows = [json.loads(line) for line in (tmp_path / folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert plan["prompt"] in [row.get("rendered") for row in rows]
    tokens = load(tmp_path / folder / "run.json")["tokens"]["prompt_tokens"]
    assert plan["prompt_tokens"] * 2 == pytest.approx(tokens, rel=0.02)


@pytest.mark.parametrize("words", [["resume=x"], ["model=minilm"]])
def test_a_plan_that_cannot_be_made_is_refused(command: Command, words: list[str], tmp_path: Path) -> None:
    done = command("run", "plan=true", *words)
    assert done.returncode == 2 and ("plan=true is for one new run" in done.stderr or "plan=true shows one" in done.stderr)
