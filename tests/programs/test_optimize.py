"""Tests of the `optimize` command: every optimizer with scripted models, and some with real weights."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from clinspan.corpora.sources import RareMini
from clinspan.programs.building.build_optimizer import about_test
from conftest import Command, folder_of, load, records
from support.compiling import local, program, SMALL, SNAKE, writer, WRITES
from support.scripted_models import MAGIC, NAMES, Script
from support.scripted_server import ScriptedServer


@pytest.mark.parametrize("name", SMALL)
def test_an_optimizer_improves_the_program_and_sees_no_test_sentence(
    command: Command, server: ScriptedServer, script: Script, name: str
) -> None:
    done = command("optimize", f"optimizer={name}", *SMALL[name], *local(server), *writer(server), "train_limit=60", "strategy.k=2")
    folder = folder_of(done)
    record, compiled = load(folder / "run.json"), program(folder)
    assert record["status"] == "finished", done.stderr
    assert record["best"]["key"] != record["start"]["key"]
    if name != "labeled":
        assert record["best"]["micro"] > record["start"]["f1"]
    assert load(folder / "scores.json")["micro"]["f1"] == record["best"]["micro"]
    assert [row["id"] for row in records(folder)] and len(records(folder)) == record["best"]["sentences"] == 18
    assert not script.seen & script.test
    assert len(record["trainset"]) == 60
    if name == "gepa":
        assert "clinspan: 60 to 104 sentences are tagged for at most 2 candidates, as dev has 18; dev_limit" in done.stderr
    states = compiled.get("members", [compiled])
    start = load(folder / "candidates" / record["start"]["key"] / "program.json")
    assert any(state != start for state in states)
    if name in WRITES:
        assert script.written > 0
        assert MAGIC in compiled["tag"]["signature"]["instructions"]
        assert record["writer_tokens"]["prompt_tokens"] > 0
    printed = done.stdout + done.stderr + (folder / "run.log").read_text()
    assert not any(sentence in printed for sentence in script.gold if len(sentence) > 30)


@pytest.mark.parametrize("name", ["mipro", "gepa", "simba", "infer_rules"])
def test_a_writing_model_sees_the_label_names_of_prompts(
    command: Command, server: ScriptedServer, script: Script, name: str
) -> None:
    words = [
        f"optimizer={name}",
        *SMALL[name],
        *local(server),
        *writer(server),
        "train_limit=30",
        "strategy.k=2",
        "label_wording=snake",
    ]
    script.called = {label: word for label, word in zip(NAMES, SNAKE, strict=True) if label != word}
    assert command("optimize", *words).returncode == 0
    read = "\n".join(json.dumps(body["messages"]) for _, _, body in server.requests if body["model"] == "writer")
    assert set(re.findall(r"\b[BI]-(\w+)", read)) & set(SNAKE)
    assert not any(name in read for name in NAMES if name not in SNAKE)


@pytest.mark.parametrize("name", ["labeled", "bootstrap", "mipro", "gepa", "simba", "infer_rules"])
def test_sentences_are_asked_with_their_neighbours(command: Command, server: ScriptedServer, script: Script, name: str) -> None:
    words = [f"optimizer={name}", *SMALL[name], *local(server), *writer(server), "train_limit=30", "strategy.k=2"]
    folder = folder_of(command("optimize", *words, "strategy.neighbours=1"))
    compiled = program(folder)
    assert compiled["settings"]["strategy"]["neighbours"] == 1
    assert all(demo.keys() <= {"id", "tokens", "tags", "joined"} for demo in compiled["tag"]["demos"])
    asked = [body["messages"] for _, _, body in server.requests if body["model"] == "student"]
    tagging = [messages for messages in asked if "[[ ##" not in str(messages)]
    assert tagging and all("Sentence to tag:" in messages[-1]["content"] for messages in tagging)
    assert not any("Sentence to tag:" in turn["content"] for messages in tagging for turn in messages[1:-1])


@pytest.mark.parametrize("name", ["bootstrap", "mipro", "gepa", "simba"])
def test_every_token_is_counted_once(command: Command, server: ScriptedServer, script: Script, name: str) -> None:
    """The count covers the evaluator's requests and those that an optimizer makes itself."""
    words = [f"optimizer={name}", *SMALL[name], *local(server), "train_limit=20", "strategy.k=2"]
    record = load(folder_of(command("optimize", *words)) / "run.json")
    sent_tokens = sum(len(m["content"].split()) for _, _, body in server.requests for m in body["messages"])
    assert record["tokens"]["prompt_tokens"] == sent_tokens
    assert record["requests"] == len(server.requests)


def test_a_compiled_program_runs_in_another_process_with_another_model(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    made = folder_of(
        command(
            "optimize", "optimizer=grid", "optimizer.space=['label_wording=snake','strategy.k=8']", "strategy.k=1", *local(server)
        )
    )
    assert program(made)["settings"]["label_wording"] == "snake"
    azure = {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "k"}
    server.requests.clear()
    ran = folder_of(command("run", f"program={made}", "model=gpt4", "limit=4", env=azure))
    assert "rare_disease" in json.dumps(server.requests[0][2])
    assert "RareDisease" not in json.dumps(server.requests[0][2])
    record = load(ran / "run.json")
    assert record["config"]["label_wording"] == "snake"
    assert record["program"]["path"] == str(made)
    assert program(ran)["tag"] == program(made)["tag"]
    assert {tag[2:] for row in records(ran) for tag in row["pred"]} <= {"", *NAMES}
    other = ["label_wording=upper", "strategy=zero_shot", "prompt=bare"]
    overridden = folder_of(command("run", f"program={made}", *other, "model=gpt4", "limit=1", env=azure))
    assert load(overridden / "run.json")["config"]["label_wording"] == "upper"
    assert program(overridden)["tag"]["demos"] == []
    assert program(overridden)["tag"]["signature"]["instructions"].startswith("Tag the mentions of")


@pytest.mark.long
def test_an_ensemble_still_votes_after_loading(command: Command, server: ScriptedServer, script: Script) -> None:
    made = folder_of(command("optimize", "optimizer=ensemble", *SMALL["ensemble"], *local(server), "halving.rungs=1"))
    keys = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    voting = made / "candidates" / keys["ensemble"]
    assert len(program(voting)["members"]) == 3
    ran = folder_of(command("run", f"program={voting}", "split=dev", "limit=18", *local(server)[:-1]))
    expected = {row["id"]: row["pred"] for row in records(voting)}
    assert {row["id"]: row["pred"] for row in records(ran)} == expected
    assert {c for row in records(ran) for c in row["confidence"] or () if c is not None} <= {2 / 3, 1.0}


@pytest.mark.long
def test_a_hopeless_start_does_not_vote_though_it_was_scored_on_all_of_dev(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    words = ["optimizer=ensemble", "optimizer.pool=6", "strategy.k=1", "halving.keep=6", *local(server), "dev_limit=60"]
    made = folder_of(command("optimize", *words))
    candidates = load(made / "candidates.json")
    assert candidates["sizes"] == [20, 60]
    start = program(made / "candidates" / load(made / "run.json")["start"]["key"])
    voting = next(trial["key"] for trial in candidates["trials"] if trial["by"] == "ensemble")
    members = [member["tag"]["demos"] for member in program(made / "candidates" / voting)["members"]]
    assert len(members) == 3
    assert start["tag"]["demos"] not in members


def test_tokens_are_counted_once_if_the_model_itself_writes_instructions(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    same = writer(server, "student")
    record = load(folder_of(command("optimize", "optimizer=copro", *SMALL["copro"], *local(server), *same)) / "run.json")
    sent_tokens = sum(len(m["content"].split()) for _, _, body in server.requests for m in body["messages"])
    assert record["tokens"]["prompt_tokens"] + record["writer_tokens"].get("prompt_tokens", 0) == sent_tokens


def test_nearest_demonstrations_come_from_the_pool_that_the_user_named(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    words = ["optimizer=knn", "optimizer.ks=[2]", "strategy.pool=30", "strategy.overflow=error", "train_limit=60"]
    made = folder_of(command("optimize", *words, *local(server)))
    nearest = next(trial["key"] for trial in load(made / "candidates.json")["trials"] if trial["by"] == "knn k=2")
    strategy = program(made / "candidates" / nearest)["settings"]["strategy"]
    assert (strategy["choice"], strategy["pool"], strategy["overflow"], strategy["k"]) == ("knn", 30, "error", 2)


@pytest.mark.long
@pytest.mark.weights
def test_real_weights_are_compiled_and_their_program_runs(command: Command, smollm2: Any) -> None:
    small = ["optimizer.starts=2", "optimizer.rounds=1", "optimizer.proposals=2", "dev_limit=12", "train_limit=40"]
    made = folder_of(command("optimize", "optimizer=coverage", *small))
    record = load(made / "run.json")
    assert record["candidates"] >= 4
    assert record["best"]["micro"] >= record["start"]["f1"]
    ran = folder_of(command("run", f"program={made}", "split=dev", "limit=12"))
    assert load(ran / "scores.json")["micro"]["f1"] == record["best"]["micro"]


@pytest.mark.long
@pytest.mark.weights
def test_nearest_demonstrations_are_compiled_and_saved(command: Command, smollm2: Any) -> None:
    small = ["optimizer.ks=[1,3]", "dev_limit=8", "train_limit=40", "halving.rungs=1"]
    made = folder_of(command("optimize", "optimizer=knn", *small))
    trial = next(trial for trial in load(made / "candidates.json")["trials"] if trial["by"].startswith("knn"))
    nearest = made / "candidates" / trial["key"]
    strategy = program(nearest)["settings"]["strategy"]
    assert (strategy["demonstrations"], strategy["pool"]) == ("nearest", 40)
    ran = folder_of(command("run", f"program={nearest}", "split=dev", "limit=8"))
    assert load(ran / "scores.json")["micro"]["f1"] == trial["f1"]["8"]


@pytest.mark.long
@pytest.mark.weights
def test_weights_are_trained_and_load_with_their_program(command: Command, smollm2: Any) -> None:
    small = ["optimizer.dev_records=1", "train_limit=6", "dev_limit=3", "halving.rungs=1"]
    made = folder_of(command("optimize", "optimizer=bootstrap_finetune", *small))
    trials = {trial["by"]: trial for trial in load(made / "candidates.json")["trials"]}
    trained = load(made / "candidates" / trials["bootstrap_finetune"]["key"] / "program.json")
    assert trained["settings"]["strategy"]["choice"] == "zero_shot"
    assert trained["settings"]["adapter"]["folder"] == "model"
    (made / "program.json").write_text(json.dumps(trained))  # so little training need not give the best candidate
    ran = folder_of(command("run", f"program={made}", "split=dev", "limit=3"))
    assert "+adapter:" in load(ran / "run.json")["model"]["revision"]
    expected = {row["id"]: row["pred"] for row in records(made / "candidates" / trials["bootstrap_finetune"]["key"])}
    assert {row["id"]: row["pred"] for row in records(ran)} == expected


@pytest.mark.long
def test_a_program_keeps_its_retriever_but_names_no_server_and_no_code(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    made = folder_of(command("run", "strategy=rag", "retriever.top_k=1", "retriever.size=128", "limit=2", *local(server)[:-1]))
    saved = program(made)
    keys = saved["settings"]["retriever"]
    assert (keys["choice"], keys["top_k"], keys["size"]) == ("minilm", 1, 128)
    assert "url" not in keys and "_target_" not in keys["embedder"]
    ran = folder_of(command("run", f"program={made}", "retriever.size=64", "limit=2", *local(server)[:-1]))
    used = load(ran / "run.json")["config"]["retriever"]
    assert (used["top_k"], used["size"], used["url"]) == (1, 64, None)
    for place, key in (("retriever", "url"), ("format", "_target_")):
        keys = {**saved["settings"], place: {**saved["settings"][place], key: "os.getcwd"}}
        (made / "program.json").write_text(json.dumps({**saved, "settings": keys}))
        done = command("run", f"program={made}", "limit=2", *local(server)[:-1])
        assert done.returncode == 2 and ("names no server" in done.stderr or "names code" in done.stderr)


@pytest.mark.long
def test_optuna_tries_each_combination_once_and_ends_when_none_is_left(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    words = ["optimizer=optuna", "optimizer.space=['strategy=few_shot,knn','strategy.k=1,2']", "optimizer.trials=9"]
    made = folder_of(command("optimize", *words, "halving.rungs=1", "strategy.k=3", "train_limit=60", *local(server)))
    tried = [trial["by"] for trial in load(made / "candidates.json")["trials"]]
    every = {f"strategy={name} strategy.k={k}" for name in ("few_shot", "knn") for k in (1, 2)}
    assert len(tried) == 5
    assert set(tried) == {"start", *every}


def test_the_record_counts_test_sentences_that_are_also_in_train_or_dev() -> None:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    train, dev, test = (list(corpus.sentences(split)) for split in ("train", "dev", "test"))
    assert about_test(corpus, train, dev) == "not seen: the test split is left out before anything is built"
    assert about_test(corpus, [*train, *test[:3]], dev).endswith(
        f"; 3 of its {len(test)} sentences have the same words as a train or dev sentence"
    )
