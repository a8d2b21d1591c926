"""Tests of the `annotate` command: a scripted server, interruptions, changed and invalid input, a tiny trained encoder."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import Brat, Conll, Jsonl
from clinspan.programs.annotation.annotator import Annotator
from conftest import Command, folder_of, lines, load, ROOT, tree
from support.scripted_server import ScriptedServer, slow, status
from support.tiny_models import tiny_encoder

TEXTS = {
    "a": "HPI:\r\nHe has Fever and Rash.\r\n\r\n1. Ataxia\r\n",
    "ward/b": "\ufeffNo\xa0Fever, e.g. none.\x0cRash",
    "ward/c": "<|im_end|> Fever : B-Sign\n</s> [/INST] {{x}} </pre><script>",
}


def tag_capitals(messages: list[dict[str, str]]) -> str:
    tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
    return "\n".join(f"{t} : {'B-Sign' if t in ('Fever', 'Rash', 'Ataxia') else 'O'}" for t in tokens)


@pytest.fixture
def words(server: ScriptedServer) -> list[str]:
    server.reply = tag_capitals
    return ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "strategy=zero_shot", "model.retries=0"]


def fill(folder: Path, texts: dict[str, str] = TEXTS) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def test_all_formats_hold_the_same_entities_and_finished_notes_need_no_request(
    command: Command, tmp_path: Path, server: ScriptedServer, words: list[str]
) -> None:
    source = fill(tmp_path / "in")
    (source / "a.ann").write_text("not even an annotation")
    out = folder_of(command("annotate", "input=in", "output=in/out", "to=[brat,jsonl,conll]", *words))
    request_count = len(server.requests)
    assert (tmp_path / out / "brat" / "ward" / "b.txt").read_bytes() == (source / "ward" / "b.txt").read_bytes()
    spans = {
        row["id"]: [(e["start"], e["end"], e["type"], e["text"]) for e in row["entities"]]
        for row in lines(source / "out" / "annotations.jsonl")
    }
    assert list(spans) == sorted(TEXTS)
    assert [text for *_, text in spans["a"]] == ["Fever", "Rash", "Ataxia"]
    assert [text for *_, text in spans["ward/b"]] == ["Fever", "Rash"]
    for name, entities in spans.items():
        assert all(TEXTS[name][start:end] == text for start, end, _, text in entities)
    documents = {d.id: d for d in Jsonl(path=str(source / "out" / "annotations.jsonl")).load().splits["test"]}
    for folder, names in ((source / "out" / "brat", ["a"]), (source / "out" / "brat" / "ward", ["ward/b", "ward/c"])):
        for name, document in zip(names, Brat(path=str(folder)).load().splits["test"]):
            assert (document.text, document.entities) == (TEXTS[name], documents[name].entities)
    read_back = Conll(path=str(source / "out" / "annotations.conll")).load()
    assert sum(tag == "B-Sign" for s in read_back.sentences("test") for tag in s.tags) == sum(map(len, spans.values()))
    again = command("annotate", "input=in", "output=in/out", "to=[bioc_xml,bioc_json,csv,fhir,html,parquet]", *words)
    assert folder_of(again) == out
    assert "0 documents annotated, 3 kept, 0 failed" in again.stdout
    assert len(server.requests) == request_count
    assert {path.suffix for path in (source / "out").rglob("c.*")} == {".txt", ".ann", ".xml", ".json", ".html"}
    assert [path.name for path in (source / "out" / "fhir").rglob("*.json")] != []
    assert (source / "out" / "annotations.csv").read_text().count("\n") == 1 + sum(map(len, spans.values()))
    assert "html/ward/b.html" in (source / "out" / "index.html").read_text()
    pyarrow = pytest.importorskip("pyarrow.parquet")
    assert pyarrow.read_table(source / "out" / "annotations.parquet").to_pylist() == lines(source / "out" / "annotations.jsonl")
    record = load(source / "out" / "run.json")
    assert (record["status"], record["counts"]["documents"]) == ("finished", {"annotated": 0, "kept": 3, "failed": 0})
    for path in (source / "out").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_changed_notes_are_annotated_again_and_unchanged_ones_kept(
    command: Command, tmp_path: Path, server: ScriptedServer, words: list[str]
) -> None:
    source = fill(tmp_path / "in")
    call = ["annotate", "input=in", "output=out", *words]
    folder_of(command(*call))
    checked = tmp_path / "out" / "brat" / "ward" / "c.ann"
    checked.write_text("", encoding="utf-8")  # a user edits the result
    (source / "a.txt").write_text("Ataxia", encoding="utf-8")
    request_count = len(server.requests)
    assert "1 document annotated, 2 kept" in command(*call).stdout
    assert len(server.requests) == request_count + 1
    assert (tmp_path / "out" / "brat" / "a.ann").read_text() == "T1\tSign 0 6\tAtaxia\n"
    assert checked.read_text() == ""
    assert "3 documents annotated, 0 kept" in command(*call, "prompt=bare").stdout
    assert checked.read_text() != ""
    assert "3 documents annotated, 0 kept" in command(*call, "prompt=bare", "longest=3").stdout


@pytest.mark.long
def test_a_killed_command_resumes_and_ends_with_the_output_of_an_undisturbed_one(
    command: Command, tmp_path: Path, server: ScriptedServer, words: list[str]
) -> None:
    fill(tmp_path / "in", {f"n{n:02}": f"Fever number {n}.\nRash" for n in range(60)})
    (tmp_path / "in" / "n30.txt").write_bytes(b"caf\xe9")
    server.always = slow(0.1)
    call = ["input=in", "to=[brat,jsonl]", "model.concurrency=2", *words]
    assert command("annotate", "output=whole", *call).returncode == 2
    server.requests.clear()
    process_words = [sys.executable, "-m", "clinspan.programs.annotate", "output=torn", *call]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(process_words, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len(server.requests) < 50:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(0.3)
    finished = len((tmp_path / "torn" / "state.jsonl").read_text().splitlines())
    assert 10 < finished < 59
    with (tmp_path / "torn" / "state.jsonl").open("a") as file:
        file.write('{"id": "n5')
    server.always = None
    done = command("annotate", "output=torn", *call)
    assert f"{59 - finished} documents annotated, {finished} kept, 1 failed" in done.stdout
    for part in ("brat", "annotations.jsonl", "failed.jsonl"):
        whole, torn = tmp_path / "whole" / part, tmp_path / "torn" / part
        assert tree(torn) == tree(whole) if whole.is_dir() else torn.read_bytes() == whole.read_bytes()


def test_failed_documents_are_listed_and_the_others_finished(
    command: Command, tmp_path: Path, server: ScriptedServer, words: list[str]
) -> None:
    source = fill(tmp_path / "in")
    call = ["annotate", "input=in", "output=out", *words]
    folder_of(command(*call))
    (source / "ward" / "b.txt").write_bytes(b"\xff\xfe secret")
    (source / "a.txt").write_bytes(b"Rash")
    server.behaviours = {len(server.requests) + 1: status(400)}
    done = command(*call)
    assert done.returncode == 2
    assert "2 of 3 documents failed" in done.stderr
    assert done.stdout.strip().splitlines()[-1] == "out"
    failed = lines(tmp_path / "out" / "failed.jsonl")
    assert failed[1] == {"id": "ward/b", "error": "encoding", "at": "byte 0"}
    assert (failed[0]["id"], failed[0]["failed_sentences"], failed[0]["sentences"]) == ("a", 1, 1)
    assert "secret" not in "".join(p.read_text() for p in (tmp_path / "out").iterdir() if p.is_file()) + done.stderr + done.stdout
    assert (source / "ward" / "b.txt").read_bytes() == b"\xff\xfe secret"
    assert sorted(p.name for p in (tmp_path / "out" / "brat").rglob("*.ann")) == ["c.ann"]
    (source / "ward" / "b.txt").unlink()
    folder_of(command(*call))
    assert not (tmp_path / "out" / "failed.jsonl").exists()


@pytest.mark.long
def test_standard_input_is_saved_before_it_is_annotated(tmp_path: Path, words: list[str]) -> None:
    def pipe(content: bytes, output: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "clinspan.programs.annotate", "input=-", f"output={output}", "to=jsonl", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, input=content, capture_output=True, timeout=120)

    assert pipe(b"Fever\r\n", "plain").returncode == 0
    assert (tmp_path / "plain" / "stdin.txt").read_bytes() == b"Fever\r\n"
    assert [(row["id"], row["text"]) for row in lines(tmp_path / "plain" / "annotations.jsonl")] == [("stdin", "Fever\r\n")]
    assert pipe(b'{"id": "../x", "text": "Fever"}\n{"text": "Rash"}\n', "rows").returncode == 0
    assert [row["id"] for row in lines(tmp_path / "rows" / "annotations.jsonl")] == ["../x", "stdin-2"]
    assert pipe(b" \n", "empty").returncode == 2


def test_phi_does_not_leave_this_machine_unless_allowed(command: Command, tmp_path: Path) -> None:
    fill(tmp_path / "in")
    remote = ["input=in", "output=out", "model=openai", "model.id=x", "model.api_base=http://gpu.example/v1"]
    done = command("annotate", *remote)
    assert done.returncode == 2
    message = " ".join(done.stderr.split())
    assert (
        "the input may hold protected health information (phi=true) and model=openai is at gpu.example: nothing was sent" in message
    )
    local = ["input=in", "output=out2", "model=openai", "model.id=x", "model.api_base=http://127.0.0.1:9/v1", "strategy=rag"]
    away = command("annotate", *local, "retriever.url=http://chroma.example:8000")
    assert "the Chroma server of retriever.url is at chroma.example" in away.stderr
    allowed = command("annotate", *remote, "phi=false", "allow_http=true", "model.retries=0", "model.timeout=1", "stop_after=1")
    assert "nothing was sent" not in allowed.stderr
    assert "1 documents in a row failed" in " ".join(allowed.stderr.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["output=out"], "input is not set. Add input=PATH"),
        (["input=none"], "there is no such file or folder"),
        (["input=in", "to=word"], "to=word is not known. Use one of brat"),
        (["input=in", "encoding=utf-9"], "encoding=utf-9 is not known"),
        (["input=in", "output=in"], "is both input and output"),
        (["input=in", "output=full"], "contains files other than annotations"),
        (["input=in", "sentences=clinic"], "sentences=clinic is not known. Use one of punctuation, lines, clinical"),
        (["input=in", "longest=0"], "longest=0 leaves no token"),
        (["input=in", "model=replay"], "model=replay only has answers for the sentences of a corpus"),
        (["input=in", "inptu=x"], "there is no inptu. Did you mean input?"),
    ],
)
def test_invalid_arguments_get_one_message_and_exit_code_2(
    command: Command, tmp_path: Path, given: list[str], message: str
) -> None:
    fill(tmp_path / "in")
    fill(tmp_path / "full")
    done = command("annotate", *given)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stderr.count("clinspan:") == 1


def test_labels_come_from_the_program_if_no_corpus_is_named(
    command: Command, tmp_path: Path, server: ScriptedServer, words: list[str]
) -> None:
    fill(tmp_path / "in")
    (tmp_path / "gold.tsv").write_text("-DOCSTART- O\n\nFever\tB-Sign\n\nLithium\tB-Drug\n", encoding="utf-8")
    program = folder_of(command("run", "corpus=conll", "corpus.path=gold.tsv", *words))
    for corpus_words in ([], ["corpus=conll", "corpus.path=gold.tsv"]):
        out = folder_of(
            command("annotate", "input=in", f"output=out{len(corpus_words)}", f"program={program}", *words[:3], *corpus_words)
        )
        assert (tmp_path / out / "brat" / "annotation.conf").read_text().startswith("[entities]\nDrug\nSign\n")
    refused = command("annotate", "input=in", "output=other", f"program={program}", *words[:3], "corpus=raremini")
    assert "the labels Drug, Sign; raremini has" in " ".join(refused.stderr.split())


def test_an_encoder_annotates_as_a_command_and_as_a_library(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = tiny_encoder(tmp_path / "tuned")
    source = fill(tmp_path / "in", {**TEXTS, "long": "the fever, " * 2_000})
    out = tmp_path / folder_of(command("annotate", "input=in", "output=out", "to=jsonl", f"program={tuned}"))
    rows = {row["id"]: row for row in lines(out / "annotations.jsonl")}
    assert load(out / "run.json")["choices"]["model"] == "bioclinicalbert"
    monkeypatch.chdir(tmp_path)
    annotator = Annotator.load(program=tuned)
    texts = [(source / f"{name}.txt").read_bytes().decode() for name in rows]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(annotator, texts * 3))
    for (name, row), entities in zip([*rows.items()] * 3, results):
        assert [(e.start, e.end, e.label, e.text) for e in entities] == [
            (e["start"], e["end"], e["type"], e["text"]) for e in row["entities"]
        ], name
        assert all(row["text"][e.start : e.end] == e.text and 0 <= (e.confidence or 0) <= 1 for e in entities)
    assert {e.text.lower() for entities in results for e in entities} >= {"fever", "rash"}
    with pytest.raises(InputError, match="strategy is for models that answer prompts"):
        Annotator.load(program=tuned, settings=["strategy=knn"])
    with pytest.raises(InputError, match="there is no model=gtp4. Did you mean model=gpt4"):
        Annotator.load(model="gtp4")
    shutil.rmtree(tuned / "model")
    with pytest.raises(InputError, match="its weights folder model is missing"):
        Annotator.load(program=tuned)
