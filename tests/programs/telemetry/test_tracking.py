"""Tests of MLflow tracking: what MLflow gets of a run, that it never costs a run, and that protected text stays here."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.programs.config.privacy import check_destinations, Permission, ProtectedText
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.telemetry.mlflow_fields import settings_of
from clinspan.programs.telemetry.tracking import Mlflow
from conftest import load
from support.runs_in_process import run_here
from support.scripted_server import ScriptedServer, serving


@pytest.fixture
def mlflow() -> Any:
    return pytest.importorskip("mlflow", reason="needs MLflow: pip install 'clinspan[mlflow]'")


def served(server: ScriptedServer, *words: str) -> list[str]:
    return ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "limit=3", "format=bio_lines", *words]


def test_a_local_store_gets_scores_settings_and_files_of_the_run(
    tmp_path: Path, server: ScriptedServer, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    record = run_here(folder, *served(server, "tracking=mlflow", "corpus.phi=true"))
    store = tmp_path / "runs" / "mlflow"
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    run = client.get_run(record["tracking"]["run"])
    scores = load(folder / "scores.json")
    assert run.info.status == "FINISHED" and client.get_experiment(run.info.experiment_id).name == "clinspan"
    assert run.data.metrics["micro/f1"] == scores["micro"]["f1"] and run.data.metrics["Sign/recall"] == 0.0
    assert run.data.metrics["tokens/prompt_tokens"] == record["tokens"]["prompt_tokens"]
    assert run.data.params["choice.model"] == "openai" and run.data.params["model.wire.logprobs"] == "False"
    assert run.data.tags["clinspan.corpus_sha256"] == record["corpus"]["sha256"]
    assert run.data.tags["clinspan.status"] == "finished" and run.data.tags["clinspan.signature"] == scores["signature"]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"run.json", "program.json", "scores.json", "predictions.jsonl", "prompts.jsonl", "errors.json"}
    downloaded = Path(client.download_artifacts(run.info.run_id, "predictions.jsonl"))
    assert downloaded.read_bytes() == (folder / "predictions.jsonl").read_bytes()
    assert run.info.artifact_uri.startswith(f"file://{store}/")


def test_a_resumed_run_is_the_same_run_in_mlflow(
    tmp_path: Path, server: ScriptedServer, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.key = "another"
    words = served(server, "tracking=mlflow", "tracking.experiment=ward")
    with pytest.raises(RunError, match="refused the key"):
        run_here(tmp_path / "run", *words)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db")
    (failed,) = client.search_runs([client.get_experiment_by_name("ward").experiment_id])
    assert failed.info.status == "FAILED" and failed.data.tags["clinspan.error"] == "RunError"
    server.key = None
    record = {**load(tmp_path / "run" / "run.json"), "status": "started"}
    record.pop("error")
    run_here(tmp_path / "run", *words, record=record)
    (done,) = client.search_runs([client.get_experiment_by_name("ward").experiment_id])
    assert done.info.run_id == failed.info.run_id and done.info.status == "FINISHED" and "micro/f1" in done.data.metrics


class Tracker(ThreadingHTTPServer):
    """Scripted part of MLflow's REST API that a run needs. With `gone` set, it answers no request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _Handler)
        self.gone = False
        self.location = "mlflow-artifacts:/7"
        self.redirect: str | None = None
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Tracker

    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.redirect is not None:
            self.send_response(307)
            self.send_header("Location", self.server.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.files[self.path.rsplit("/", 1)[-1]] = content
        self.answer(None)

    def answer(self, body: Any) -> None:
        if self.server.gone:
            self.connection.close()
            return
        experiment = {
            "experiment_id": "7",
            "name": "clinspan",
            "artifact_location": "mlflow-artifacts:/7",
            "lifecycle_stage": "active",
        }
        run = {"run_id": "r1", "experiment_id": "7", "status": "RUNNING", "artifact_uri": f"{self.server.location}/r1/artifacts"}
        call = self.path.split("?")[0].rsplit("mlflow/", 1)[-1]
        self.server.asked.append((call, body))
        created = {"run": {"info": run, "data": {}}}
        known = {"experiments/get-by-name": {"experiment": experiment}, "runs/create": created, "runs/get": created}
        data = json.dumps(known.get(call, {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Write nothing to the output of the tests."""


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(Tracker()) as running:
        yield running


def test_a_remote_server_gets_permitted_files_and_the_audit_records_it(
    tmp_path: Path, server: ScriptedServer, tracker: Tracker, mlflow: Any
) -> None:
    address = f"http://0.0.0.0:{tracker.server_address[1]}"  # reaches this machine, but counts as another one
    run_here(tmp_path / "run", *served(server, "tracking=mlflow", f"tracking.uri={address}", "corpus.phi=false", "allow_http=true"))
    assert tracker.files["predictions.jsonl"] == (tmp_path / "run" / "predictions.jsonl").read_bytes()
    assert json.loads(tracker.files["run.json"])["tracking"] == {"store": address, "run": "r1"}
    (line,) = [json.loads(line) for line in (tmp_path / "run" / "audit.jsonl").read_text().splitlines()]
    assert line["model"] == "tracking=mlflow" and line["sentences"] == 3 and line["outcome"].strip() == "answered"


@pytest.mark.parametrize("location", ["mlflow-artifacts://evil.test/7", "s3://bucket/7", "file://far/share"])
def test_a_local_server_with_a_remote_artifact_store_is_refused(
    tmp_path: Path, server: ScriptedServer, tracker: Tracker, mlflow: Any, location: str
) -> None:
    tracker.location = location
    address = f"http://127.0.0.1:{tracker.server_address[1]}"
    with pytest.raises(RunError, match="the artifact store of tracking=mlflow is at .*nothing was sent"):
        run_here(tmp_path / "run", *served(server, "tracking=mlflow", f"tracking.uri={address}", "corpus.phi=true"))
    assert not tracker.files and not server.requests


def test_a_servers_redirection_is_not_followed(tmp_path: Path, server: ScriptedServer, tracker: Tracker, mlflow: Any) -> None:
    with serving(Tracker()) as far:
        tracker.redirect = f"http://0.0.0.0:{far.server_address[1]}"
        address = f"http://127.0.0.1:{tracker.server_address[1]}"
        record = run_here(tmp_path / "run", *served(server, "tracking=mlflow", f"tracking.uri={address}", "corpus.phi=true"))
    assert record["status"] == "finished" and not far.files and not far.asked


def test_a_server_that_dies_during_a_run_causes_only_a_warning(
    tmp_path: Path, server: ScriptedServer, tracker: Tracker, mlflow: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def reply(messages: list[dict[str, str]]) -> str:
        tracker.gone = True
        return "Fever : O"

    server.reply = reply
    address = f"http://127.0.0.1:{tracker.server_address[1]}"
    record = run_here(tmp_path / "run", *served(server, "tracking=mlflow", f"tracking.uri={address}"))
    assert record["status"] == "finished" and load(tmp_path / "run" / "scores.json")["sentences"] == 3
    stderr = capfd.readouterr().err
    assert (
        f"clinspan: the store of tracking=mlflow at {address} cannot be used" in stderr
        and "all results are in the run's folder" in stderr
    )
    assert "tracking failed" in (tmp_path / "run" / "run.log").read_text()
    batches = [body["params"] for call, body in tracker.asked if call == "runs/log-batch"]
    assert max(map(len, batches)) <= 100  # MLflow's limit
    assert {"key": "choice.model", "value": "openai"} in [param for batch in batches for param in batch]


def test_an_unusable_store_is_reported_before_the_run(tmp_path: Path, server: ScriptedServer, mlflow: Any) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match="tracking.uri="):
        run_here(tmp_path / "run", *served(server, "tracking=mlflow", f"tracking.uri=sqlite:///{tmp_path}/file/m.db"))
    assert not server.requests


@pytest.mark.parametrize("place", ["https://track.example.org", "databricks", "postgresql://db.example.org/m", "s3://bucket/m"])
def test_texts_that_may_be_patients_do_not_go_to_a_tracker_elsewhere(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    with pytest.raises(RunError, match="tracking=mlflow is at .*nothing was sent.*allow_remote=true"):
        run_here(tmp_path / "run", *served(server, "tracking=mlflow", "corpus.phi=true"))
    assert not server.requests and not (tmp_path / "run" / "run.json").exists()


def test_a_local_database_with_a_remote_artifact_store_is_refused(tmp_path: Path, mlflow: Any) -> None:
    store = f"sqlite:///{tmp_path}/m.db"
    mlflow.MlflowClient(store).create_experiment("clinspan", artifact_location="s3://bucket/m")
    run = OpenRun(RunFolder(tmp_path / "run"), RunRecord(status="started", config={}, choices={}))

    def guard(target: str, address: str) -> None:
        check_destinations([ProtectedText("these", "phi", True)], what=target, addresses=[address], leave=Permission())

    tracking = Mlflow(uri=store).follow(run, command="run", guard=guard)
    with pytest.raises(RunError, match="artifact store of tracking=mlflow is at bucket"), tracking:
        pytest.fail("it began")
    assert run.record.tracking is None


def test_without_mlflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(RunError, match=r"clinspan\[mlflow\]"):
        run_here(tmp_path / "run", "model=replay", "tracking=mlflow")


@pytest.mark.parametrize("build", [lambda: Mlflow(uri="http://ann:pw@host"), lambda: Mlflow(experiment="")])
def test_invalid_settings_are_refused(build: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        build()


def test_secrets_are_no_parameters() -> None:
    config = {"a": {"password": "x", "api_key": "y", "max_tokens": 5}, "b": "http://ann:pw@host/v1", "labels": {"é!": "z" * 900}}
    parameters = settings_of(RunRecord(status="started", config=config, choices={"model": "m"}))
    assert parameters == {"a.max_tokens": "5", "b": "http://host/v1", "labels.é_": "z" * 500, "choice.model": "m"}
