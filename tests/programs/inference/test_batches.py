"""Tests of `model.batch=true` with a scripted Batch API: one batch a run, a kill at every step, failed batches and requests."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clinspan import lms
from clinspan.corpora import Corpus, Sentence
from clinspan.corpora.sources import RareMini
from clinspan.lms import AzureModel, ModelError, OpenAIModel
from clinspan.lms.remote.audit import audit_to
from clinspan.lms.remote.batch import build as batch_models
from clinspan.programs.formats import BioLines, Entities, Format
from clinspan.programs.inference.predictor import Predictor, PromptTagger
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.usage import cost
from clinspan.programs.tagging.tagger import Tagger
from conftest import Command, folder_of, load, records, ROOT
from support.scripted_batches import EXPIRED, failed, ScriptedBatches
from support.scripted_models import NAMES
from support.scripted_server import serving

RecordsById = dict[str, dict[str, Any]]


@pytest.fixture
def batches() -> Iterator[ScriptedBatches]:
    with serving(ScriptedBatches()) as server:
        yield server


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return RareMini(labels=NAMES, definitions={}).load()


@pytest.fixture
def sentences(corpus: Corpus) -> list[Sentence]:
    return list(corpus.sentences("dev"))[:8]


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    audit_to(tmp_path)
    yield tmp_path
    audit_to(None)


def asker(server: ScriptedBatches, form: Format, **options: Any) -> PromptTagger:
    settings = {"batch": True, "poll_seconds": 0.01, "retries": 0, **options}
    lm = lms.build(OpenAIModel(name="openai", id="x", api_base=f"{server.address}/v1", **settings))
    return PromptTagger(tagger=Tagger("Tag."), lm=lm, adapter=form, concurrency=4)


def tag(server: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], **options: Any) -> RecordsById:
    """Return records by sentence id. Each call tags as a new process would: calls share no memory."""
    return {s.id: record for s, record in asker(server, BioLines(labels=corpus.labels), **options).tag_all(sentences)}


def test_a_run_is_one_batch_and_its_answers_are_those_of_single_requests(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], home: Path
) -> None:
    batches.polls = 3
    records_by_id = tag(batches, corpus, sentences)
    assert {key: row["error"] for key, row in records_by_id.items()} == dict.fromkeys(s.id for s in sentences)
    assert [len(records_by_id[s.id]["pred"]) for s in sentences] == [len(s.tokens) for s in sentences]
    assert records_by_id[sentences[0].id]["usage"] == {"prompt_tokens": 100, "answer_tokens": 10}
    assert [call for call in batches.calls if call.startswith("POST")] == ["POST /files", "POST /batches"]
    assert batches.files == {}  # deleted once the answers are downloaded
    folder = home / "batches"
    assert sorted(path.name for path in folder.iterdir()) == ["0001.answers.jsonl", "0001.requests.jsonl", "state.jsonl"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (home / "audit.jsonl").exists()  # a local server needs no audit
    again = tag(batches, corpus, sentences)
    assert again == records_by_id
    assert len(batches.batches) == 1


def test_all_questions_about_a_sentence_go_into_the_same_batch(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], home: Path
) -> None:
    batches.reply = lambda messages: "[]"
    form = Entities(labels=corpus.labels, per_type=True)
    records_by_id = {s.id: r for s, r in asker(batches, form).tag_all(sentences)}
    assert all(row["error"] is None and set(row["raw"]) == set(NAMES) for row in records_by_id.values())
    assert len(batches.batches) == 1
    assert len(batches.answered) == 8 * len(NAMES)
    entry = json.loads((home / "batches" / "state.jsonl").read_text().splitlines()[0])
    assert (entry["requests"], entry["sentences"]) == (40, 8)
    assert set(entry["documents"]) == {s.document for s in sentences}


def test_batch_files_are_split_by_request_count_and_by_size(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setitem(batch_models._MOST, "openai", 3)
    tag(batches, corpus, sentences)
    assert len(batches.batches) == 3
    monkeypatch.setitem(batch_models._MOST, "openai", 100)
    monkeypatch.setattr(batch_models, "_SIZE", 2500)
    audit_to(home / "other")
    tag(batches, corpus, sentences)
    sizes = [path.stat().st_size for path in (home / "other" / "batches").glob("*.requests.jsonl")]
    assert len(sizes) > 1
    assert max(sizes) <= 2500


STEPS = ("closed", "uploading", "uploaded", "creating", "created", "settled")


class Killed(BaseException):
    """Simulates SIGKILL: no handler catches it."""


@pytest.mark.parametrize("place", [f"{when} {step}" for step in STEPS for when in ("before", "after")])
def test_a_run_killed_at_any_step_pays_nothing_twice(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from clinspan.lms.remote.batch.files import BatchFiles

    note, (when, step) = BatchFiles.note, place.split()

    def dying(self: BatchFiles, part: Any, name: str, **facts: Any) -> None:
        if name == step and when == "before":
            raise Killed
        note(self, part, name, **facts)
        if name == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(BatchFiles, "note", dying)
        with pytest.raises(Killed):
            tag(batches, corpus, sentences)
    records_by_id = tag(batches, corpus, sentences)
    assert all(row["error"] is None for row in records_by_id.values())
    assert len(batches.answered) == len(set(batches.answered)) == 8
    assert len(batches.batches) == 1
    assert batches.files == {}  # and no text stays on the service


def test_a_batch_created_despite_an_error_response_is_not_created_again(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence]
) -> None:
    batches.faults = {"POST /batches": "late"}
    records_by_id = tag(batches, corpus, sentences, retries=2)
    assert all(row["error"] is None for row in records_by_id.values())
    assert len(batches.batches) == 1


def test_failed_requests_are_recorded_and_transient_failures_sent_again(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], home: Path
) -> None:
    fates = {1: failed(429, "rate_limit"), 2: failed(400, "content_filter"), 3: EXPIRED, 4: failed(500, "server_error")}
    batches.fate = lambda line, number: fates.get(number)
    predictor = Predictor(asker(batches, BioLines(labels=corpus.labels)), RunFolder(home), NAMES, "conlleval", 8)
    predictor.run(sentences, lambda done, f1: None)
    errors = sorted(row["error"] for row in records(home) if row["error"])
    assert errors == ["LMRateLimitError 429", "LMServerError 500", "batch_expired", "content_filter"]
    batches.fate = lambda line, number: None
    predictor = Predictor(asker(batches, BioLines(labels=corpus.labels)), RunFolder(home), NAMES, "conlleval", 8)
    predictor.run(sentences, lambda done, f1: None)
    last = {row["id"]: row for row in records(home)}
    assert [row["error"] for row in last.values() if row["error"]] == ["content_filter"]
    assert len(batches.answered) == 4 + 3
    assert len(set(batches.answered)) == 7


@pytest.mark.parametrize(("end", "name"), [("failed", "batch_failed token_limit_exceeded"), ("cancelled", "batch_no_answer")])
def test_a_failed_batch_is_recorded_with_its_reason_and_sent_again(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence], end: str, name: str
) -> None:
    batches.ends = [end, "completed"]
    if end == "cancelled":
        batches.fate = lambda line, number: {"response": None, "error": {}} if len(batches.batches) == 1 else None
    records_by_id = tag(batches, corpus, sentences)
    assert {row["error"] for row in records_by_id.values()} == {name}
    assert all(row["error"] is None for row in tag(batches, corpus, sentences).values())
    assert len(set(batches.answered)) == len(batches.answered) == 8


def test_an_unusable_service_ends_the_run_with_a_message(
    batches: ScriptedBatches, corpus: Corpus, sentences: list[Sentence]
) -> None:
    for status, message in ((401, "refused the key"), (404, "no Batch API"), (500, "failed")):
        batches.faults = {"POST /files": status}
        with pytest.raises(RunError, match=message):
            tag(batches, corpus, sentences)
    assert all(row["error"] is None for row in tag(batches, corpus, sentences).values())


def test_settings_that_batches_do_not_support_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="takes one endpoint"):
        lms.build(OpenAIModel(name="openai", id="x", batch=True, api_base=["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]))
    audit_to(None)
    with pytest.raises(ModelError, match="needs a folder"):
        lms.build(OpenAIModel(name="openai", id="x", batch=True, api_base="http://127.0.0.1:1/v1"))


def test_batches_cost_half() -> None:
    used: Any = {"prompt_tokens": 2_000_000, "answer_tokens": 1_000_000}
    prices = {"name": "gpt4", "price_input": 10.0, "price_output": 30.0}
    assert cost(used, AzureModel(**prices).price) == 50.0
    assert cost(used, AzureModel(**prices, batch=True).price) == 25.0


@pytest.mark.parametrize("version", ["", "2024-10-21"])
def test_azure_batches_use_both_routes_and_write_one_audit_line(
    batches: ScriptedBatches, corpus: Corpus, home: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    sentences = list(corpus.sentences("dev"))[:8]
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"http://0.0.0.0:{batches.server_address[1]}")  # no loopback address
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", version)
    lm = lms.build(AzureModel(name="gpt4", deployment="d", batch=True, poll_seconds=0.01))
    form = BioLines(labels=corpus.labels)
    tagged = list(PromptTagger(tagger=Tagger("Tag."), lm=lm, adapter=form, concurrency=2).tag_all(sentences))
    assert all(record["error"] is None for _, record in tagged)
    line = json.loads((home / "batches" / "0001.requests.jsonl").read_text().splitlines()[0])
    assert (line["url"], line["body"]["model"]) == ("/chat/completions", "d")
    (row,) = [json.loads(text) for text in (home / "audit.jsonl").read_text().splitlines()]
    assert (row["model"], row["sentences"], row["outcome"]) == ("d", 8, "submitted")
    assert row["documents"] == list(dict.fromkeys(s.document for s in sentences))


@pytest.mark.long
def test_a_resumed_command_waits_for_the_batch_of_the_killed_one(
    tmp_path: Path, command: Command, batches: ScriptedBatches
) -> None:
    batches.polls = 10**9
    words = ["model=openai", "model.id=x", f"model.api_base={batches.address}/v1", "model.batch=true", "model.poll_seconds=0.1"]
    process_words = [
        sys.executable,
        "-m",
        "clinspan.programs.run",
        *words,
        "limit=12",
        "model.price_input=2",
        "model.price_output=4",
    ]
    process = subprocess.Popen(process_words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not batches.looked and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    batches.polls = 1
    (killed,) = (tmp_path / "runs" / "run").iterdir()
    folder = folder_of(command("run", f"resume={killed}"))
    assert len(batches.batches) == 1
    assert len(batches.answered) == 12
    record = load(folder / "run.json")
    assert record["counts"]["failed"] == 0
    assert record["cost"] == pytest.approx(12 * (100 * 2 + 10 * 4) / 2e6)


def test_notes_are_annotated_in_one_batch(tmp_path: Path, command: Command, batches: ScriptedBatches) -> None:
    (tmp_path / "in").mkdir()
    for n in range(40):
        (tmp_path / "in" / f"n{n:02}.txt").write_text(f"Fever number {n}.\nRash {n}", encoding="utf-8")
    words = ["model=openai", "model.id=x", f"model.api_base={batches.address}/v1", "model.batch=true", "model.poll_seconds=0.1"]
    out = folder_of(command("annotate", "input=in", "output=out", "strategy=zero_shot", *words))
    assert load(tmp_path / out / "run.json")["counts"]["documents"] == {"annotated": 40, "kept": 0, "failed": 0}
    assert len(batches.batches) == 1
