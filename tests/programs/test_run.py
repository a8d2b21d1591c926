"""Tests of the `run` command: a scripted server, recorded outputs, interruptions and invalid input."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinspan.corpora.sources import RareMini
from conftest import Command, command_in, folder_of, load, records, ROOT
from support.scripted_models import NAMES
from support.scripted_server import content_filter, half_json, ScriptedServer, slow, status


def azure(server: ScriptedServer, key: str = "right") -> dict[str, str]:
    return {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": key}


def gold_lines(path: Path, limit: int) -> None:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    rows = []
    for sentence in list(corpus.sentences("test"))[:limit]:
        text = "\n".join(f"{word} : {tag}" for word, tag in zip(sentence.words, sentence.tags, strict=True))
        rows.append(json.dumps({"id": sentence.id, "output": text}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")


@pytest.mark.parametrize("alignment", ["tokens", "positional"])
def test_recorded_gold_answers_score_one_and_leave_the_documented_files(command: Command, tmp_path: Path, alignment: str) -> None:
    gold_lines(tmp_path / "out.jsonl", 12)
    folder = folder_of(
        command("run", "model=replay", "model.path=out.jsonl", "limit=12", f"alignment={alignment}", "strategy=zero_shot")
    )
    files = {"errors.json", "predictions.jsonl", "program.json", "prompts.jsonl", "report.html", "run.json", "run.log"}
    assert {p.name for p in folder.iterdir()} == {*files, "scores.json"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    scores, record = load(folder / "scores.json"), load(folder / "run.json")
    assert scores["micro"]["f1"] == 1.0
    parts = [
        "unit:entity",
        "match:exact",
        "mode:conlleval",
        "avg:macro",
        "types:5",
        f"align:{alignment}",
        "failed:0/12",
        "docs:2",
        "v2",
    ]
    assert scores["signature"].split("|") == parts
    assert scores["limit"] == 12
    assert record["status"] == "finished"
    assert record["choices"]["model"] == "replay"
    assert set(record["packages"]) >= {"dspy", "transformers", "torch"}
    assert len(record["corpus"]["sha256"]) == 64


def test_azure_uses_its_own_route_and_its_tokens_are_counted(command: Command, server: ScriptedServer) -> None:
    server.key = "right"
    folder = folder_of(command("run", "model=gpt4", "limit=5", "strategy=few_shot", env=azure(server)))
    path, _, body = server.requests[0]
    assert path == "/openai/v1/chat/completions"
    assert body["model"] == "gpt-4-1106-preview"
    assert len(server.requests) == 5
    record = load(folder / "run.json")
    assert record["tokens"]["prompt_tokens"] > 0
    assert record["cost"] > 0
    assert "right" not in (folder / "run.json").read_text()


def test_azure_with_a_dated_version_uses_the_deployment_route(command: Command, server: ScriptedServer) -> None:
    server.key = "right"
    folder_of(command("run", "model=gpt35", "limit=2", env={**azure(server), "AZURE_OPENAI_API_VERSION": "2024-06-01"}))
    assert server.requests[0][0] == "/openai/deployments/gpt-35-turbo-1106/chat/completions?api-version=2024-06-01"


def test_faults_of_a_server_are_retried_or_recorded(command: Command, server: ScriptedServer) -> None:
    server.behaviours = {1: status(429, {"Retry-After": "2"}), 2: status(500), 3: half_json, 4: content_filter}
    began = time.monotonic()
    folder = folder_of(command("run", "model=gpt4", "limit=8", env=azure(server)))
    assert time.monotonic() - began > 2
    scores = load(folder / "scores.json")
    assert scores["failed"] == 2
    assert scores["failures"]["content_filter"] == 1
    failed = [row for row in records(folder) if row["error"]]
    assert all(set(row["pred"]) == {"O"} and row["raw"] is None for row in failed)
    assert "failed:2/8" in scores["signature"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=gpt4"], "the server refused the key: check AZURE_OPENAI_API_KEY"),
        (["model=openai", "model.id=x"], "the server refused the key"),
    ],
)
def test_a_wrong_key_ends_the_run_with_one_message(
    command: Command, server: ScriptedServer, words: list[str], message: str
) -> None:
    server.key = "right"
    extra = [f"model.api_base={server.address}/v1"] if "model=openai" in words else []
    done = command("run", *words, *extra, "limit=3", env=azure(server, "wrong"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_slow_server_times_out_and_a_dead_one_ends_the_run_resumably(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    server.always = slow(8)
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0"]
    done = command("run", *words, "limit=12", "model.timeout=2", "stop_after=3")
    assert done.returncode == 2
    assert "3 sentences in a row failed" in done.stderr
    folder = done.stderr.split("resume=")[1].split()[0]
    server.always = None
    folder_of(command("run", f"resume={folder}"))
    assert load(tmp_path / folder / "scores.json")["failed"] == 0


@pytest.mark.long
def test_a_killed_run_resumes_repeats_no_recorded_request_and_scores_the_same(
    tmp_path: Path, command: Command, server: ScriptedServer
) -> None:
    server.always = slow(0.15)
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.concurrency=2", "limit=30"]
    undisturbed = folder_of(command("run", *words))
    server.requests.clear()
    process_words = [sys.executable, "-m", "clinspan.programs.run", *words]
    running = subprocess.Popen(process_words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    while len(server.requests) < 12:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(0.5)
    killed = sorted((tmp_path / "runs" / "run").iterdir())[-1]
    recorded = len(records(killed))
    assert 5 <= recorded < 30
    with (killed / "predictions.jsonl").open("a") as file:
        file.write('{"id": "torn')
    server.requests.clear()
    folder_of(command("run", f"resume={killed}"))
    assert len(server.requests) == 30 - recorded
    for name in ("predictions.jsonl", "prompts.jsonl"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert load(killed / "scores.json") == load(undisturbed / "scores.json")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run that was started with settings of its own."""
    home = tmp_path_factory.mktemp("begun")
    gold_lines(home / "out.jsonl", 4)
    words = ["model=replay", f"model.path={home}/out.jsonl", "limit=4", "strategy=zero_shot"]
    return folder_of(command_in(home)("run", *words))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("limit=3", "the run began with limit=4, now limit=3 is given"),
        ("limit=null", "the run began with limit=4, now limit=null is given"),
        ("strategy=knn", "the run began with strategy=zero_shot, now strategy=knn is given"),
        ("strategy=few_shot", "the run began with strategy=zero_shot, now strategy=few_shot is given"),
        ("seed=4", "the run began with seed=3, now seed=4 is given"),
        ("allow_remote=true", "the run began with allow_remote=false, now allow_remote=true is given"),
    ],
)
def test_resume_refuses_other_settings(command: Command, begun: Path, word: str, message: str) -> None:
    refused = command("run", f"resume={begun}", word)
    assert refused.returncode == 2
    assert message in refused.stderr
    kept = "Leave it out: a resumed run keeps its own settings, except budget, debug, report, resume, stop_after, tracking"
    assert kept in " ".join(refused.stderr.split())


def test_resume_accepts_settings_that_may_change_and_the_runs_own_settings(command: Command, begun: Path) -> None:
    again = command("run", f"resume={begun}", "limit=4", "strategy=zero_shot", "model=replay", "stop_after=5", "tracing=none")
    assert folder_of(again) == begun


def test_a_resumed_run_uses_the_new_value_of_stop_after(command: Command, server: ScriptedServer) -> None:
    server.always = status(500)
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0", "model.concurrency=1"]
    stopped = command("run", *words, "strategy=zero_shot", "limit=8", "stop_after=2")
    assert stopped.returncode == 2 and "2 sentences in a row failed" in stopped.stderr
    folder = stopped.stderr.split("resume=")[1].split()[0]
    again = command("run", f"resume={folder}", "stop_after=4")
    assert again.returncode == 2 and "4 sentences in a row failed" in again.stderr


def test_resume_names_a_folder_that_holds_no_run(command: Command) -> None:
    refused = command("run", "resume=nowhere")
    assert refused.returncode == 2 and "holds no run.json" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strategey=rag"], "there is no strategey. Did you mean strategy?"),
        (["strategy=rga"], "Did you mean strategy=rag?"),
        (["model.templat=x"], "Did you mean model.template?"),
        (["+model.extra=1"], "there is no model.extra"),
        (["split=training"], "split=training is not known"),
        (["limit=0"], "limit=0 is not a whole number of at least 1"),
        (["alignment=best"], "alignment=best is not known"),
        (["corpus=raredis"], "corpus=raredis needs corpus.path. Add corpus.path=FOLDER."),
        (["model=replay"], "model=replay needs recorded outputs"),
        (["model=replay", "model.path=none.jsonl"], "none.jsonl: cannot be read"),
        (["model=gpt4"], "needs AZURE_OPENAI_ENDPOINT"),
        (["model=medtuned", "strategy=zero_shot"], "no weights for model=medtuned"),
        (["strategy=rag", "retriever.knowledge=nowhere"], "there is no such knowledge base"),
        (["rag"], "'rag' is not an override"),
    ],
)
def test_invalid_arguments_get_one_message_and_exit_code_2(command: Command, words: list[str], message: str) -> None:
    done = command("run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("clinspan:") == 1


def test_phi_does_not_leave_this_machine_unless_allowed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("Pain\tB-Sign\n", encoding="utf-8")
    words = [
        "corpus=conll",
        "corpus.path=.",
        "model=openai",
        "model.id=x",
        "model.api_base=http://gpu.example/v1",
        "strategy=zero_shot",
    ]
    done = command("run", *words)
    assert done.returncode == 2
    assert "nothing was sent" in " ".join(done.stderr.split())
    assert "allow_remote=true" in done.stderr
    replay = [
        "corpus=conll",
        "corpus.path=.",
        "model=replay",
        "model.path=out.jsonl",
        "strategy=rag",
        "retriever.knowledge=bundled",
    ]
    (tmp_path / "out.jsonl").write_text('{"output": "Pain : O"}\n', encoding="utf-8")
    away = command("run", *replay, "retriever.url=http://chroma.example:8000")
    assert away.returncode == 2
    assert "the Chroma server of retriever.url is at chroma.example" in away.stderr


STRATEGIES = ("zero_shot", "few_shot", "knn", "rag", "rag_few_shot")
SWEEPS = [
    (["strategy=few_shot,knn,rag", "format=entities"], 3),
    pytest.param([f"strategy={','.join(STRATEGIES)}", "format=bio_lines,inline,entities"], 15, marks=pytest.mark.long),
]


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize(("sweep", "cells"), SWEEPS)
def test_real_weights_with_every_strategy_and_format(command: Command, smollm2: object, sweep: list[str], cells: int) -> None:
    done = command("run", "-m", *sweep, "limit=2", timeout=1200)
    assert done.returncode == 0, done.stderr
    folders = [Path(line) for line in done.stdout.splitlines() if "/runs/run/" in line]
    assert len(folders) == cells
    for folder in folders:
        assert load(folder / "run.json")["status"] == "finished"
        assert all(row["raw"] for row in records(folder))


@pytest.mark.long
@pytest.mark.weights
def test_a_killed_local_run_resumes_from_its_predictions_and_scores_the_same(
    tmp_path: Path, command: Command, smollm2: object
) -> None:
    words = ["limit=30", "model.batch_size=6", "format=inline"]
    undisturbed = folder_of(command("run", *words))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    running = subprocess.Popen(
        [sys.executable, "-m", "clinspan.programs.run", *words], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        killed = sorted((tmp_path / "runs" / "run").iterdir())[-1]
        if killed != undisturbed and (killed / "predictions.jsonl").exists() and len(records_so_far(killed)) >= 8:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    recorded = records_so_far(killed)
    assert 8 <= len(recorded) < 30
    folder_of(command("run", f"resume={killed}"))
    assert [row for row in records(killed) if row["id"] in {r["id"] for r in recorded}] == sorted(
        recorded, key=lambda r: order(r["id"])
    )
    assert [(r["id"], r["pred"]) for r in records(killed)] == [(r["id"], r["pred"]) for r in records(undisturbed)]
    assert load(killed / "scores.json")["micro"] == load(undisturbed / "scores.json")["micro"]


def records_so_far(folder: Path) -> list[dict[str, object]]:
    whole = (folder / "predictions.jsonl").read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.split("\n") if line]


def order(name: object) -> int:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    return [sentence.id for sentence in corpus.sentences("test")].index(str(name))


@pytest.mark.long
@pytest.mark.weights
def test_a_rerun_gives_identical_predictions(command: Command, smollm2: object) -> None:
    first, second = (folder_of(command("run", "limit=6", "strategy=few_shot")) for _ in range(2))
    assert (first / "predictions.jsonl").read_bytes() == (second / "predictions.jsonl").read_bytes()


def test_stats_json_prints_only_json(command: Command) -> None:
    done = command("stats", "--json")
    table = json.loads(done.stdout)["splits"]
    assert table["train"]["documents"] == 72
    assert set(table["test"]["entities"]) == set(NAMES)
    assert table["test"]["spans"] == table["test"]["entities"]


def test_convert_writes_what_can_be_read_back(command: Command) -> None:
    done = command("convert", "to=conll", "output=out")
    assert done.returncode == 0, done.stderr
    again = json.loads(command("stats", "corpus=conll", "corpus.path=out", "--json").stdout)["splits"]
    assert again["test"]["entities"] == json.loads(command("stats", "--json").stdout)["splits"]["test"]["entities"]
    assert command("convert", "to=conll", "output=out").returncode == 2
