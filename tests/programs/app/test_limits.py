"""Tests of the part of a split that a run takes: the first or random sentences, whole documents, in corpus order."""

from __future__ import annotations

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.building.chosen_sentences import choose_sentences
from clinspan.programs.config.composition import compose


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return RareMini(labels=["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"], definitions={}).load()


def test_first_sentences_and_documents(corpus: Corpus) -> None:
    every = list(corpus.sentences("test"))
    assert choose_sentences(corpus, "test", 3)[0] == every[:3]
    part, ids = choose_sentences(corpus, "test", None, documents=2)
    assert list(dict.fromkeys(s.document for s in part)) == list(dict.fromkeys(s.document for s in every))[:2]
    assert [s for s in every if s.document in {s.document for s in part}] == part
    assert ids == [s.id for s in every]
    assert choose_sentences(corpus, "test", 4, documents=2)[0] == part[:4]


def test_a_random_part_is_the_same_for_a_seed_and_in_corpus_order(corpus: Corpus) -> None:
    every = list(corpus.sentences("test"))

    def part(seed: int, limit: int | None = None, documents: int | None = None) -> list[str]:
        chosen, _ = choose_sentences(corpus, "test", limit, documents=documents, sample="random", seed=seed)
        return [sentence.id for sentence in chosen]

    assert part(1, limit=10) == part(1, limit=10) != part(2, limit=10)
    order = [s.id for s in every]
    assert part(1, limit=10) == sorted(part(1, limit=10), key=order.index) and len(part(1, limit=10)) == 10
    assert part(1, limit=10) != order[:10]
    whole = part(1, documents=3)
    assert len({name.rpartition(":")[0] for name in whole}) == 3
    assert whole == [name for name in order if name.rpartition(":")[0] in {one.rpartition(":")[0] for one in whole}]
    assert part(1, limit=10**6) == order


def test_an_unknown_way_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="sample=last is not known. Use first or random"):
        choose_sentences(corpus, "test", 3, sample="last")


def test_the_keys_are_settings_of_a_run() -> None:
    config, _, _ = compose("run", ["limit_documents=2", "sample=random"])
    assert (config.limit_documents, config.sample) == (2, "random")
