"""Training of token classifiers with a layer of tags for each label, on tiny models with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clinspan.corpora import FullMention, InputError, Sentence, Token
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.full_mentions import flat_tags
from clinspan.corpora.tag_layers import layer_classes, TagLayers
from clinspan.lms import build_classifier, ClassifierModel
from clinspan.lms.classifiers.subwords import SubwordEncoder
from clinspan.lms.classifiers.token_classification import load_head
from clinspan.lms.weights.find import own_classes
from clinspan.programs.inference.token_classifier import ClassifierTagger
from clinspan.tuning import Encoder, tune_classifier
from clinspan.tuning.classifier_trainer import word_loss
from clinspan.tuning.examples import build_examples, collate
from support.tiny_models import random_bert

LABELS = ("Sign", "Organ")
OPTIONS = Encoder(epochs=5, batch_size=2, learning_rate=0.01, patience=9, mentions="full")


def sentence(number: int, text: str) -> Sentence:
    """`liver` is an organ; the word before `rash`, if any, and `rash` are a sign."""
    words = text.split()
    tokens, start = [], 0
    for word in words:
        tokens.append(Token(word, start, start + len(word)))
        start += len(word) + 1
    full = [FullMention("Organ", ((n, n + 1),)) for n, word in enumerate(words) if word == "liver"]
    full += [FullMention("Sign", ((max(0, n - 1), n + 1),)) for n, word in enumerate(words) if word == "rash"]
    return Sentence(f"d:{number}", "d", tuple(tokens), tuple(flat_tags(full, len(words), LABELS)), full=tuple(full))


TEXTS = ["liver rash", "no liver", "a liver rash", "the liver", "copper rash", "liver rash and copper", "no copper", "liver"] * 2
TRAIN = [sentence(n, text) for n, text in enumerate(TEXTS)]
DEV = [sentence(90 + n, text) for n, text in enumerate(["the liver rash", "no liver and copper rash", "copper"])]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ClassifierModel:
    return ClassifierModel(name="random-bert", path=str(random_bert(tmp_path_factory.mktemp("random-bert"))))


def tune(bert: ClassifierModel, folder: Path, **changes: Any) -> Any:
    return tune_classifier(bert, TRAIN, DEV, replace(OPTIONS, **changes), labels=LABELS, folder=folder, seed=1)


@pytest.mark.parametrize("members", [1, 2])
def test_nested_mentions_are_learned_and_tagged(bert: ClassifierModel, tmp_path: Path, members: int) -> None:
    full = tune(bert, tmp_path / "full", members=members)
    best = full.members_f1 if members > 1 else max(epoch.dev_f1 for epoch in full.epochs)
    assert best == 1.0  # tags have three of the four mentions at most
    classifier = build_classifier(full.model)
    assert classifier.classes == layer_classes(LABELS)
    (reading,) = classifier.classify([DEV[0].words])
    assert np.allclose(np.exp(reading.log_probs).reshape(-1, 2, 3).sum(-1), 1, atol=1e-5)
    rows = {one.id: row for one, row in ClassifierTagger(classifier, 4).tag_all(DEV)}
    row = rows[DEV[0].id]
    assert [(one["label"], one["fragments"]) for one in row["pred_mentions"]] == [("Organ", [[1, 2]]), ("Sign", [[1, 3]])]
    assert row["pred"] == ["O", "B-Sign", "I-Sign"] and row["gold_mentions"] == [one.record() for one in DEV[0].full or ()]
    assert row["confidence"][1] == row["confidence"][2] == row["pred_mentions"][1]["confidence"] > 0.5
    assert all(0 <= value <= 1 for value in row["confidence"]) and rows[DEV[2].id]["pred_mentions"] == []


def test_at_first_tags_are_as_likely_as_in_train_and_a_trained_head_keeps_its_bias(bert: ClassifierModel, tmp_path: Path) -> None:
    still = {"learning_rate": 1e-9, "epochs": 1, "weight_decay": 0.0}
    first = tune(bert, tmp_path / "first", **still)
    (reading,) = build_classifier(first.model).classify([DEV[0].words])
    rows = [row for sentence in TRAIN for row in TagLayers.of(layer_classes(LABELS)).targets(sentence)]
    shares = [(1 + sum(row[layer] == tag for row in rows)) / (len(rows) + 3) for layer in range(2) for tag in range(3)]
    assert np.allclose(np.exp(reading.log_probs).mean(0), shares, atol=0.05)
    assert own_classes(Path(str(first.model.path))) == layer_classes(LABELS) and own_classes(Path(str(bert.path))) == ()
    again = tune(first.model, tmp_path / "again", **still)
    (same,) = build_classifier(again.model).classify([DEV[0].words])
    assert np.allclose(reading.log_probs, same.log_probs, atol=1e-4)
    flat = tune(bert, tmp_path / "flat", mentions="flat", **still)
    other = tune(flat.model, tmp_path / "other", **still)  # its head is new too
    (begun,) = build_classifier(other.model).classify([DEV[0].words])
    assert np.allclose(np.exp(begun.log_probs).mean(0), shares, atol=0.05)


def test_the_loss_of_a_batch_is_that_of_its_sentences_and_of_their_layers(bert: ClassifierModel) -> None:
    layers = TagLayers.of(layer_classes(LABELS))
    model, tokenizer = load_head(Path(str(bert.path)), "cpu", layer_classes(LABELS))
    examples = build_examples(DEV, SubwordEncoder(tokenizer, window=16), layers)
    with torch.no_grad():
        together = word_loss(model, collate(examples, filler=0))
        separate = sum(word_loss(model, collate([example], filler=0)) for example in examples)
    assert float(together) == pytest.approx(float(separate), rel=1e-5)
    assert len(collate(examples, filler=0)["labels"]) == 2 * sum(len(one.tokens) for one in DEV)


def test_flat_tags_are_the_default_and_other_words_are_refused(bert: ClassifierModel, tmp_path: Path) -> None:
    flat = tune(bert, tmp_path, mentions=None, epochs=1)
    assert build_classifier(flat.model).classes == bio_classes(LABELS)
    with pytest.raises(InputError, match=r"tuning.mentions=nested is not known. Use flat or full"):
        Encoder(mentions="nested")  # type: ignore[arg-type]
