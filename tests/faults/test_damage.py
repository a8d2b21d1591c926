"""Files that were damaged between runs: predictions, resume states, records, weights, indexes of the knowledge base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clinspan.corpora import InputError
from clinspan.lms import ClassifierModel, LocalModel, ModelError
from faults.bench import annotated, Bench
from support.llama_family import random_llama_family
from support.tiny_models import random_bert

Damage = Callable[[list[bytes]], bytes]
REPAIRED: dict[str, Damage] = {
    "the last line cut": lambda lines: b"".join(lines)[:-30],
    "zeros at the end, as after a power failure": lambda lines: b"".join(lines[:8]) + b"\0" * 4096,
    "zeros alone": lambda lines: b"\0" * 4096,
    "a line twice, and two in another order": lambda lines: b"".join([lines[3], *lines[:3][::-1], *lines[3:], lines[3]]),
    "the file empty": lambda lines: b"",
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "a line in the middle garbled": (b'{"id": "x", \xff\n', "it is not JSON"),
    "a line in the middle without its tags": (b'{"id": "x"}\n', "pred: Field required"),
    "zeros in the middle": (b"\0" * 512 + b"\n", "it is not JSON"),
}


@pytest.mark.long
@pytest.mark.parametrize("what", REPAIRED)
def test_predictions_are_repaired(bench: Bench, what: str) -> None:
    folder = bench.copied("remote")
    file = folder / "predictions.jsonl"
    file.write_bytes(REPAIRED[what](file.read_bytes().splitlines(keepends=True)))
    bench.server.heal()
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    bench.note("run", f"predictions.jsonl: {what}", "repaired, goes on", bench.lost(folder, "remote"))


@pytest.mark.parametrize("what", [name if n < 1 else pytest.param(name, marks=pytest.mark.long) for n, name in enumerate(REFUSED)])
def test_invalid_predictions_are_refused_with_their_line(bench: Bench, what: str) -> None:
    folder = bench.copied("remote")
    file = folder / "predictions.jsonl"
    line, why = REFUSED[what]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:5], line, *lines[6:]]))
    refused = bench.run(f"resume={folder}")
    assert (refused.code, refused.clear) == (2, True), refused.err
    assert f"predictions.jsonl:6: is not a valid prediction ({why}). Remove the line" in " ".join(refused.err.split())
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5] + lines[6:]))  # as the message says
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    bench.note("run", f"predictions.jsonl: {what}", "stops with 2 and names the line, goes on", bench.lost(folder, "remote"))


def test_an_empty_record_is_refused_and_the_predictions_are_reused(bench: Bench) -> None:
    folder = bench.copied("remote")
    (folder / "run.json").write_bytes(b"")
    refused = bench.run(f"resume={folder}")
    assert (refused.code, refused.clear) == (2, True), refused.err
    assert f"remove it and start again with the run's own settings and hydra.run.dir={folder}" in " ".join(refused.err.split())
    (folder / "run.json").unlink()
    bench.server.heal()
    again = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}")
    assert again.code == 0, again.err
    assert bench.server.requests == []
    bench.note("run", "run.json empty", "stops with 2 and says the way, goes on", bench.lost(folder, "remote"))


@pytest.mark.long
def test_a_resume_state_is_repaired_at_its_end_and_refused_with_the_line_elsewhere(bench: Bench) -> None:
    whole = bench.annotated_whole()
    folder = bench.fresh("hurt")
    assert bench.run(*bench.notes(), f"output={folder}", command="annotate").code == 0
    state = folder / "state.jsonl"
    lines = state.read_bytes().splitlines(keepends=True)
    state.write_bytes(b"".join([*lines[:4], b'{"id": "n04", \xff\n', *lines[5:-2]]) + b"\0" * 4096)
    refused = bench.run(*bench.notes(), f"output={folder}", command="annotate")
    assert (refused.code, refused.clear) == (2, True), refused.err
    assert "state.jsonl:5: is not a valid entry. Remove the line" in " ".join(refused.err.split())
    lines = state.read_bytes().splitlines(keepends=True)
    state.write_bytes(b"".join(lines[:4] + lines[5:]))
    again = bench.run(*bench.notes(), f"output={folder}", command="annotate")
    assert again.code == 0, again.err
    assert "3 documents annotated, 17 kept" in again.out
    ours = annotated(folder)
    lost = sum(ours.get(name) != content for name, content in whole.items())
    bench.note("annotate", "state.jsonl: a line garbled, zeros at the end", "stops with 2 and names the line, goes on", lost)


def spoil(file: Path, how: str) -> None:
    """Damage a file of weights."""
    content = file.read_bytes()
    kinds = {
        "cut in half": content[: len(content) // 2],
        "wrong bytes in the header": content[:8] + b"\xff" * 64 + content[72:],
        "zeros": b"\0" * len(content),
        "empty": b"",
    }
    file.write_bytes(kinds[how])


@pytest.mark.parametrize("how", ["cut in half", "wrong bytes in the header", "zeros", "empty"])
def test_damaged_weights_are_refused_with_their_folder(bench: Bench, tmp_path: Path, how: str) -> None:
    from clinspan.lms.classifiers.classifier import TokenClassifier
    from clinspan.lms.local.engine import TransformersEngine

    folders = [random_llama_family(tmp_path / "llama"), random_bert(tmp_path / "bert", head=True)]
    for folder in folders:
        spoil(folder / "model.safetensors", how)
    with pytest.raises(ModelError, match="llama cannot be loaded .* get them again"):
        TransformersEngine(LocalModel(name="x", path=str(folders[0])))
    with pytest.raises(ModelError, match="bert cannot be loaded as a token classifier .* get them again"):
        TokenClassifier(ClassifierModel(name="x", path=str(folders[1])))
    bench.note("weights", f"model.safetensors: {how}", "refused with the folder and what to do", 0)


class Vectors:
    """An embedder whose vectors depend only on the length of texts."""

    id = "lengths"

    def passages(self, texts: list[str], **_: Any) -> Any:
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    queries = passages


MANY = 1_100  # Chroma writes no segment for fewer than a thousand
INDEX: dict[str, Callable[[Path], object]] = {
    "its database cut in half": lambda folder: cut(folder / "chroma" / "chroma.sqlite3"),
    "its database empty of pages": lambda folder: (folder / "chroma" / "chroma.sqlite3").write_bytes(b"\0" * 8192),
    "a segment of it missing": lambda folder: [shutil.rmtree(path) for path in (folder / "chroma").iterdir() if path.is_dir()],
    "its manifest garbled": lambda folder: (folder / "manifest.json").write_text('{"embedder": '),
    "its manifest empty": lambda folder: (folder / "manifest.json").write_text(""),
    "a manifest of other counts": lambda folder: (folder / "manifest.json").write_text(
        json.dumps({**json.loads((folder / "manifest.json").read_text()), "chunks": MANY + 1})
    ),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("what", INDEX)
def test_a_damaged_index_is_refused_with_its_folder_and_built_again(bench: Bench, tmp_path: Path, what: str) -> None:
    from chromadb.api.shared_system_client import SharedSystemClient

    from clinspan.retrievers.chroma import ChromaIndex, Manifest
    from clinspan.retrievers.chunks import Chunk

    chunks = [Chunk("a", n, 0, n % 9 + 1, "x" * (n % 9 + 1)) for n in range(MANY)]
    manifest = Manifest("lengths", 64, 8, "content", MANY)

    def opened() -> str:
        SharedSystemClient.clear_system_cache()  # as in a new process
        wanted = Manifest("lengths", 64, 8, "content", MANY + 1) if what == "a manifest of other counts" else manifest
        embedder: Any = Vectors()
        return ChromaIndex(tmp_path / "index", embedder).open(chunks, wanted)

    ChromaIndex(tmp_path / "index", Vectors()).open(chunks, manifest)  # type: ignore[arg-type]
    INDEX[what](tmp_path / "index")
    with pytest.raises(InputError, match="the index is corrupt .* Delete the folder"):
        opened()
    if what != "a manifest of other counts":
        shutil.rmtree(tmp_path / "index")
        assert opened() == "built"
    bench.note("index", what, "refused with the folder, built again", 0)
