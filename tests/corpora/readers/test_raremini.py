"""The bundled corpus against its own guidelines: offsets, boundaries, splits, proportions, the articles."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from clinspan.corpora import Corpus
from clinspan.corpora.readers.brat import load_pair
from clinspan.corpora.sources import ARTICLES, RAREMINI, RareMini
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.retrievers.knowledge import load_knowledge
from clinspan.retrievers.leaks import find_leaks

NAMES = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
FILES = sorted(RAREMINI.glob("*/*.txt"))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return RareMini(labels=NAMES, definitions={}).load()


def test_it_is_large_enough_and_divided_60_15_25(corpus: Corpus) -> None:
    documents = {split: len(rows) for split, rows in corpus.splits.items()}
    total = sum(documents.values())
    assert total >= 100
    assert sum(len(list(corpus.sentences(split))) for split in corpus.splits) >= 600
    for split, share in (("train", 0.60), ("dev", 0.15), ("test", 0.25)):
        assert abs(documents[split] / total - share) < 0.02


def test_types_have_roughly_the_papers_proportions(corpus: Corpus) -> None:
    counts = Counter(tag[2:] for split in corpus.splits for s in corpus.sentences(split) for tag in s.tags if tag[0] == "B")
    paper = {"Disease": 1907, "RareDisease": 4461, "SkinRareDisease": 627, "Sign": 4824, "Symptom": 386}
    assert min(counts.values()) >= 40
    for label, n in paper.items():
        assert abs(counts[label] / counts.total() - n / sum(paper.values())) < 0.05


def test_the_conversion_changed_nothing(corpus: Corpus) -> None:
    assert not any(corpus.conversion.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mention_matches_its_offsets_and_the_boundary_rules(path: object) -> None:
    text, annotations, acts = load_pair(path)  # type: ignore[arg-type]
    tokens = punctuation_tokens(text)
    starts, ends = {t.start for t in tokens}, {t.end for t in tokens}
    assert annotations
    assert not acts
    for annotation in annotations:
        entity = annotation.entity
        assert entity.continuous
        assert entity.label in NAMES
        assert text[entity.start : entity.end] == annotation.mention
        assert entity.start in starts
        assert entity.end in ends
        assert not re.match(r"(the|a|an|his|her|their|this|these|severe|mild)\b", annotation.mention, re.IGNORECASE)
        assert not annotation.mention.endswith((".", ",", ";", ":"))
    spans = sorted(a.entity.fragments[0] for a in annotations)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))


def test_no_title_disease_is_in_two_splits() -> None:
    titles = Counter(path.stem.lower() for path in FILES)
    assert max(titles.values()) == 1


def test_no_sentence_occurs_twice(corpus: Corpus) -> None:
    sentences = Counter(s.words for split in corpus.splits for s in corpus.sentences(split))
    assert max(sentences.values()) == 1


def test_the_articles_are_many_and_of_the_stated_length() -> None:
    articles = sorted(ARTICLES.glob("*.md"))
    assert len(articles) >= 80
    for path in articles:
        assert 150 <= len(path.read_text(encoding="utf-8").split()) <= 400, path.name


def test_no_test_sentence_occurs_in_the_articles(corpus: Corpus) -> None:
    assert find_leaks(corpus.sentences("test"), load_knowledge("bundled")) == []
