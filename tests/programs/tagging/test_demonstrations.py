"""Tests of fixed demonstrations: drawn at random, drawn to cover the labels, or named by the user."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, strategies

from clinspan.corpora import Corpus, InputError, Label, Sentence, Token
from clinspan.corpora.build import document_of_words
from clinspan.corpora.sources import RareMini
from clinspan.programs.building.build_demonstrations import build_demonstrations
from clinspan.programs.config.composition import compose
from clinspan.programs.tagging.demonstrations import demonstrations_by_id, draw_covering, what_they_show
from clinspan.programs.tagging.strategy import Strategy
from support.scripted_models import NAMES

LABELS = ["A", "B", "C", "D"]
FEW_SHOT = {"demonstrations": "fixed"}
PINNED = [
    "Kearns-Sayre-Syndrome:4",
    "Xeroderma-Pigmentosum:5",
    "Friedreich-Ataxia:5",
    "Neuromyelitis-Optica:6",
    "Systemic-Sclerosis:2",
]
"""The demonstrations of the default run on raremini."""


def sentence(number: int, labels: str) -> Sentence:
    """A sentence with one mention of each label, and a word without an entity."""
    tokens = tuple(Token("x", n, n + 1) for n in range(len(labels) + 1))
    return Sentence(f"d:{number}", "d", tokens, (*(f"B-{label}" for label in labels), "O"))


def pool_of(*labels: str) -> list[Sentence]:
    return [sentence(number, text) for number, text in enumerate(labels)]


def labels_of(demos: list[dict[str, Any]]) -> list[set[str]]:
    return [{tag[2:] for tag in demo["tags"] if tag != "O"} for demo in demos]


pools = strategies.lists(strategies.sets(strategies.sampled_from(LABELS)).map(lambda found: "".join(sorted(found))), min_size=1)


@given(pools, strategies.integers(1, 6), strategies.integers(0, 3))
def test_all_labels_are_covered_if_there_are_as_many_demonstrations(texts: list[str], k: int, seed: int) -> None:
    pool = pool_of(*texts)
    k = min(k, len(pool))
    demos = draw_covering(pool, LABELS, k, seed)
    shown = labels_of(demos)
    assert len(demos) == k == len({demo["id"] for demo in demos})
    assert demos == draw_covering(pool, LABELS, k, seed)
    occurring = set().union(*texts)
    if k >= len(occurring):
        assert set().union(*shown) == occurring
    empty = sum(not found for found in shown)
    assert empty <= max(1, k - (len(pool) - texts.count("")))


def test_with_fewer_demonstrations_than_labels_the_richest_sentences_are_shown() -> None:
    demos = draw_covering(pool_of("A", "B", "C", "ABC", "D", "", ""), LABELS, 2, seed=0)
    assert set().union(*labels_of(demos)) == set(LABELS)


def test_another_seed_draws_others() -> None:
    pool = pool_of(*(["A", "B", "C", "D", ""] * 8))
    assert len({tuple(demo["id"] for demo in draw_covering(pool, LABELS, 5, seed)) for seed in range(8)}) > 4


def drawn(*words: str) -> list[str]:
    config, _, _ = compose("run", words)
    corpus = RareMini(labels=NAMES, definitions={}).load()
    strategy = Strategy(**{key: value for key, value in config.strategy.items() if key != "_target_"})
    return [str(demo["id"]) for demo in build_demonstrations(config, strategy, corpus)]


def test_the_draw_for_the_papers_corpora_is_the_plain_random_one() -> None:
    train = list(RareMini(labels=NAMES, definitions={}).load().sentences("train"))
    plain = [s.id for s in random.Random(3).sample(train, 5)]
    assert drawn() == plain == drawn("corpus=raredis", "corpus.path=x") == drawn("corpus=brat", "strategy.draw=random")
    assert plain == PINNED
    covering = drawn("strategy.draw=covering")
    assert covering == drawn("corpus=brat") and covering != plain


def corpus() -> Corpus:
    def document(name: str) -> Any:
        return document_of_words(name, [["fever"], ["a", "rash"]], [["B-A"], ["O", "B-A"]])

    return Corpus("c", {"train": (document("note7"),), "dev": (document("dev1"),), "test": (document("secret"),)}, (Label("A"),))


def test_ids_give_train_sentences_in_their_order() -> None:
    assert [demo["tokens"] for demo in demonstrations_by_id(corpus(), ["note7:1", "note7:0"])] == [["a", "rash"], ["fever"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("secret:0", "strategy.ids has secret:0, a sentence of the test split of c. Name sentences of the train split"),
        ("dev1:0", "strategy.ids has dev1:0, a sentence of the dev split of c"),
        ("note7:9", "the train split of c has no sentence note7:9, which strategy.ids names. The nearest id is note7:"),
    ],
)
def test_other_ids_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        demonstrations_by_id(corpus(), ["note7:0", name])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({**FEW_SHOT, "examples": "x", "ids": ["a:0"]}, "strategy.examples and strategy.ids are both set"),
        ({"demonstrations": "nearest", "ids": ["a:0"]}, "strategy.ids gives fixed demonstrations, and this strategy has none"),
        ({"demonstrations": "none", "examples": "x"}, "strategy.examples gives fixed demonstrations"),
        ({**FEW_SHOT, "ids": []}, "strategy.ids names no sentence"),
        ({**FEW_SHOT, "ids": ["a:0", "b:0", "a:0"]}, "strategy.ids has a:0 twice"),
        ({**FEW_SHOT, "draw": "all"}, "strategy.draw=all is not known. Use one of auto, random, covering"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Strategy(**keys)
    assert message in str(caught.value)


def test_one_line_says_what_demonstrations_show() -> None:
    demos = [{"tags": ["B-A", "I-A", "B-A"]}, {"tags": ["B-B"]}, {"tags": ["O"]}]
    line = "demonstrations: 3 sentences; shown: A 2, B 1; not shown: C; 1 without an entity"
    assert what_they_show(demos, ["A", "B", "C"]) == line
    assert what_they_show(demos[1:2], ["B"]) == "demonstrations: 1 sentence; shown: B 1"
