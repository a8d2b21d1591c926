"""Tests of runs with remote models: the audit of requests, and a change of servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinspan import lms
from clinspan.corpora.sources import RareMini
from clinspan.lms import OpenAIModel
from clinspan.lms.remote.audit import audit_to
from clinspan.programs.annotation.build_annotator import load_annotator
from clinspan.programs.formats import Entities
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.tagging.tagger import Tagger
from conftest import Command, folder_of, load
from support.runs_in_process import run_here
from support.scripted_models import NAMES
from support.scripted_server import ScriptedServer, status


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    yield
    audit_to(None)


def test_each_question_about_a_sentence_is_in_the_audit_with_its_document(server: ScriptedServer, tmp_path: Path) -> None:
    audit_to(tmp_path)
    server.reply = lambda messages: "[]"
    corpus = RareMini(labels=NAMES, definitions={}).load()
    sentences = list(corpus.sentences("dev"))[:12:4]
    lm = lms.build(OpenAIModel(name="openai", id="x", api_base=f"http://0.0.0.0:{server.server_address[1]}/v1"))
    asker = PromptTagger(tagger=Tagger("Tag."), lm=lm, adapter=Entities(labels=corpus.labels, per_type=True), concurrency=3)
    assert all(record["error"] is None for _, record in asker.tag_all(sentences))
    rows = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sorted(row["documents"][0] for row in rows) == sorted([s.document for s in sentences] * len(NAMES))
    assert {(row["sentences"], row["outcome"]) for row in rows} == {(1, "answered")}


def test_the_id_of_an_annotator_does_not_depend_on_its_servers(server: ScriptedServer) -> None:
    single, several = f"{server.address}/v1", f"[{server.address}/v1,http://127.0.0.1:9/v1]"
    words = ["model.id=x", "strategy=zero_shot"]
    annotators = [
        load_annotator(program=None, model="openai", phi=True, allow_remote=False, settings=[*words, f"model.api_base={address}"])
        for address in (single, several)
    ]
    assert annotators[0].facts.by == annotators[1].facts.by
    assert annotators[0].facts.model == annotators[1].facts.model


@pytest.mark.long
def test_a_run_resumes_on_another_server(server: ScriptedServer, command: Command, tmp_path: Path) -> None:
    server.behaviours = {3: status(500)}
    words = [
        "model=openai",
        "model.id=x",
        "model.api_base=http://127.0.0.1:9/v1",
        "model.retries=0",
        "limit=4",
        "strategy=zero_shot",
    ]
    with pytest.raises(RunError, match="sentences in a row failed"):
        run_here(tmp_path / "run", *words)
    folder = folder_of(command("run", f"resume={tmp_path / 'run'}", "model=openai", f"model.api_base={server.address}/v1"))
    record = load(folder / "run.json")
    assert record["config"]["model"]["api_base"] == f"{server.address}/v1"
    assert (record["model"]["id"], record["counts"]["failed"]) == ("hosted_vllm/x", 1)
    refused = command("run", f"resume={folder}", "model=openai", "model.id=y")
    assert "the run began with model.id=x" in refused.stderr
