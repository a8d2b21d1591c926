"""Tests of the spans of a run: their attributes, and that they hold no word of the corpus."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from clinspan.corpora.sources import RareMini
from clinspan.programs.annotate import execute as annotate
from clinspan.programs.building.build_tagger import _lookup
from clinspan.programs.config.composition import compose
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.telemetry import tracing
from conftest import records
from support.otlp_collector import collector
from support.runs_in_process import run_here
from support.scripted_server import Handler, ScriptedServer

OURS = set("attributes biolines context finished handwritten history instance internal operation resource tracing".split())
PARTS = re.compile(r"[A-Za-z]{7,}")


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Longer words of the corpus, except those that OpenTelemetry or clinspan also use."""
    corpus = RareMini(phi=False, labels=["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"], definitions={}).load()
    sentences = [sentence for split in ("train", "test") for sentence in corpus.sentences(split)]
    return {part.lower() for s in sentences for word in s.words for part in PARTS.findall(word)} - OURS


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "build_exporter", lambda: exporter)
    monkeypatch.setattr(exporter, "shutdown", lambda: None)  # a shutdown would drop the spans
    return exporter


def served(server: ScriptedServer, *words: str) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "model.retries=0", "format=bio_lines", *words]


def quoting(handler: Handler, body: dict[str, Any]) -> None:
    """Refuse a request as some servers do: with its text in the message."""
    handler.send(400, {"error": {"code": "bad", "message": f"cannot read: {body['messages'][-1]['content']}"}})


def quoted(text: str, words: set[str]) -> set[str]:
    return {part.lower() for part in PARTS.findall(text)} & words


def test_a_span_for_the_run_and_one_for_each_request_none_with_text(
    tmp_path: Path, server: ScriptedServer, kept: InMemorySpanExporter, words: set[str]
) -> None:
    server.behaviours[2] = quoting
    record = run_here(tmp_path / "run", *served(server, "limit=6", "tracing=otel", "model.concurrency=1"))
    spans = kept.get_finished_spans()
    (whole,) = [span for span in spans if span.parent is None]
    calls = [span for span in spans if span.name == "chat hosted_vllm/m"]
    assert whole.name == "clinspan.run" and len(calls) == len(spans) - 1 == 6
    assert all(span.parent and span.parent.span_id == whole.context.span_id for span in calls)
    assert sum(span.attributes.get("gen_ai.usage.input_tokens", 0) for span in calls) == record["tokens"]["prompt_tokens"] > 0
    (broken,) = [span for span in calls if not span.status.is_ok and span.status.status_code.name == "ERROR"]
    assert broken.attributes["error.type"] and not broken.events and not broken.status.description
    assert whole.attributes["clinspan.failed"] == 1 and whole.attributes["clinspan.sentences"] == 6
    assert {span.attributes["clinspan.format"] for span in calls} == {"BioLines"}
    span_text = " ".join(span.to_json() for span in spans)
    assert quoted(span_text, words) == set()
    assert not any(row["id"] in span_text or f'"{row["document"]}"' in span_text for row in records(tmp_path / "run"))


def test_an_annotation_is_traced_without_its_notes(tmp_path: Path, server: ScriptedServer, kept: InMemorySpanExporter) -> None:
    note = tmp_path / "notes" / "bed-three.txt"
    note.parent.mkdir()
    note.write_text("Galactosialidosis was suspected. Thrombocytopenia followed.", encoding="utf-8")
    config, _, _ = compose("annotate", served(server, "tracing=otel", f"input={note.parent}"))
    annotate(config, RunFolder(tmp_path / "out"), ["jsonl"])
    span_text = " ".join(span.to_json() for span in kept.get_finished_spans())
    assert [span.name for span in kept.get_finished_spans()].count("chat hosted_vllm/m") == 2 and "clinspan.annotate" in span_text
    assert not any(word in span_text for word in ("Galactosialidosis", "Thrombocytopenia", "bed-three"))


def test_an_untraced_run_starts_no_span_and_sets_no_dspy_callback(
    tmp_path: Path, server: ScriptedServer, kept: InMemorySpanExporter
) -> None:
    import dspy

    run_here(tmp_path / "traced", *served(server, "limit=1", "tracing=otel"))
    before = len(kept.get_finished_spans())
    run_here(tmp_path / "not", *served(server, "limit=1"))
    assert before == len(kept.get_finished_spans()) == 2 and not dspy.settings.callbacks


def test_searches_are_spans(kept: InMemorySpanExporter) -> None:
    with tracing.Otel().spans("clinspan.run", {}):
        find = _lookup(["a b", "c"], lambda texts: [[text] for text in texts], kind="nearest")
        assert find("c") == ["c"] and find("elsewhere") == ["elsewhere"]
    attributes = [dict(span.attributes) for span in kept.get_finished_spans() if span.name == "retrieval"]
    assert attributes == [{"clinspan.kind": "nearest", "clinspan.searches": n} for n in (2, 1)]


def test_the_span_of_a_run_has_the_type_of_an_error_and_not_its_message(kept: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), tracing.Otel().spans("clinspan.run", {}):
        raise ValueError("Fabry disease in bed 3")
    (whole,) = kept.get_finished_spans()
    assert whole.attributes["error.type"] == "ValueError" and "Fabry" not in whole.to_json()


def test_spans_are_sent_to_a_collector(
    tmp_path: Path, server: ScriptedServer, words: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=ward")
        run_here(tmp_path / "run", *served(server, "limit=3", "tracing=otel", "tracing.service=tagger", "corpus.phi=true"))
        batches = receiver.batches
        (path,) = {path for path, _ in receiver.received}
    resource = {pair.key: pair.value.string_value for pair in batches[0].resource.attributes}
    assert path == "/v1/traces" and resource["service.name"] == "tagger" and resource["deployment.environment"] == "ward"
    assert sum(len(scope.spans) for batch in batches for scope in batch.scope_spans) == 4
    assert quoted(str(batches), words) == set()


def test_an_unreachable_collector_costs_spans_and_not_the_run(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    record = run_here(tmp_path / "run", *served(server, "limit=2", "tracing=otel"))
    assert record["status"] == "finished" and (tmp_path / "run" / "scores.json").is_file()
    assert "clinspan: 3 spans did not reach the collector" in capfd.readouterr().err
    assert "3 spans were lost" in (tmp_path / "run" / "run.log").read_text()


def test_an_unsupported_protocol_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(RunError, match="http/protobuf"):
        run_here(tmp_path / "run", "model=replay", "tracing=otel")
    assert not (tmp_path / "run" / "run.json").exists()
