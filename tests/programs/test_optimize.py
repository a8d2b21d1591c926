"""Compiling as a user does it: every optimizer through its door, against scripted models, and with real weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import Door, folder_of, load, records
from corpora.sources import RareMini
from programs.shop import about_test
from scripted_models import MAGIC, Script
from scripted_server import ScriptedServer, status

NAMES = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
SNAKE = ["disease", "rare_disease", "skin_rare_disease", "sign", "symptom"]
SMALL = {
    "labeled": ["optimizer.k=4"],
    "bootstrap": ["optimizer.candidates=3", "optimizer.threshold=0.5"],
    "copro": ["optimizer.breadth=2", "optimizer.depth=1"],
    "mipro": ["optimizer.candidates=3", "optimizer.trials=3"],
    "gepa": ["optimizer.calls=60", "optimizer.train_limit=12"],
    "simba": ["optimizer.steps=2", "optimizer.batch=6", "optimizer.train_limit=12"],
    "infer_rules": ["optimizer.candidates=2", "optimizer.train_limit=6"],
    "ensemble": ["optimizer.pool=4"],
    "coverage": ["optimizer.starts=2", "optimizer.rounds=2", "optimizer.proposals=2"],
    "grid": ["optimizer.space=['label_wording=corpus,snake','strategy.k=2,8']"],
    "optuna": ["optimizer.space=['format=bio_lines','strategy.k=2,8','seed=0,1']", "optimizer.trials=4"],
}
WRITES = ("copro", "mipro", "gepa", "infer_rules")


@pytest.fixture
def script(server: ScriptedServer) -> Script:
    script = Script(RareMini(labels=NAMES, definitions={}).load())
    server.reply = script
    return script


def local(server: ScriptedServer) -> list[str]:
    return ["model=openai", "model.id=student", f"model.api_base={server.address}/v1", "model.concurrency=4", "dev_limit=18"]


def program(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(folder / "program.json")
    return found


@pytest.mark.parametrize("name", SMALL)
def test_an_optimizer_changes_the_program_for_the_better_and_sees_no_test(
    door: Door, server: ScriptedServer, script: Script, name: str
) -> None:
    writer = ["reflection_model=openai", "reflection_model.id=writer", f"reflection_model.api_base={server.address}/v1"]
    done = door("optimize", f"optimizer={name}", *SMALL[name], *local(server), *writer, "train_limit=60", "strategy.k=2")
    folder = folder_of(done)
    record, found = load(folder / "run.json"), program(folder)
    assert record["status"] == "finished", done.stderr
    assert record["best"]["key"] != record["start"]["key"]
    if name != "labeled":
        assert record["best"]["micro"] > record["start"]["f1"]
    assert load(folder / "scores.json")["micro"]["f1"] == record["best"]["micro"]
    assert [row["id"] for row in records(folder)] and len(records(folder)) == record["best"]["sentences"] == 18
    assert not script.seen & script.test
    assert len(record["trainset"]) == 60
    states = found.get("members", [found])
    start = load(folder / "candidates" / record["start"]["key"] / "program.json")
    assert any(state != start for state in states)
    if name in WRITES:
        assert script.written > 0
        assert MAGIC in found["tag"]["signature"]["instructions"]
        assert record["writer_tokens"]["prompt_tokens"] > 0
    printed = done.stdout + done.stderr + (folder / "run.log").read_text()
    assert not any(sentence in printed for sentence in script.gold if len(sentence) > 30)


@pytest.mark.parametrize("name", ["mipro", "gepa", "simba", "infer_rules"])
def test_a_writer_reads_of_labels_by_the_words_of_prompts(door: Door, server: ScriptedServer, script: Script, name: str) -> None:
    writer = ["reflection_model=openai", "reflection_model.id=writer", f"reflection_model.api_base={server.address}/v1"]
    words = [f"optimizer={name}", *SMALL[name], *local(server), *writer, "train_limit=30", "strategy.k=2", "label_wording=snake"]
    script.called = {label: word for label, word in zip(NAMES, SNAKE, strict=True) if label != word}
    assert door("optimize", *words).returncode == 0
    read = "\n".join(json.dumps(body["messages"]) for _, _, body in server.requests if body["model"] == "writer")
    assert set(re.findall(r"\b[BI]-(\w+)", read)) & set(SNAKE)
    assert not any(name in read for name in NAMES if name not in SNAKE)


@pytest.mark.parametrize("name", ["bootstrap", "mipro"])
def test_every_token_is_counted_once_whoever_asked(door: Door, server: ScriptedServer, script: Script, name: str) -> None:
    """The judge's requests and those that an optimizer makes by itself."""
    words = [f"optimizer={name}", *SMALL[name], *local(server), "train_limit=20", "strategy.k=2"]
    record = load(folder_of(door("optimize", *words)) / "run.json")
    asked = sum(len(m["content"].split()) for _, _, body in server.requests for m in body["messages"])
    assert record["tokens"]["prompt_tokens"] == asked


def test_a_compiled_program_goes_to_another_process_and_another_model(door: Door, server: ScriptedServer, script: Script) -> None:
    made = folder_of(
        door("optimize", "optimizer=grid", "optimizer.space=['label_wording=snake','strategy.k=8']", "strategy.k=1", *local(server))
    )
    assert program(made)["settings"]["label_wording"] == "snake"
    azure = {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "k"}
    server.requests.clear()
    ran = folder_of(door("run", f"program={made}", "model=gpt4", "limit=4", env=azure))
    assert "rare_disease" in json.dumps(server.requests[0][2])
    assert "RareDisease" not in json.dumps(server.requests[0][2])
    record = load(ran / "run.json")
    assert record["config"]["label_wording"] == "snake"
    assert record["program"]["path"] == str(made)
    assert program(ran)["tag"] == program(made)["tag"]
    assert {tag[2:] for row in records(ran) for tag in row["pred"]} <= {"", *NAMES}
    other = ["label_wording=upper", "strategy=zero_shot", "prompt=bare"]
    said = folder_of(door("run", f"program={made}", *other, "model=gpt4", "limit=1", env=azure))
    assert load(said / "run.json")["config"]["label_wording"] == "upper"
    assert program(said)["tag"]["demos"] == []
    assert program(said)["tag"]["signature"]["instructions"].startswith("Tag the mentions of")


def test_several_programs_vote_after_loading_too(door: Door, server: ScriptedServer, script: Script) -> None:
    made = folder_of(door("optimize", "optimizer=ensemble", *SMALL["ensemble"], *local(server), "halving.rungs=1"))
    keys = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    voting = made / "candidates" / keys["ensemble"]
    assert len(program(voting)["members"]) == 3
    ran = folder_of(door("run", f"program={voting}", "split=dev", "limit=18", *local(server)[:-1]))
    told = {row["id"]: row["pred"] for row in records(voting)}
    assert {row["id"]: row["pred"] for row in records(ran)} == told
    assert {c for row in records(ran) for c in row["confidence"] or () if c is not None} <= {2 / 3, 1.0}


def test_a_hopeless_start_does_not_vote_though_all_of_dev_was_asked_of_it(
    door: Door, server: ScriptedServer, script: Script
) -> None:
    words = ["optimizer=ensemble", "optimizer.pool=6", "strategy.k=1", "halving.keep=6", *local(server), "dev_limit=60"]
    made = folder_of(door("optimize", *words))
    found = load(made / "candidates.json")
    assert found["sizes"] == [20, 60]
    start = program(made / "candidates" / load(made / "run.json")["start"]["key"])
    voting = next(trial["key"] for trial in found["trials"] if trial["by"] == "ensemble")
    members = [member["tag"]["demos"] for member in program(made / "candidates" / voting)["members"]]
    assert len(members) == 3
    assert start["tag"]["demos"] not in members


def test_an_interrupted_compilation_measures_nothing_twice(door: Door, server: ScriptedServer, script: Script) -> None:
    words = ["optimizer=grid", "optimizer.space=['strategy.k=1,4,6']", "halving.rungs=1", *local(server)]
    made = folder_of(door("optimize", *words))
    asked = len(server.requests)
    record = load(made / "run.json")
    (made / "run.json").write_text(json.dumps({**record, "status": "started"}))
    lost = made / "candidates" / record["best"]["key"] / "predictions.jsonl"
    lost.write_bytes(lost.read_bytes()[:-40])
    again = folder_of(door("optimize", f"resume={made}"))
    assert again == made
    assert len(server.requests) == asked + 1
    after = load(made / "run.json")
    assert (after["status"], after["best"]) == ("finished", record["best"])


def test_a_sweep_that_is_started_again_does_no_finished_job_twice(door: Door, server: ScriptedServer, script: Script) -> None:
    words = ["-m", "optimizer=labeled", "seed=1,2", "hydra.sweep.dir=sweep", *local(server)]
    assert door("optimize", *words).returncode == 0
    asked = len(server.requests)
    assert door("optimize", *words).returncode == 0
    assert len(server.requests) == asked
    other = door("optimize", *words, "optimizer.k=3")
    assert other.returncode == 2
    assert "holds a job with other settings" in other.stderr


def test_what_cannot_be_compiled_is_said_in_one_line(door: Door, server: ScriptedServer, tmp_path: Path) -> None:
    def refusal(*words: str, env: dict[str, str] | None = None) -> str:
        done = door("optimize", *words, env=env)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "optimizer=coverage" in refusal("optimizer=coverege")
    assert "target=weighted is not known" in refusal("target=weighted", *local(server))
    (tmp_path / "program.json").write_text('{"tag": 1}')
    assert "is no program of this version" in refusal("program=program.json", *local(server))
    azure = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}
    refused = refusal("reflection_model=gpt4", "corpus.phi=true", *local(server), env=azure)
    assert "reflection_model=gpt4 is at x.openai.azure.com: nothing was sent" in refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer=grid", "optimizer.space=['stratgy.k=1']"], "stratgy.k is not searched"),
        (["optimizer=grid", "optimizer.space=['format=entities,entitis']"], "there is no format=entitis"),
        (["optimizer=optuna", "optimizer.space=['strategy.k=3,0']"], "strategy.k=0 is no whole number of at least 1"),
        (["optimizer=optuna", "optimizer.trials=0"], "optimizer.trials=0 is no whole number of at least 1"),
        (["optimizer=knn", "optimizer.ks=[]"], "optimizer.ks is empty"),
        (["optimizer=copro", "optimizer.breadth=1"], "optimizer.breadth=1 is no whole number of at least 2"),
        (["optimizer=simba", "train_limit=9"], "optimizer.batch=16 takes more sentences than there are"),
        (["optimizer=ensemble", "optimizer.k=61", "train_limit=60"], "optimizer.k=61 demonstrations, and 60 train sentences"),
        (["optimizer=bootstrap_finetune"], "optimizer=bootstrap_finetune trains weights"),
        (["optimizer=labeled", "seed=-1"], "seed=-1 is no whole number of at least 0"),
        (["optimizer=labeled", "dev_limit=many"], "dev_limit=many is no whole number of at least 1"),
        (["halving.keep=1"], "halving.keep=1 is no whole number of at least 2"),
    ],
)
def test_settings_that_cannot_be_compiled_with_are_refused_before_a_model_is_asked(
    door: Door, server: ScriptedServer, words: list[str], said: str
) -> None:
    done = door("optimize", *local(server), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.requests


def test_an_optimizer_that_stops_is_named_without_its_words(door: Door, server: ScriptedServer, script: Script) -> None:
    server.reply = lambda messages: "" if "[[ ##" in str(messages) else script(messages)
    done = door("optimize", "optimizer=copro", *SMALL["copro"], *local(server))
    assert done.returncode == 2
    assert "the optimizer stopped with AdapterParseError in" in done.stderr
    assert "name a better one with reflection_model=" in done.stderr


@pytest.mark.parametrize("name", ["mipro", "copro", "bootstrap"])
def test_a_server_that_dies_ends_the_compilation_which_then_goes_on(
    door: Door, server: ScriptedServer, script: Script, tmp_path: Path, name: str
) -> None:
    """MIPRO would take the failure for a score of 0."""
    writer = ["reflection_model=openai", "reflection_model.id=writer", f"reflection_model.api_base={server.address}/v1"]
    words = [f"optimizer={name}", *SMALL[name], *local(server), *writer, "train_limit=20", "strategy.k=2", "stop_after=3"]
    asked = 0

    def dies(messages: list[dict[str, str]]) -> str:
        nonlocal asked
        asked += 1
        if asked > (24 if name == "copro" else 48):
            server.always = status(400)
        return script(messages)

    server.reply = dies
    folder = tmp_path / "made"
    done = door("optimize", *words, f"hydra.run.dir={folder}")
    assert done.returncode == 2
    assert "resume=" in done.stderr
    server.always, server.reply = None, script
    assert folder_of(door("optimize", f"resume={folder}")) == folder
    assert load(folder / "run.json")["status"] == "finished"
    trials = load(folder / "candidates.json")["trials"]
    assert sum(not trial["f1"] for trial in trials) <= 1  # what was under way, where the writer has said something else since


def test_what_an_earlier_process_measured_can_win_and_its_tokens_count(door: Door, server: ScriptedServer, script: Script) -> None:
    """Instructions differ each time that a writer is asked; the second process has a writer that knows nothing."""
    writer = ["reflection_model=openai", "reflection_model.id=writer", f"reflection_model.api_base={server.address}/v1"]
    words = ["optimizer=copro", *SMALL["copro"], *local(server), *writer, "strategy.k=2"]
    made = folder_of(door("optimize", *words))
    first, chosen = load(made / "run.json"), program(made)
    assert first["best"]["key"] != first["start"]["key"]
    asked = len(server.requests)
    assert folder_of(door("optimize", f"resume={made}")) == made
    assert (len(server.requests), program(made)) == (asked, chosen)  # it was finished
    (made / "run.json").write_text(json.dumps({**first, "status": "started"}))
    (made / "candidates" / "begun").mkdir()  # killed before it had a program.json
    (made / "candidates" / "begun" / "candidate.json").write_text('{"by": "copro", "model": "openai/student"}')
    server.reply = lambda messages: script(messages).replace(MAGIC, "nothing")
    made = folder_of(door("optimize", f"resume={made}"))
    again = load(made / "run.json")
    assert len(server.requests) > asked
    assert again["best"]["key"] == first["best"]["key"]
    assert program(made) == chosen
    for key, id in (("tokens", "student"), ("writer_tokens", "writer")):
        bodies = [body for _, _, body in server.requests if body["model"] == id]
        assert again[key]["prompt_tokens"] == sum(len(m["content"].split()) for body in bodies for m in body["messages"])


def test_a_writer_that_is_the_model_itself_is_counted_once(door: Door, server: ScriptedServer, script: Script) -> None:
    same = ["reflection_model=openai", "reflection_model.id=student", f"reflection_model.api_base={server.address}/v1"]
    record = load(folder_of(door("optimize", "optimizer=copro", *SMALL["copro"], *local(server), *same)) / "run.json")
    asked = sum(len(m["content"].split()) for _, _, body in server.requests for m in body["messages"])
    assert record["tokens"]["prompt_tokens"] + record["writer_tokens"].get("prompt_tokens", 0) == asked


def test_nearest_demonstrations_come_from_the_pool_that_the_user_named(door: Door, server: ScriptedServer, script: Script) -> None:
    words = ["optimizer=knn", "optimizer.ks=[2]", "strategy.pool=30", "strategy.overflow=error", "train_limit=60"]
    made = folder_of(door("optimize", *words, *local(server)))
    strategy = program(made)["settings"]["strategy"]
    assert (strategy["choice"], strategy["pool"], strategy["overflow"], strategy["k"]) == ("knn", 30, "error", 2)


@pytest.mark.weights
def test_real_weights_are_compiled_and_their_program_runs(door: Door, smollm2: Any) -> None:
    small = ["optimizer.starts=2", "optimizer.rounds=1", "optimizer.proposals=2", "dev_limit=12", "train_limit=40"]
    made = folder_of(door("optimize", "optimizer=coverage", *small))
    record = load(made / "run.json")
    assert record["candidates"] >= 4
    assert record["best"]["micro"] >= record["start"]["f1"]
    ran = folder_of(door("run", f"program={made}", "split=dev", "limit=12"))
    assert load(ran / "scores.json")["micro"]["f1"] == record["best"]["micro"]


@pytest.mark.weights
def test_nearest_demonstrations_are_compiled_and_saved(door: Door, smollm2: Any) -> None:
    small = ["optimizer.ks=[1,3]", "dev_limit=8", "train_limit=40", "halving.rungs=1"]
    made = folder_of(door("optimize", "optimizer=knn", *small))
    strategy = program(made)["settings"]["strategy"]
    assert (strategy["demonstrations"], strategy["pool"]) == ("nearest", 40)
    ran = folder_of(door("run", f"program={made}", "split=dev", "limit=8"))
    assert load(ran / "scores.json")["micro"]["f1"] == load(made / "run.json")["best"]["micro"]


@pytest.mark.weights
def test_weights_are_trained_and_load_with_their_program(door: Door, smollm2: Any) -> None:
    small = ["optimizer.dev_records=1", "train_limit=6", "dev_limit=3", "halving.rungs=1"]
    made = folder_of(door("optimize", "optimizer=bootstrap_finetune", *small))
    trials = {trial["by"]: trial for trial in load(made / "candidates.json")["trials"]}
    trained = load(made / "candidates" / trials["bootstrap_finetune"]["key"] / "program.json")
    assert trained["settings"]["strategy"]["choice"] == "zero_shot"
    assert trained["settings"]["adapter"]["folder"] == "model"
    (made / "program.json").write_text(json.dumps(trained))  # so small a training need not be the best
    ran = folder_of(door("run", f"program={made}", "split=dev", "limit=3"))
    assert "+adapter:" in load(ran / "run.json")["model"]["revision"]
    told = {row["id"]: row["pred"] for row in records(made / "candidates" / trials["bootstrap_finetune"]["key"])}
    assert {row["id"]: row["pred"] for row in records(ran)} == told


def test_a_program_brings_its_retriever_but_no_server_and_no_code(door: Door, server: ScriptedServer, script: Script) -> None:
    made = folder_of(door("run", "strategy=rag", "retriever.top_k=1", "retriever.size=128", "limit=2", *local(server)[:-1]))
    saved = program(made)
    keys = saved["settings"]["retriever"]
    assert (keys["choice"], keys["top_k"], keys["size"]) == ("minilm", 1, 128)
    assert "url" not in keys and "_target_" not in keys["embedder"]
    ran = folder_of(door("run", f"program={made}", "retriever.size=64", "limit=2", *local(server)[:-1]))
    used = load(ran / "run.json")["config"]["retriever"]
    assert (used["top_k"], used["size"], used["url"]) == (1, 64, None)
    for place, key in (("retriever", "url"), ("format", "_target_")):
        keys = {**saved["settings"], place: {**saved["settings"][place], key: "os.getcwd"}}
        (made / "program.json").write_text(json.dumps({**saved, "settings": keys}))
        assert "is no program of this version" in door("run", f"program={made}", "limit=2", *local(server)[:-1]).stderr


def test_nearest_demonstrations_are_not_chosen_from(door: Door, server: ScriptedServer) -> None:
    done = door("optimize", "optimizer=coverage", "strategy=knn", *local(server))
    assert done.returncode == 2
    assert "this optimizer chooses demonstrations, and this program looks up the nearest ones. Use strategy=few_shot" in done.stderr


def test_optuna_tries_different_combinations_and_ends_when_there_are_no_more(
    door: Door, server: ScriptedServer, script: Script
) -> None:
    words = ["optimizer=optuna", "optimizer.space=['strategy=few_shot,knn','strategy.k=1,2']", "optimizer.trials=9"]
    made = folder_of(door("optimize", *words, "halving.rungs=1", "strategy.k=3", "train_limit=60", *local(server)))
    tried = [trial["by"] for trial in load(made / "candidates.json")["trials"]]
    every = {f"strategy={name} strategy.k={k}" for name in ("few_shot", "knn") for k in (1, 2)}
    assert len(tried) == 5
    assert set(tried) == {"start", *every}


def test_a_program_with_test_sentences_as_demonstrations_is_no_start(
    door: Door, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    made = folder_of(door("run", *local(server)[:-1], "limit=2", "strategy.k=2"))
    assert load(made / "program.json")["tag"]["demos"]
    content = program(made)
    sentence = next(iter(RareMini(labels=NAMES, definitions={}).load().sentences("test")))
    content["tag"]["demos"][0] = {"id": "mine", "tokens": list(sentence.words), "tags": list(sentence.tags)}
    (made / "program.json").write_text(json.dumps(content), encoding="utf-8")
    server.requests.clear()
    done = door("optimize", f"program={made}", "optimizer=labeled", *local(server))
    assert done.returncode == 2
    assert "the program's demonstration mine is a sentence of the test split" in done.stderr
    assert not server.requests


def test_the_record_says_how_much_of_test_stands_in_train_or_dev_too() -> None:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    train, dev, test = (list(corpus.sentences(split)) for split in ("train", "dev", "test"))
    assert about_test(corpus, train, dev) == "not seen: the test split is left out before anything is built"
    assert about_test(corpus, [*train, *test[:3]], dev).endswith(
        f"; 3 of its {len(test)} sentences have the words of one that was used"
    )
