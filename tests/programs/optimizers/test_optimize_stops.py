"""Tests of refused compilations and of compilations that stop early and are resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora.sources import RareMini
from conftest import Command, folder_of, load
from support.compiling import local, program, SMALL, writer
from support.scripted_models import MAGIC, NAMES, Script
from support.scripted_server import ScriptedServer, status


def test_a_resumed_compilation_repeats_no_measurement(command: Command, server: ScriptedServer, script: Script) -> None:
    words = ["optimizer=grid", "optimizer.space=['strategy.k=1,4,6']", "halving.rungs=1", *local(server)]
    made = folder_of(command("optimize", *words))
    request_count = len(server.requests)
    record = load(made / "run.json")
    (made / "run.json").write_text(json.dumps({**record, "status": "started"}))
    lost = made / "candidates" / record["best"]["key"] / "predictions.jsonl"
    lost.write_bytes(lost.read_bytes()[:-40])
    again = folder_of(command("optimize", f"resume={made}"))
    assert again == made
    assert len(server.requests) == request_count + 1
    after = load(made / "run.json")
    assert (after["status"], after["best"]) == ("finished", record["best"])


@pytest.mark.long
def test_a_restarted_sweep_repeats_no_finished_job(command: Command, server: ScriptedServer, script: Script) -> None:
    words = ["-m", "optimizer=labeled", "seed=1,2", "hydra.sweep.dir=sweep", *local(server)]
    assert command("optimize", *words).returncode == 0
    request_count = len(server.requests)
    assert command("optimize", *words).returncode == 0
    assert len(server.requests) == request_count
    other = command("optimize", *words, "optimizer.k=3")
    assert other.returncode == 2
    assert "holds a job with other settings" in other.stderr


def test_invalid_compilations_are_refused_in_one_line(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    def refusal(*words: str, env: dict[str, str] | None = None) -> str:
        done = command("optimize", *words, env=env)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "optimizer=coverage" in refusal("optimizer=coverege")
    assert "target=weighted is not known" in refusal("target=weighted", *local(server))
    (tmp_path / "program.json").write_text('{"tag": 1}')
    assert "is not a program of this version" in refusal("program=program.json", *local(server))
    azure = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}
    refused = refusal("reflection_model=gpt4", "corpus.phi=true", *local(server), env=azure)
    assert "reflection_model=gpt4 is at x.openai.azure.com: nothing was sent" in refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=grid", "optimizer.space=['stratgy.k=1']"], "stratgy.k is not searched"),
        (["optimizer=grid", "optimizer.space=['format=entities,entitis']"], "there is no format=entitis"),
        (["optimizer=optuna", "optimizer.space=['strategy.k=3,0']"], "strategy.k=0 is not a whole number of at least 1"),
        (["optimizer=optuna", "optimizer.trials=0"], "optimizer.trials=0 is not a whole number of at least 1"),
        (["optimizer=knn", "optimizer.ks=[]"], "optimizer.ks is empty"),
        (["optimizer=knn", "optimizer.ks=[3,0]"], "optimizer.ks=0 is not a whole number of at least 1"),
        (["optimizer=gepa", "optimizer.calls=0"], "optimizer.calls=0 is not a whole number of at least 1"),
        (["optimizer=gepa", "optimizer.rounds=0"], "optimizer.rounds=0 is not a whole number of at least 1"),
        (["optimizer=copro", "optimizer.breadth=1"], "optimizer.breadth=1 is not a whole number of at least 2"),
        (["optimizer=simba", "train_limit=9"], "optimizer.batch=16 takes more sentences than there are"),
        (["optimizer=ensemble", "optimizer.k=61", "train_limit=60"], "optimizer.k=61 is more than the 60 train sentences"),
        (["optimizer=bootstrap_finetune"], "optimizer=bootstrap_finetune trains weights"),
        (["optimizer=labeled", "seed=-1"], "seed=-1 is not a whole number of at least 0"),
        (["optimizer=labeled", "dev_limit=many"], "dev_limit=many is not a whole number of at least 1"),
        (["halving.keep=1"], "halving.keep=1 is not a whole number of at least 2"),
    ],
)
def test_invalid_settings_are_refused_before_any_request(
    command: Command, server: ScriptedServer, words: list[str], message: str
) -> None:
    done = command("optimize", *local(server), *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.requests


@pytest.mark.parametrize("name", ["gepa", "mipro"])
def test_a_local_model_does_not_write_instructions_unasked(command: Command, name: str) -> None:
    done = command("optimize", f"optimizer={name}")
    assert done.returncode == 2
    assert f"optimizer={name} needs a model that writes instructions, besides model=smollm2. Name a capable model" in done.stderr


def test_a_failed_optimizer_is_reported_without_the_text_of_its_error(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    server.reply = lambda messages: "" if "[[ ##" in str(messages) else script(messages)
    done = command("optimize", "optimizer=copro", *SMALL["copro"], *local(server))
    assert done.returncode == 2
    assert "the optimizer stopped with AdapterParseError in" in done.stderr
    assert "name a better one with reflection_model=" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["mipro", "copro", "bootstrap"])
def test_a_dead_server_ends_the_compilation_which_can_be_resumed(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path, name: str
) -> None:
    """If the compilation did not end, MIPRO would take the failure for a score of 0."""
    words = [f"optimizer={name}", *SMALL[name], *local(server), *writer(server), "train_limit=20", "strategy.k=2", "stop_after=3"]
    request_count = 0

    def dies(messages: list[dict[str, str]]) -> str:
        nonlocal request_count
        request_count += 1
        if request_count > (24 if name == "copro" else 48):
            server.always = status(400)
        return script(messages)

    server.reply = dies
    folder = tmp_path / "made"
    done = command("optimize", *words, f"hydra.run.dir={folder}")
    assert done.returncode == 2
    assert "resume=" in done.stderr
    server.always, server.reply = None, script
    assert folder_of(command("optimize", f"resume={folder}")) == folder
    assert load(folder / "run.json")["status"] == "finished"
    trials = load(folder / "candidates.json")["trials"]
    assert sum(not trial["f1"] for trial in trials) <= 1  # the candidate in progress, if the writing model gives another text now


def test_a_resumed_compilation_keeps_earlier_candidates_and_their_tokens(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    """Each request to the writing model gives other instructions. In the second process they are useless."""
    words = ["optimizer=copro", *SMALL["copro"], *local(server), *writer(server), "strategy.k=2"]
    made = folder_of(command("optimize", *words))
    first, chosen = load(made / "run.json"), program(made)
    assert first["best"]["key"] != first["start"]["key"]
    request_count = len(server.requests)
    assert folder_of(command("optimize", f"resume={made}")) == made
    assert (len(server.requests), program(made)) == (request_count, chosen)  # the compilation had already finished
    (made / "run.json").write_text(json.dumps({**first, "status": "started"}))
    (made / "candidates" / "begun").mkdir()  # killed before it had a program.json
    (made / "candidates" / "begun" / "candidate.json").write_text('{"by": "copro", "model": "openai/student"}')
    server.reply = lambda messages: script(messages).replace(MAGIC, "nothing")
    made = folder_of(command("optimize", f"resume={made}"))
    again = load(made / "run.json")
    assert len(server.requests) > request_count
    assert again["best"]["key"] == first["best"]["key"]
    assert program(made) == chosen
    for key, id in (("tokens", "student"), ("writer_tokens", "writer")):
        bodies = [body for _, _, body in server.requests if body["model"] == id]
        assert again[key]["prompt_tokens"] == sum(len(m["content"].split()) for body in bodies for m in body["messages"])


def test_optimizers_that_choose_demonstrations_refuse_nearest_ones(command: Command, server: ScriptedServer) -> None:
    done = command("optimize", "optimizer=coverage", "strategy=knn", *local(server))
    assert done.returncode == 2
    assert "this optimizer chooses demonstrations, and this program looks up the nearest ones. Use strategy=few_shot" in done.stderr


@pytest.mark.long
def test_optimizers_that_search_settings_refuse_a_start_program(command: Command, server: ScriptedServer, script: Script) -> None:
    made = folder_of(command("optimize", "optimizer=labeled", *local(server)))
    request_count = len(server.requests)
    for name in ("grid", "optuna", "knn"):
        done = command("optimize", f"program={made}", f"optimizer={name}", *local(server))
        assert done.returncode == 2
        assert "settings are searched from the start, without program=. Leave program= out." in done.stderr
    assert len(server.requests) == request_count


def test_a_start_program_with_test_sentences_as_demonstrations_is_refused(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    made = folder_of(command("run", *local(server)[:-1], "limit=2", "strategy.k=2"))
    assert load(made / "program.json")["tag"]["demos"]
    content = program(made)
    sentence = next(iter(RareMini(labels=NAMES, definitions={}).load().sentences("test")))
    content["tag"]["demos"][0] = {"id": "mine", "tokens": list(sentence.words), "tags": list(sentence.tags)}
    (made / "program.json").write_text(json.dumps(content), encoding="utf-8")
    server.requests.clear()
    done = command("optimize", f"program={made}", "optimizer=labeled", *local(server))
    assert done.returncode == 2
    assert "the program's demonstration mine is a sentence of the test split" in done.stderr
    assert not server.requests
