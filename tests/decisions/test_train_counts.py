"""Tests of how often a train split annotates phrases like a phrase."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from clinspan.corpora import InputError, Label, Sentence, Token
from clinspan.corpora.words import Words
from clinspan.decisions.train_counts import TrainCounts, WAYS
from clinspan.programs.formats import Phrases

LABELS = ("Sign", "Disease")


def sentence(text: str, document: str, *spans: tuple[int, int, str]) -> Sentence:
    words, tags = text.split(), ["O"] * len(text.split())
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    tokens = tuple(Token(word, n * 20, n * 20 + len(word)) for n, word in enumerate(words))
    return Sentence(f"{document}:{text}", document, tokens, tuple(tags))


TRAIN = [
    sentence("He has Wilson disease .", "a", (2, 4, "Disease")),
    sentence("She has Crohn disease .", "b", (2, 4, "Disease")),
    sentence("A rash was seen .", "b", (1, 2, "Sign")),
    sentence("No rash .", "c"),
]
COUNTS = TrainCounts(TRAIN, LABELS, 6)


def ratio(labelled: int, like: int, label: str, counts: TrainCounts = COUNTS) -> float:
    share = counts._shares[label]
    return math.log((labelled + 2 * share) / (like + 2) / share)


def test_phrases_are_alike_by_their_words_and_those_around_them() -> None:
    rates = COUNTS.rates(["who", "has", "gaucher", "disease", "?"], (2, 4))
    assert set(rates) == {f"{way}:{label}" for way in WAYS for label in LABELS}
    assert rates["same:Disease"] == rates["first:Disease"] == rates["behind:Disease"] == 0  # train has no such phrase
    assert rates["last:Disease"] == ratio(2, 4, "Disease") > 0.5  # `Crohn disease`, `disease`, and those of Wilson
    assert rates["before:Disease"] == ratio(2, 4, "Disease")  # behind `has`: `Wilson`, `Wilson disease`, ...
    assert rates["two before:Disease"] == 0 and rates["last:Sign"] == ratio(0, 4, "Sign") < 0
    again = COUNTS.rates(["rash"], (0, 1))
    assert again["same:Sign"] == ratio(1, 2, "Sign") and again["before:Sign"] == again["two before:Sign"] == 0


def test_a_documents_own_phrases_can_be_left_out() -> None:
    words = [word.casefold() for word in TRAIN[1].words]
    assert COUNTS.rates(words, (2, 4), {"b"})["same:Disease"] == 0
    assert COUNTS.rates(words, (2, 4), {"b"})["last:Disease"] == ratio(1, 2, "Disease")
    assert COUNTS.rates(["rash"], (0, 1), {"b"})["same:Sign"] == ratio(0, 1, "Sign")
    for without in ((), {"elsewhere"}):
        assert COUNTS.rates(words, (2, 4), without)["same:Disease"] == ratio(1, 1, "Disease")
    without = TrainCounts([one for one in TRAIN if one.document != "b"], LABELS, 6)
    without._shares.update(COUNTS._shares)
    for span in [(2, 4), (2, 3), (0, 1)]:
        assert COUNTS.rates(words, span, {"b"}) == without.rates(words, span)


def test_mentions_that_are_no_candidate_count_too() -> None:
    counts = TrainCounts([sentence("loss of , and blood", "a", (0, 5, "Sign"))], LABELS, 6)
    assert counts.rates(["loss", "of", ",", "and", "blood"], (0, 5))["same:Sign"] > 0


def test_candidates_of_train_are_those_of_prompts_where_tokens_stand_within_words() -> None:
    tokens = tuple(Token(word, start, start + len(word)) for word, start in (("X", 0), ("-", 1), ("linked", 2), ("gout", 9)))
    within = Sentence("a:0", "a", tokens, ("B-Sign", "I-Sign", "I-Sign", "I-Sign"), spaced=False)
    counts = TrainCounts([within], LABELS, 6)
    assert counts._all[("same", None)][("x", "-", "linked")] == 1  # a mark between two blanks would end a phrase


def form(**options: Any) -> Phrases:
    return Phrases(labels=tuple(Label(name) for name in LABELS), **options)


def test_the_format_gives_decisions_the_counts() -> None:
    text = "rash : Sign -2.0, Disease -2.0, None -0.3 | -3.0 -1.0 -1.0"
    words = Words(["No", "rash", "."])
    assert form().scored(text, words)[0].further == {}
    (phrase,) = form(train_counts=True, counted=TRAIN).scored(text.replace("rash", "Rash"), Words(["No", "Rash", "."]))
    assert phrase.further["same:Sign"] == pytest.approx(ratio(1, 2, "Sign")) == phrase.features()["same:Sign"]
    weights = {"Sign": {"same:Sign": 5.0}, "Disease": {}, "None": {"bias": 1.0}}
    decided = form(train_counts=True, counted=TRAIN, decisions={"weights": weights, "offsets": {"Sign": 0.0}}).read(
        {"": text}, words
    )
    assert decided.tags == ["O", "B-Sign", "O"]


def test_the_digest_is_that_of_the_words_and_tags() -> None:
    other = [*TRAIN[:3], sentence("No rash .", "c", (1, 2, "Sign"))]
    assert TrainCounts(TRAIN, LABELS, 6).digest == COUNTS.digest != TrainCounts(other, LABELS, 6).digest


def test_counts_need_a_train_split() -> None:
    with pytest.raises(
        InputError, match="format.train_counts=true counts the phrases of a train split, and the corpus has none. Use"
    ):
        form(train_counts=True)


MANY = [sentence(f"He has Wilson disease {n} .", f"a{n}", (2, 4, "Disease")) for n in range(9)]
MANY += [sentence(f"Report {n} says rash today .", f"b{n}", (3, 4, "Sign")) for n in range(9)]


def test_phrases_that_train_never_annotates_are_not_asked_about() -> None:
    words = Words("He has Wilson disease Report says rash . unheard".split())
    asked = form(train_counts=True, counted=MANY, prune_below=-1.0).choices(words)
    everything = form(train_counts=True, counted=MANY).choices(words)
    assert asked is not None and everything is not None
    assert set(asked["stems"]) < set(everything["stems"])
    assert {"Wilson disease :", "rash :", "unheard :"} <= set(asked["stems"]), "mentions, and what train does not know"
    assert not {"says :", "Report says :"} & set(asked["stems"])
    with pytest.raises(InputError, match=r"format.prune_below leaves out phrases by counts.+Add format.train_counts=true"):
        form(counted=MANY, prune_below=-1.0)
    lost = form(train_counts=True, counted=MANY, prune_below=99.0)
    assert lost.choices(words) is None
    named = form(train_counts=True, counted=MANY, prune_below=99.0, dictionary="hpo", looked_up={"finding": ["Reports"]})
    assert (named.choices(words) or {})["stems"] == ["Report :"], "names are asked about"


def test_a_sentence_of_train_has_no_support_by_its_own_document() -> None:
    own = MANY[0]
    alone = TrainCounts([own, *MANY[9:]], LABELS)
    assert alone.supports(own.words, [(2, 4)])[0] < alone.supports([*own.words, "again"], [(2, 4)])[0]
    assert alone.supports(own.words, [(2, 4)])[0] == pytest.approx(0, abs=0.5)
    repeated = TrainCounts([own, *MANY[9:], replace(own, document="z"), sentence("No rash .", "z")], LABELS)
    assert repeated.supports(own.words, [(2, 4)])[0] == pytest.approx(0, abs=0.5), "each document that has the sentence is left out"
