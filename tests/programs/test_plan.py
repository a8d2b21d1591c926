"""Tests of `plan=true`: what it says is what a run or a compilation does, and it leaves and sends nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.app.results import DOCUMENT_KEYS
from conftest import Command, folder_of, load
from support.compiling import local, SMALL, writer
from support.scripted_models import Script
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


@pytest.mark.long
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


QUICK = ("coverage", "knn", "simba")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in (*SMALL, "knn")]


@pytest.mark.long
@pytest.mark.parametrize("name", EVERY)
def test_a_compilation_asks_as_much_as_its_plan_says(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path, name: str
) -> None:
    prices = [f"{model}.price_{way}=10" for model in ("model", "reflection_model") for way in ("input", "output")]
    words = [f"optimizer={name}", *SMALL.get(name, ["optimizer.ks=[1,2]"]), *local(server), *writer(server), *prices]
    words += ["train_limit=30", "strategy.k=2", "dev_limit=45", "halving.least=10"]
    plan = json.loads(command("optimize", *words, "plan=true", "--json").stdout)
    assert not server.requests and not list(tmp_path.glob("runs/optimize/*"))
    assert tuple(plan) == DOCUMENT_KEYS["optimize_plan"]
    done = command("optimize", *words)
    folder = folder_of(done)
    record = load(tmp_path / folder / "run.json")
    assert record["candidates"] <= plan["candidates"] + 1
    sent = [body for *_, body in server.requests if body["model"] == "student"]
    assert plan["requests"][0] <= len(sent) <= plan["requests"][1]
    tags = [body for *_, body in server.requests if body["model"] == "writer" and is_tagging(body)]
    assert plan["taught"][0] <= len(tags) <= plan["taught"][1]
    assert record["requests"] == len(server.requests)
    assert f"{len(server.requests):,} requests" in done.stdout
    least, most = plan["sentences"]
    assert f"clinspan: {least:,}{'' if least == most else f' to {most:,}'} sentences are tagged" in done.stderr
    assert plan["cost"][0] <= plan["cost"][1] and plan["cost"][0] > 0


def is_tagging(body: dict[str, Any]) -> bool:
    """Whether a request asks for tags, not for instructions."""
    return "Answer with one line for each token" in body["messages"][0]["content"]


def test_the_last_words_of_a_compilation_show_its_prompt(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    done = command("optimize", "optimizer=labeled", *local(server), "strategy.k=2", "train_limit=30")
    lines = done.stdout.splitlines()
    words = shlex.split(lines[lines.index("to read its prompt as the model gets it:") + 1])
    assert words[-2:] == ["split=dev", "plan=true"]
    asked = len(server.requests)
    shown = command("run", *words[next(n for n, word in enumerate(words) if "=" in word) :])
    assert shown.returncode == 0, shown.stderr
    program = load(tmp_path / folder_of(done) / "program.json")
    assert program["tag"]["signature"]["instructions"].splitlines()[0] in shown.stdout
    assert all(" ".join(demo["tokens"]) in shown.stdout for demo in program["tag"]["demos"])
    assert len(server.requests) == asked


def test_the_plan_of_a_compilation_knows_what_costs_nothing_and_what_has_no_price(command: Command, server: ScriptedServer) -> None:
    words = ["optimizer=labeled", "dev_limit=18", "train_limit=30", "plan=true"]
    done = command("optimize", *words, "strategy.k=2")
    assert done.returncode == 0, done.stderr
    assert "cost: none" in done.stdout and "36 sentences are tagged, 36 requests" in done.stdout
    unpriced = command("optimize", *words, "strategy.k=2", *local(server))
    assert "cost: not known: add model.price_input=USD" in unpriced.stdout
    resumed = command("optimize", *words, "resume=x")
    assert resumed.returncode == 2 and "plan=true is for one new compilation" in resumed.stderr
    writes = command("optimize", "optimizer=gepa", "plan=true")
    assert writes.returncode == 2 and "needs a model that writes instructions" in writes.stderr
