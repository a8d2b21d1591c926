"""Decisions that training fits on dev and keeps beside the weights, on tiny models with random weights."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError, Sentence, Token
from clinspan.lms import build_classifier, ClassifierModel
from clinspan.programs.inference.token_classifier import ClassifierTagger
from clinspan.tuning import Encoder, tune_classifier
from support.tiny_models import random_bert

LABELS = ("Sign", "Disease")
TAGS = {"fever": "B-Sign", "rash": "B-Sign", "Wilson": "B-Disease"}
TEXTS = ["no fever", "a rash of the liver", "Wilson is rare", "fever and rash", "the copper", "rash"]
UNTRAINED = Encoder(epochs=1, batch_size=6, learning_rate=1e-5)
"""Hardly trained, so that the most probable tags are bad."""


def sentence(number: int, split: str) -> Sentence:
    tokens = tuple(Token(word, 0, len(word)) for word in TEXTS[number % 6].split())
    document = f"{split}{number // 3}"
    return Sentence(f"{document}:{number % 3}", document, tokens, tuple(TAGS.get(token.text, "O") for token in tokens))


TRAIN, DEV = [sentence(n, "t") for n in range(24)], [sentence(n, "d") for n in range(660)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ClassifierModel:
    return ClassifierModel(name="random-bert", path=str(random_bert(tmp_path_factory.mktemp("random-bert"))))


def tune(bert: ClassifierModel, folder: Path, **options: Any) -> Any:
    return tune_classifier(bert, TRAIN, DEV, replace(UNTRAINED, **options), labels=LABELS, folder=folder, seed=1)


@pytest.fixture(scope="module")
def counted(bert: ClassifierModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tune(bert, tmp_path_factory.mktemp("counted"), decisions="counted")


def note_of(result: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((result.folder / "tuning.json").read_text())
    return content


def test_counts_of_train_choose_what_the_tags_do_not_know(counted: Any) -> None:
    note = note_of(counted)
    assert counted.decisions_f1.keys() == {"tags", "offsets", "regression", "regression with counts of train"}
    assert max(counted.decisions_f1, key=counted.decisions_f1.get) == "regression with counts of train"
    assert note["counted"]["sentences"] == len(TRAIN)
    assert "fever" not in json.dumps(note), "no word of train"
    tagger = ClassifierTagger(build_classifier(counted.model), 4, [*TRAIN, sentence(0, "more")])
    records = {record["id"]: record for _, record in tagger.tag_all(DEV)}
    right = sum(records[one.id]["pred"] == list(one.tags) for one in DEV)
    assert right > len(DEV) * 0.8
    assert all(0 <= value <= 1 for record in records.values() for value in record["confidence"])


@pytest.mark.parametrize("train", [[], TRAIN[:-1], [*TRAIN[:-1], sentence(0, "other")]])
def test_counts_of_another_train_split_are_refused(counted: Any, train: list[Sentence]) -> None:
    with pytest.raises(InputError, match=r"is another train split.+Use the corpus= settings of its training"):
        ClassifierTagger(build_classifier(counted.model), 4, train)


def test_without_counts_the_train_split_is_not_needed(bert: ClassifierModel, tmp_path: Path) -> None:
    result = tune(bert, tmp_path)
    note = note_of(result)
    assert result.decisions_f1.keys() == {"tags", "offsets", "regression"}
    assert result.decisions_f1["tags"] < max(result.decisions_f1.values())
    assert (note["counted"], note["decisions"] is None) == (None, False)
    assert all(record["error"] is None for _, record in ClassifierTagger(build_classifier(result.model), 4).tag_all(DEV))


@pytest.mark.parametrize("more", [{"decisions": "tags"}, {"mentions": "full"}])
def test_tags_alone_and_layers_have_no_decisions(bert: ClassifierModel, tmp_path: Path, more: dict[str, Any]) -> None:
    result = tune(bert, tmp_path, **more)
    assert (result.decisions_f1, note_of(result)["decisions"]) == (None, None)


def test_members_are_decided_together(bert: ClassifierModel, tmp_path: Path) -> None:
    result = tune(bert, tmp_path, members=2)
    note = note_of(result)
    assert (note["members"], note["decisions"] is None) == (2, False)
    assert result.decisions_f1["tags"] == pytest.approx(result.members_f1)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"counted": [1]}, "tuning.json beside the weights has an entry counted that cannot be read"),
        ({"counted": {"sentences": "24"}}, "has an entry counted that cannot be read"),
        ({"decisions": {"offsets": {"Ghost": 1.0}}}, "Ghost, which is not a label"),
        ({"decisions": [1]}, "the entry decisions of tuning.json beside the weights is not a mapping. Train the model again."),
        ({"decisions": {"offsets": {"Sign": "1"}}}, "offsets.Sign is not a number"),
        ({"decisions": {"length": 10**400}}, "length is not a number from -1,000,000 to 1,000,000"),
        ({"decisions": {"slope": float("nan")}}, "slope is not a number"),
    ],
)
def test_a_note_that_cannot_be_read_is_refused(counted: Any, entry: dict[str, Any], message: str) -> None:
    classifier = build_classifier(counted.model)
    classifier.note = {**classifier.note, **entry}
    with pytest.raises(InputError, match=re.escape(message)):
        ClassifierTagger(classifier, 4, TRAIN)


def test_the_largest_numbers_of_a_note_give_tags(counted: Any) -> None:
    classifier = build_classifier(counted.model)
    weights = {"Sign": {"bias": 1e6, "type:Sign": -1e6}, "None": {"bias": -1e6}}
    decisions = {"weights": weights, "slope": -1e6, "intercept": 1e6, "offsets": {"Disease": 1e6}, "length": -1e6}
    classifier.note = {**classifier.note, "counted": None, "decisions": decisions, "confidence": {"slope": 1e300}}
    records = [record for _, record in ClassifierTagger(classifier, 4).tag_all(DEV[:6])]
    assert all(0 <= value <= 1 for record in records for value in record["confidence"])


@pytest.mark.parametrize("labels", [("None", "Sign"), ("None",)])
def test_a_label_called_none_has_no_decisions(bert: ClassifierModel, tmp_path: Path, labels: tuple[str, ...]) -> None:
    called = {"B-Disease": "B-None"}
    named = [replace(one, tags=tuple(called.get(tag, tag) for tag in one.tags)) for one in [*TRAIN, *DEV]]
    sentences = [one for one in named if {tag[2:] for tag in one.tags} - {""} <= {*labels}]
    train, dev = sentences[:20], sentences[20:]
    result = tune_classifier(bert, train, dev, UNTRAINED, labels=labels, folder=tmp_path, seed=1)
    assert (result.decisions_f1, note_of(result)["decisions"]) == (None, None)
    classifier = build_classifier(result.model)
    classifier.note = {**classifier.note, "decisions": {"length": 1.0}}
    with pytest.raises(InputError, match="which a head like this one cannot have. Train the model again"):
        ClassifierTagger(classifier, 4)


def test_decisions_beside_layers_are_refused(bert: ClassifierModel, tmp_path: Path) -> None:
    result = tune(bert, tmp_path, mentions="full")
    classifier = build_classifier(result.model)
    classifier.note = {**classifier.note, "decisions": {"length": 1.0}}
    with pytest.raises(InputError, match="which a head like this one cannot have"):
        ClassifierTagger(classifier, 4)
    with pytest.raises(InputError, match=r"counted chooses among tags of one layer.+or set tuning.mentions=flat"):
        tune(bert, tmp_path, mentions="full", decisions="counted")


def test_a_kind_of_decisions_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match=r"tuning.decisions=all is not known. Use one of tags, fitted, counted"):
        Encoder(decisions="all")  # type: ignore[arg-type]
