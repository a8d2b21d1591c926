"""Tests of names of a dictionary as features of phrases."""

from __future__ import annotations

import pytest

from clinspan.corpora import Label, Sentence, Token
from clinspan.corpora.words import Words
from clinspan.decisions.name_lookup import NameLookup
from clinspan.decisions.train_counts import WAYS
from clinspan.programs.formats import Phrases

NAMES = {"finding": ["Skin rash", "short stature"], "disease": ["Wilson disease", "X-linked gout", "..."]}


@pytest.mark.parametrize(
    ("tokens", "finding", "disease"),
    [
        (["skin", "rashs"], (1, 1, 1), (0, 0, 0)),
        (["SHORT", "rash"], (0, 1, 1), (0, 0, 0)),
        (["X", "-", "linked", "Gout"], (0, 0, 0), (1, 1, 1)),
        (["severe", "gout"], (0, 0, 0), (0, 1, 0)),
        (["."], (0, 0, 0), (0, 0, 0)),
    ],
)
def test_features_by_kind(tokens: list[str], finding: tuple[int, ...], disease: tuple[int, ...]) -> None:
    features = NameLookup(NAMES).features(tokens)
    for kind, expected in (("finding", finding), ("disease", disease)):
        assert tuple(int(features[f"{part}:{kind}"]) for part in ("name", "name last", "name words")) == expected


def test_no_feature_has_the_name_of_another_one() -> None:
    labels, words = (Label("1"), Label("Sign")), Words(["rash"])
    train = [Sentence("d:0", "d", (Token("rash", 0, 4),), ("B-Sign",))]
    kinds = {kind: ["rash"] for kind in ("1", "Sign")}
    form = Phrases(labels=labels, train_counts=True, counted=train, dictionary="hpo", looked_up=kinds)
    (phrase,) = form.scored("rash : 1 -2.0, Sign -2.0, None -0.3 | -3.0 -1.0 -1.0", words)
    assert len(phrase.features()) == 3 + 4 + 3 + len(WAYS) * 2 + 3 * 2


def test_the_digest_is_that_of_the_names_as_they_are_compared() -> None:
    assert NameLookup({"a": ["Rash", "fever"]}).digest == NameLookup({"a": ["fever", "rash"]}).digest
    assert len({NameLookup(names).digest for names in ({"a": ["rash"]}, {"b": ["rash"]}, {"a": ["rash", "gout"]})}) == 3


def test_the_format_gives_decisions_the_names() -> None:
    form = Phrases(labels=(Label("Sign"),), dictionary="hpo", looked_up=NAMES)
    text = "Skin rash : Sign -2.0, None -0.3 | -3.0 -1.0 -1.0\nrash : Sign -2.0, None -0.3 | -3.0 -1.0 -1.0"
    whole, last = form.scored(text, Words(["Skin", "rash", "."]))
    assert (whole.features()["name:finding"], last.features()["name:finding"], last.features()["name last:finding"]) == (1, 0, 1)
    weights = {"Sign": {"name:finding": 5.0}, "None": {"bias": 1.0}}
    decided = Phrases(
        labels=(Label("Sign"),), dictionary="hpo", looked_up=NAMES, decisions={"weights": weights, "offsets": {"Sign": 0.0}}
    )
    assert decided.read({"": text}, Words(["Skin", "rash", "."])).tags == ["B-Sign", "I-Sign", "O"]
