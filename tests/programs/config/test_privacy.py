"""Attempts to get text or a secret off this machine or into a log. `docs/privacy.md` lists them.

`0.0.0.0` plays the part of another machine: it is no loopback address, but reaches the tests' own servers. CANARY stands for
protected text.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dspy.utils.exceptions import LMBillingError, LMUnexpectedError

from benchmarks.bench import build_task
from clinspan import lms
from clinspan.corpora import InputError
from clinspan.corpora.readers.notes import read_notes, Unreadable
from clinspan.lms import AzureModel, lm15, ModelError, OpenAIModel
from clinspan.lms.remote.audit import audit_to, home
from clinspan.lms.remote.hosts import host_outside
from clinspan.metrics.scoring import Metric
from clinspan.programs.annotation.build_annotator import load_annotator
from clinspan.programs.app.hydra_app import log_to
from clinspan.programs.building.build_optimizer import build_optimization
from clinspan.programs.building.build_run import build_program, build_run, Overrides
from clinspan.programs.config.composition import compose, load_corpus
from clinspan.programs.config.overrides import check_words
from clinspan.programs.config.privacy import check_chroma, Permission, ProtectedText, wordless
from clinspan.programs.inference.failures import failure_name
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.retrievers.chroma import ChromaIndex
from conftest import Command, load, ROOT
from support.scripted_batches import ScriptedBatches
from support.scripted_server import content_filter, half_json, Handler, ScriptedServer, serving

CANARY = "Zebrafieber"
KEY = "sk-canary-0123456789-abcdefghij"
LOCAL = ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000", "[::ffff:127.0.0.1]"]
LOOKS_LOCAL = [
    "localhost.evil.com",
    "127.0.0.1.nip.io",
    "127.evil.com",
    "127.0.0.1.evil.com:8000",
    "localhost.localdomain",
    "my-localhost",
    "0.0.0.0:8000",
    "[::]:8000",
    "2130706433",
    "3232235777",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "[::ffff:10.0.0.8]",
    "[fe80::1]",
    "192.168.0.2",
    "127.0.0.1;evil.com",
    "\u24db\u24de\u24d2\u24d0\u24db.evil.com",
]
TRICKS = [
    "http://127.0.0.1@evil.com/v1",
    "http://localhost:8000@evil.com",
    "http://user:password@127.0.0.1/v1",
    "http://evil.com\\@127.0.0.1/v1",
    "http://127.0.0.1\\.evil.com/v1",
    "http://evil.com#127.0.0.1",
    "http://evil.com?http://127.0.0.1",
    "http://127.0.0.1\t.evil.com",
    "http://127.0.0.1 .evil.com",
    "ftp://127.0.0.1",
    "//127.0.0.1/v1",
    "127.0.0.1:8000",
    "http:///v1",
    "http://[::1/v1",
    "http://127.0.0.1:99999/v1",
]


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    """Second server: a proxy or the target of a redirection."""
    with serving(ScriptedServer()) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_API_VERSION", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for form in (name, name.lower()):
            monkeypatch.setenv(form, "")
            monkeypatch.delenv(form)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "test.tsv").write_text(f"{CANARY}\tB-Sign\n", encoding="utf-8")
    (tmp_path / "corpus" / "train.tsv").write_text(f"{CANARY}\tB-Sign\n", encoding="utf-8")
    (tmp_path / "corpus" / "dev.tsv").write_text(f"{CANARY}\tB-Sign\n", encoding="utf-8")
    yield
    audit_to(None)


def elsewhere(server: ScriptedServer) -> str:
    return f"http://0.0.0.0:{server.server_address[1]}/v1"


def ask(address: str | list[str], **options: Any) -> str:
    lm = lms.build(OpenAIModel(name="openai", id="x", api_base=address, retries=0, **options))
    return str(lm(lm15.Request(model=lm.model, messages=(lm15.Message.user(CANARY),))).message.text)


def parts(tmp_path: Path, *words: str) -> Any:
    config, chosen, given = compose("run", ["corpus=conll", f"corpus.path={tmp_path}/corpus", *words])
    return build_run(config, lambda corpus, spec: None, Overrides(chosen, given))


# Where an address leads


def test_loopback_names_count_as_this_machine() -> None:
    assert [host_outside(f"http://{host}/v1") for host in LOCAL] == [None] * len(LOCAL)


@pytest.mark.parametrize("host", LOOKS_LOCAL)
def test_what_only_looks_local_is_outside(host: str) -> None:
    assert host_outside(f"http://{host}/v1") is not None
    assert OpenAIModel(name="openai", id="x", api_base=f"http://{host}/v1").remote_host is not None


@pytest.mark.parametrize("address", TRICKS)
def test_addresses_that_libraries_read_differently_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError) as caught:
        OpenAIModel(name="openai", id="x", api_base=address)
    assert "password@" not in str(caught.value)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", address)
    with pytest.raises(ModelError, match="AZURE_OPENAI_ENDPOINT"):
        _ = AzureModel(name="gpt4").remote_host
    with pytest.raises(ModelError, match=r"retriever\.url"):
        check_chroma([], url=address, leave=Permission(remote=True, http=True))


# Texts that may not leave


@pytest.mark.parametrize("way", ["api_base", "one of several", "OPENAI_BASE_URL", "azure", "batch", "prediction"])
def test_no_model_elsewhere_is_asked_about_phi(
    way: str, tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, words = elsewhere(server), ["model=openai", "model.id=x", "strategy=zero_shot"]
    if way == "OPENAI_BASE_URL":
        monkeypatch.setenv("OPENAI_BASE_URL", away)
    elif way == "azure":
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", away)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
        words = ["model=gpt4", "strategy=zero_shot"]
    elif way == "one of several":
        words.append(f"model.api_base=[{server.address}/v1,{away}]")
    else:
        words.append(f"model.api_base={away}")
    words += {"batch": ["model.batch=true"], "prediction": ["model.wire.prediction=true"]}.get(way, [])
    with pytest.raises(RunError, match=r"is at 0\.0\.0\.0: nothing was sent"):
        parts(tmp_path, *words)
    assert (server.requests, server.checks) == ([], [])


def test_no_writing_model_elsewhere_is_told_of_phi(tmp_path: Path, server: ScriptedServer) -> None:
    words = ["corpus=conll", f"corpus.path={tmp_path}/corpus", "strategy=zero_shot", "reflection_model=openai"]
    words += ["reflection_model.id=x", f"reflection_model.api_base={elsewhere(server)}"]
    config, chosen, given = compose("optimize", words)
    record = RunRecord(status="started", choices=chosen, given=sorted(given))
    with pytest.raises(RunError, match="reflection_model=openai is at"):
        build_optimization(config, RunFolder(tmp_path / "run"), record, Metric(), lambda *_: None, started=lambda facts: None)
    assert (server.requests, server.checks) == ([], [])


def test_the_bench_sends_no_phi_to_a_server_elsewhere(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["corpus=conll", f"corpus.path={tmp_path}/corpus", f"server={elsewhere(server)}"]
    config, _, _ = compose("bench", words)

    class Built:
        corpus = type("Corpus", (), {"name": "conll", "phi": True})

    monkeypatch.setattr("benchmarks.bench.build_run", lambda *_: Built)
    with pytest.raises(RunError, match="server= is at"):
        build_task(config)
    assert (server.requests, server.checks) == ([], [])


def test_notes_are_phi_unless_it_is_said_that_they_are_not(server: ScriptedServer) -> None:
    words = ["model.id=x", f"model.api_base={elsewhere(server)}", "strategy=zero_shot"]
    with pytest.raises(RunError, match="nothing was sent"):
        load_annotator(program=None, model="openai", phi=True, allow_remote=False, settings=words)
    away = f"retriever.url={elsewhere(server)}"
    here = ["model.id=x", f"model.api_base={server.address}/v1", "strategy=zero_shot", away]
    with pytest.raises(RunError, match=r"retriever\.url is at"):  # a member of a program may search even if strategy= does not
        load_annotator(program=None, model="openai", phi=True, allow_remote=False, settings=here)
    assert (server.requests, server.checks) == ([], [])


def test_no_chroma_server_elsewhere_is_searched_for_phi(tmp_path: Path, server: ScriptedServer) -> None:
    words = [
        "model=replay",
        "model.path=x.jsonl",
        "strategy=rag",
        "retriever.knowledge=bundled",
        f"retriever.url={elsewhere(server)}",
    ]
    config, chosen, given = compose("run", ["corpus=conll", f"corpus.path={tmp_path}/corpus", *words])
    with pytest.raises(RunError, match=r"the Chroma server of retriever\.url is at"):
        corpus = load_corpus(config)
        build_program(config, corpus, [], lms.ReplayModel(), overrides=Overrides(chosen, given))
    assert server.checks == []


# Ways around the checks


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_gets_nothing_meant_for_this_machine(
    name: str, server: ScriptedServer, other: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, other.address)
    assert ask(f"{server.address}/v1")
    assert ask([f"{server.address}/v1", f"{server.address}/v1/"])
    check_chroma([ProtectedText("the input", "phi", True)], url=server.address, leave=Permission())
    with pytest.raises(InputError, match="Chroma server"):
        ChromaIndex(tmp_path, None, url=server.address)._client()  # type: ignore[arg-type]
    assert httpx.get(f"{server.address}/v1/models").status_code == 200
    assert (len(server.requests), len(server.checks) > 2) == (2, True)
    assert (other.requests, other.checks) == ([], [])


def test_a_proxy_on_the_way_to_another_machine_is_in_the_audit(
    server: ScriptedServer, other: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.address)
    audit_to(tmp_path)
    ask(elsewhere(server))
    (row,) = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (row["host"], row["via"]) == (f"0.0.0.0:{server.server_address[1]}", "127.0.0.1")
    assert (len(server.requests), len(other.requests)) == (0, 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_not_followed(
    status: int, server: ScriptedServer, other: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lead_away(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(status, {}, {"Location": f"{elsewhere(other)}/chat/completions"})

    server.always = lead_away
    with pytest.raises(Exception, match=f"redirects requests \\({status}\\)") as caught:
        ask(f"{server.address}/v1")
    with pytest.raises(RunError, match="redirects are not followed"):
        failure_name(caught.value)  # type: ignore[arg-type]
    monkeypatch.setattr(Handler, "do_GET", lambda handler: lead_away(handler, {}))
    with pytest.raises(ModelError):
        ask([f"{server.address}/v1", f"{server.address}/v1/"])
    with pytest.raises(InputError, match="Chroma server"):
        ChromaIndex(tmp_path, None, url=server.address)._client()  # type: ignore[arg-type]
    assert (other.requests, other.checks) == ([], [])


def test_a_batch_file_does_not_follow_a_redirection_either(other: ScriptedServer, tmp_path: Path) -> None:
    with serving(ScriptedBatches()) as server:
        lead_away(server, other, tmp_path)
    assert other.requests == []


def lead_away(server: ScriptedBatches, other: ScriptedServer, tmp_path: Path) -> None:
    server.RequestHandlerClass = type("Away", (Handler,), {"do_POST": lambda handler: read_and_lead(handler, elsewhere(other))})
    audit_to(tmp_path)
    lm = lms.build(OpenAIModel(name="openai", id="x", api_base=f"{server.address}/v1", batch=True, retries=0, poll_seconds=0.01))
    with pytest.raises(LMUnexpectedError):  # its answer is not there yet
        lm(lm15.Request(model=lm.model, messages=(lm15.Message.user(CANARY),)))
    with pytest.raises(ModelError, match="redirects requests"):
        lm.engine.fetch()


def read_and_lead(handler: Handler, place: str) -> None:
    handler.rfile.read(int(handler.headers["Content-Length"]))
    handler.send(307, {}, {"Location": f"{place}/files"})


def test_a_link_out_of_the_input_folder_is_not_followed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "ward").mkdir(parents=True)
    (source / "ward" / "a.txt").write_text("Rash")
    (source / "b.txt").symlink_to(source / "ward" / "a.txt")
    (tmp_path / "secret.txt").write_text(CANARY)
    (source / "c.txt").symlink_to(tmp_path / "secret.txt")
    (source / "d.txt").symlink_to("../secret.txt")
    (source / "linked").symlink_to(tmp_path)
    entries = list(read_notes(source))
    assert [note.id for note in entries if not isinstance(note, Unreadable)] == ["b", "ward/a"]
    problems = {note.id: note.error for note in entries if isinstance(note, Unreadable)}
    assert problems == {"c": "leads_out", "d": "leads_out", "linked": "linked_folder"}


def test_a_linked_output_is_closed_to_others_and_files_behind_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "foreign.json").write_text("{}")
    (tmp_path / "real" / "run.json").symlink_to(tmp_path / "foreign.json")
    folder = RunFolder(tmp_path / "link")
    folder.write("run.json", {"a": CANARY})
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o700
    assert (tmp_path / "foreign.json").read_text() == "{}"


# What logs, errors and files must not contain


def test_errors_are_told_without_their_words() -> None:
    try:
        try:
            {}[CANARY]
        except KeyError as error:
            raise ValueError(f"no {CANARY}") from error
    except ValueError as error:
        description = wordless(error)
    assert CANARY not in description
    assert description.index("KeyError") < description.index("ValueError")
    assert "test_privacy.py, line" in description
    with pytest.raises(RunError) as caught:  # a server may repeat the request in its error
        failure_name(LMBillingError(f"You asked about {CANARY}", model="x", provider="x", status=402))
    assert CANARY not in str(caught.value)


LOUD = f"""
import faulthandler, logging, sys, threading, warnings
from clinspan.programs.app.hydra_app import log_to, prepare_process
from pathlib import Path
prepare_process()
import openai
prepare_process()
log_to(Path(sys.argv[1]))
logging.getLogger().setLevel(logging.DEBUG)
for name in ("chromadb.api", "dspy.clients.lm", "gepa", "httpcore.http11", "httpx", "LiteLLM", "openai._base_client", "ray", None):
    for level in (10, 20, 30, 40, 50):
        logging.getLogger(name).log(level, "{CANARY}")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger(name).exception("{CANARY}")
text = "{CANARY}"
thread = threading.Thread(target=lambda: int(text))
thread.start()
thread.join()
faulthandler.dump_traceback()
raise KeyError(text)
"""


def test_no_log_at_any_level_and_no_crash_tells_text(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_LOG": "debug", "LITELLM_LOG": "DEBUG", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-c", LOUD, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "stopped by KeyError" in done.stderr
    assert "stopped by ValueError" in done.stderr
    assert CANARY not in done.stdout + done.stderr + (tmp_path / "run.log").read_text()


@pytest.mark.parametrize(
    "word",
    [
        "model.api_base=https://user:hunter2@host/v1",
        "model.api_base=[http://a/v1,http://hunter2@host/v1]",
        "retriever.url=http://x:hunter2@host",
        "model.api_base=https://host/v1?api-key=hunter2",
        f"model.id={KEY}hunter2",
        f"model.key_variable={KEY}hunter2",
    ],
)
def test_secrets_in_words_are_refused_before_anything_is_written(word: str) -> None:
    with pytest.raises(InputError, match="holds a password or a key") as caught:
        check_words("run", ["model=openai", word])
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ModelError, match="not the key") as refused:
        OpenAIModel(name="openai", key_variable="my-secret-hunter2")
    assert "hunter2" not in str(refused.value)


def test_what_a_session_leaves_holds_text_only_where_it_must(command: Command, tmp_path: Path, server: ScriptedServer) -> None:
    """With a loose umask, an existing open folder, the most verbose logs, and a server that repeats its requests."""

    def echo(code: int) -> Any:
        return lambda handler, body: handler.send(code, {"error": {"message": json.dumps(body), "code": "x"}})

    server.behaviours = {1: echo(400), 2: echo(500), 3: half_json, 4: content_filter}
    for n in range(8):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"n{n}.txt").write_text(f"{CANARY} number {n}.", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o755)
    own = tmp_path / "home"
    caches = {"HOME": own, "XDG_CACHE_HOME": own / "cache", "DSPY_CACHEDIR": own / "dspy", "HF_HOME": own / "hf"}
    env = {**{k: str(v) for k, v in caches.items()}, "OPENAI_LOG": "debug", "LITELLM_LOG": "DEBUG", "OPENAI_API_KEY": KEY}
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "model.retries=0", "strategy=zero_shot"]
    before = os.umask(0)
    try:
        done = command("annotate", "input=in", "output=out", "hydra.verbose=true", *words, env=env)
    finally:
        os.umask(before)
    assert done.returncode == 2  # four documents failed
    assert load(tmp_path / "out" / "run.json")["counts"]["documents"]["failed"] == 4
    assert CANARY not in done.stdout + done.stderr
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*"), *own.rglob("*")]:
        if path.is_dir():
            continue
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert (CANARY.encode() in content) == (path.parent.name == "brat" and path.suffix == ".txt"), path
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_no_answer_is_kept_in_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    served = OpenAIModel(name="openai", id="x", api_base="http://127.0.0.1:1/v1")
    for spec in (served, AzureModel(name="gpt4"), lms.ReplayModel()):
        lm = lms.build(spec)
        assert lm.cache is False
        assert lm.copy(rollout_id=1, temperature=1.0).cache is False  # as optimizers ask a writing model for another answer


def test_chroma_tells_nobody_and_a_run_records_where_it_sends(tmp_path: Path) -> None:
    client = ChromaIndex(tmp_path / "index", None)._client()  # type: ignore[arg-type]
    assert client.get_settings().anonymized_telemetry is False
    log_to(tmp_path)
    assert home() == tmp_path
