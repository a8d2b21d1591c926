"""Members and layer-wise learning rates of token classifiers, on tiny models with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clinspan.corpora import InputError, Sentence, Token
from clinspan.corpora.bio import bio_classes
from clinspan.lms import build_classifier, ClassifierModel, ModelError
from clinspan.lms.classifiers.token_classification import load_head
from clinspan.tuning import Encoder, LabelSupervised, tune_classifier
from clinspan.tuning.layer_rates import rate_groups
from support.recording_progress import Steps
from support.tiny_models import random_bert

LABELS = ("Sign", "Disease")
OPTIONS = Encoder(epochs=2, batch_size=2, learning_rate=0.01, patience=9)
TEXTS = ["no fever", "a rash of the liver", "Wilson disease is rare", "fever and rash", "the copper disease", "rash"]
TAGS = {"fever": "B-Sign", "rash": "B-Sign", "Wilson": "B-Disease"}


def sentence(number: int, text: str) -> Sentence:
    tokens = tuple(Token(word, 0, len(word)) for word in text.split())
    return Sentence(f"d:{number}", "d", tokens, tuple(TAGS.get(token.text, "O") for token in tokens))


ALONE = [sentence(n, text) for n, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ClassifierModel:
    return ClassifierModel(name="random-bert", path=str(random_bert(tmp_path_factory.mktemp("random-bert"))))


def tune(spec: ClassifierModel, options: Encoder, folder: Path, **more: Any) -> Any:
    how: Any = {"labels": LABELS, "folder": folder, "seed": 1} | more
    return tune_classifier(spec, how.pop("train", ALONE), how.pop("dev", ALONE[:3]), options, **how)


@pytest.fixture(scope="module")
def two(bert: ClassifierModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tune(bert, replace(OPTIONS, members=2), tmp_path_factory.mktemp("two"))


def readings(spec: ClassifierModel, sentences: list[Sentence], *, batch_size: int = 32) -> list[Any]:
    classifier = build_classifier(replace(spec, batch_size=batch_size))
    return [reading.log_probs for reading in classifier.classify([s.words for s in sentences])]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_batch_size_changes_nothing(two: Any, size: int) -> None:
    for one, other in zip(readings(two.model, ALONE), readings(two.model, ALONE, batch_size=size), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_members_are_trainings_with_consecutive_seeds_whose_probabilities_are_averaged(
    bert: ClassifierModel, two: Any, tmp_path: Path
) -> None:
    singles = [tune(bert, OPTIONS, tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    mean = [np.mean(np.exp(same), axis=0) for same in zip(*(readings(one.model, ALONE) for one in singles), strict=True)]
    for expected, found in zip(mean, readings(two.model, ALONE), strict=True):
        assert np.allclose(expected, np.exp(found), atol=1e-5)
    assert [epoch.member for epoch in two.epochs] == [1, 1, 2, 2]
    assert [epoch.dev_f1 for epoch in two.epochs] == [epoch.dev_f1 for one in singles for epoch in one.epochs]
    assert (two.steps, two.members_f1 is not None) == (12, True)
    assert sorted(path.name for path in two.folder.parent.iterdir()) == ["model"]
    assert json.loads((two.folder / "tuning.json").read_text())["members"] == 2


@pytest.mark.parametrize("stop", [3, 8], ids=["in the first member", "in the second"])
def test_interrupted_members_resume(bert: ClassifierModel, two: Any, tmp_path: Path, stop: int) -> None:
    options = replace(OPTIONS, members=2, checkpoint_minutes=1e-9)
    with pytest.raises(KeyboardInterrupt):
        tune(bert, options, tmp_path, progress=Steps(stop))
    steps = Steps()
    result = tune(bert, options, tmp_path, progress=steps)
    assert steps.told == list(range(stop, 13))
    assert [epoch.dev_f1 for epoch in result.epochs] == [epoch.dev_f1 for epoch in two.epochs]
    for one, other in zip(readings(result.model, ALONE), readings(two.model, ALONE), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_members_without_weights_or_for_further_training_are_refused(two: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be tuned further"):
        tune(two.model, OPTIONS, tmp_path)
    (two.folder / "member_2.safetensors").rename(tmp_path / "kept")
    try:
        with pytest.raises(ModelError, match="cannot be loaded with 2 members"):
            build_classifier(two.model)
    finally:
        (tmp_path / "kept").rename(two.folder / "member_2.safetensors")


def test_lower_layers_have_lower_learning_rates(bert: ClassifierModel, tmp_path: Path) -> None:
    model, _ = load_head(Path(str(bert.path)), "cpu", bio_classes(LABELS))
    depth = model.config.num_hidden_layers
    groups = rate_groups(model, 0.1, 0.5, weight_decay=0.01, decayed={"classifier.weight"})
    rates = {id(tensor): (group["lr"], group["weight_decay"]) for group in groups for tensor in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, tensor in model.named_parameters():
        level = 0 if "embeddings" in name else int(name.split(".layer.")[1].split(".")[0]) + 1 if ".layer." in name else depth
        assert rates[id(tensor)] == (pytest.approx(0.1 * 0.5 ** (depth - level)), 0.01 if name == "classifier.weight" else 0.0)
    plain, same, lower = (tune(bert, replace(OPTIONS, layer_decay=d), tmp_path / str(d)) for d in (None, 1.0, 0.1))
    weights = [load_head(result.folder, "cpu")[0].state_dict() for result in (plain, same, lower)]
    name = "bert.embeddings.word_embeddings.weight"
    start = load_head(Path(str(bert.path)), "cpu", bio_classes(LABELS))[0].state_dict()[name]
    moved = [float((found[name] - start).abs().mean()) for found in weights]
    assert moved[0] == pytest.approx(moved[1], rel=1e-3)
    assert moved[2] < moved[0] / 2
    with pytest.raises(ModelError, match="name no layers"):
        rate_groups(torch.nn.Linear(2, 2), 0.1, 0.5, weight_decay=0.0, decayed=())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 0}, "tuning.members=0 is too small"),
        ({"layer_decay": 0.0}, "tuning.layer_decay=0.0 is not above 0"),
        ({"layer_decay": 1.5}, "tuning.layer_decay=1.5 is not above 0 and at most 1"),
    ],
)
def test_bad_values_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Encoder(**settings)
    with pytest.raises(InputError, match="tuning.members=2 needs whole models. Set tuning.rank=null"):
        LabelSupervised(members=2)
