"""Token classifiers that average several trainings, on tiny models with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clinspan.corpora import InputError, Sentence, Token
from clinspan.lms import build_classifier, ClassifierModel, ModelError
from clinspan.tuning import Encoder, LabelSupervised, tune_classifier
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


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="tuning.members=0 is too small"):
        Encoder(members=0)
    with pytest.raises(InputError, match="tuning.members=2 needs whole models. Set tuning.rank=null"):
        LabelSupervised(members=2)
