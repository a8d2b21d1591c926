"""Training of token classifiers on tiny models with random weights: learning, saved files, interruptions, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clinspan.corpora import InputError, Sentence, Token
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.tag_layers import TagLayers
from clinspan.corpora.viterbi import Lattice
from clinspan.lms import build_classifier, ClassifierModel, LocalModel, ModelError
from clinspan.lms.classifiers.subwords import SubwordEncoder
from clinspan.lms.classifiers.token_classification import load_head
from clinspan.lms.weights.find import find_weights
from clinspan.metrics import count_sentence, Counts
from clinspan.tuning import Encoder, LabelSupervised, tune_classifier
from clinspan.tuning.classifier_trainer import word_loss
from clinspan.tuning.examples import build_examples, collate, LengthSampler
from support.recording_progress import Steps
from support.tiny_models import random_bert, random_llama

LABELS = ("Sign", "Disease")
OPTIONS = Encoder(epochs=4, batch_size=2, learning_rate=0.01, patience=9)
TEXTS = [
    "no fever", "a rash of the liver", "Wilson disease is rare", "fever and rash", "the copper disease", "with rash",
    "Wilson disease with fever", "a rare disorder", "no rash and no fever", "Wilson disease",
]  # fmt: skip
TAGS = {"fever": "B-Sign", "rash": "B-Sign", "Wilson": "B-Disease", "disease": "I-Disease"}


def sentence(number: int, text: str) -> Sentence:
    tokens, tags, start = [], [], 0
    for word in text.split():
        tokens.append(Token(word, start, start + len(word)))
        tag = TAGS.get(word, "O")
        tags.append("B-Disease" if tag == "I-Disease" and (not tags or tags[-1] != "B-Disease") else tag)
        start += len(word) + 1
    return Sentence(f"d:{number}", "d", tuple(tokens), tuple(tags))


TRAIN = [sentence(n, text) for n, text in enumerate(TEXTS)]
DEV = [sentence(90 + n, text) for n, text in enumerate(["rash and fever", "the Wilson disease", "no copper"])]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ClassifierModel:
    return ClassifierModel(name="random-bert", path=str(random_bert(tmp_path_factory.mktemp("random-bert"))))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(name="random-llama", path=str(random_llama(tmp_path_factory.mktemp("random-llama"))))


def tune(spec: Any, options: Encoder, folder: Path, **more: Any) -> Any:
    return tune_classifier(spec, TRAIN, DEV, options, labels=LABELS, folder=folder, seed=1, **more)


@pytest.fixture(scope="module")
def tuned(bert: ClassifierModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tune(bert, OPTIONS, tmp_path_factory.mktemp("tuned"))


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def micro_f1(spec: ClassifierModel, sentences: list[Sentence]) -> float:
    classifier = build_classifier(spec)
    lattice, counts = Lattice.of(classifier.classes), Counts()
    for gold, reading in zip(sentences, classifier.classify([gold.words for gold in sentences]), strict=True):
        predicted = lattice.decode(reading.log_probs.astype(np.float64))
        counts = sum(count_sentence(gold.tags, predicted, LABELS, "conlleval").values(), counts)
    return counts.f1


def test_an_encoder_learns_and_saves_a_whole_model(bert: ClassifierModel, tuned: Any) -> None:
    assert [epoch.number for epoch in tuned.epochs] == [1, 2, 3, 4]
    assert tuned.epochs[-1].train_loss < tuned.epochs[0].train_loss
    assert tuned.best == max(tuned.epochs, key=lambda epoch: (epoch.dev_f1, -epoch.number)).number
    assert (tuned.steps, tuned.records, tuned.dev_records, tuned.left_out) == (20, 10, 3, ())
    assert {"config.json", "model.safetensors", "tokenizer.json", "tuning.json"} <= {p.name for p in tuned.folder.iterdir()}
    assert not (tuned.folder.parent / "checkpoints").exists()
    note = json.loads((tuned.folder / "tuning.json").read_text())
    assert note["classes"] == ["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"]
    assert (note["name"], note["window"]) == ("random-bert", 256)
    assert str(bert.path) not in "".join(path.read_text() for path in tuned.folder.glob("*.json"))


def test_the_saved_model_has_the_f1_that_training_reported(tuned: Any) -> None:
    best = tuned.epochs[tuned.best - 1]
    assert best.dev_f1 > 0.5
    assert micro_f1(tuned.model, DEV) == pytest.approx(best.dev_f1)
    assert build_classifier(tuned.model).classes == bio_classes(LABELS)


def test_other_seeds_and_settings_give_other_revisions(bert: ClassifierModel, tuned: Any, tmp_path: Path) -> None:
    short = Encoder(epochs=1, batch_size=4, learning_rate=0.01)
    other = tune_classifier(bert, TRAIN, (), short, labels=LABELS, folder=tmp_path, seed=2)
    assert (other.best, other.epochs[0].dev_f1, other.epochs[0].dev_loss) == (1, None, None)
    assert len({find_weights(spec).revision for spec in (bert, tuned.model, other.model)}) == 3


@pytest.mark.long
@pytest.mark.parametrize("stop", [2, 8], ids=["in the first epoch", "in the second"])
def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(
    bert: ClassifierModel, tuned: Any, tmp_path: Path, stop: int
) -> None:
    options = Encoder(epochs=4, batch_size=2, learning_rate=0.01, patience=9, checkpoint_minutes=1e-9)
    steps = Steps()
    with pytest.raises(KeyboardInterrupt):
        tune(bert, options, tmp_path / "there", progress=Steps(stop))
    assert not (tmp_path / "there" / "model").exists()
    result = tune(bert, options, tmp_path / "there", progress=steps)
    assert steps.told == list(range(stop, 21))
    assert [e.dev_f1 for e in result.epochs] == [e.dev_f1 for e in tuned.epochs]
    undisturbed = weights_in(tuned.folder)
    for name, tensor in weights_in(result.folder).items():
        assert torch.allclose(tensor, undisturbed[name], atol=1e-6), name


@pytest.mark.long
def test_training_stops_when_the_dev_f1_does_not_rise(bert: ClassifierModel, tmp_path: Path) -> None:
    options = Encoder(epochs=30, batch_size=5, learning_rate=0.02, patience=2, schedule="constant")
    result = tune(bert, options, tmp_path)
    figures = [epoch.dev_f1 for epoch in result.epochs]
    assert len(figures) == result.best + 2 < 30
    assert figures[result.best - 1] == max(figures)


@pytest.mark.long
@pytest.mark.parametrize("rank", [4, None], ids=["adapter", "all weights"])
def test_a_decoder_learns_without_its_mask(llama: LocalModel, tmp_path: Path, rank: int | None) -> None:
    options = LabelSupervised(epochs=6, batch_size=2, learning_rate=0.02, rank=rank, patience=9, dropout=0.0)
    result = tune(llama, options, tmp_path)
    files = {path.name for path in result.folder.iterdir()}
    assert ("adapter_model.safetensors" in files) is (rank is not None)
    assert result.model.name == "label_supervised"
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    assert micro_f1(result.model, DEV) == pytest.approx(result.epochs[result.best - 1].dev_f1)
    classifier = build_classifier(result.model)
    assert not any("lora" in name for name, _ in classifier.model.named_parameters())
    first, second = (classifier.classify([words])[0].log_probs for words in (["Wilson", "disease"], ["Wilson", "liver"]))
    assert np.abs(first[0] - second[0]).max() > 1e-6  # the first word's tag depends on the second word
    if rank is not None:
        with pytest.raises(ModelError, match="classifies tokens and answers no prompt: use it with model=label_supervised"):
            find_weights(LocalModel(name="random-llama", path=llama.path, adapter=str(result.folder)))


def test_a_sentence_longer_than_the_window_is_read_whole(bert: ClassifierModel, tmp_path: Path) -> None:
    text = " ".join(["no fever and the rash of Wilson disease"] * 12)
    options = Encoder(epochs=2, batch_size=2, learning_rate=0.01, max_length=16)
    long = sentence(0, text)
    result = tune_classifier(bert, [long, *TRAIN], [long], options, labels=LABELS, folder=tmp_path, seed=1)
    reading = build_classifier(result.model).classify([long.words])[0]
    assert reading.log_probs.shape == (96, 5)
    assert np.allclose(np.exp(reading.log_probs).sum(1), 1, atol=1e-5)
    assert reading.pieces > 96


def test_every_word_is_trained_on_once_in_all_batches_and_windows(bert: ClassifierModel) -> None:
    model, tokenizer = load_head(Path(str(bert.path)), "cpu", bio_classes(LABELS))
    sentences = [*TRAIN, sentence(50, " ".join(TEXTS))]
    encoder = SubwordEncoder(tokenizer, window=24)
    examples = build_examples(sentences, encoder, TagLayers.of(bio_classes(LABELS)))
    assert len(examples) > len(sentences)
    with torch.no_grad():
        together = word_loss(model, collate(examples, filler=0))
        separate = sum(word_loss(model, collate([example], filler=0)) for example in examples)
    assert float(together) == pytest.approx(float(separate), abs=1e-3)
    assert sum(len(example.classes) for example in examples) == sum(len(s.tokens) for s in sentences)


def test_batches_have_similar_lengths_and_a_new_order_in_each_epoch() -> None:
    lengths = [n % 37 for n in range(1003)]
    sampler = LengthSampler(lengths, 8, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(1003))
    assert first == list(LengthSampler(lengths, 8, seed=1))
    sampler.set_epoch(1)
    assert list(sampler) != first != list(LengthSampler(lengths, 8, seed=2))
    spreads = [max(batch) - min(batch) for batch in ([lengths[n] for n in first[start : start + 8]] for start in range(0, 1000, 8))]
    assert sum(spreads) / len(spreads) < 3


def test_refused_trainings_say_why(bert: ClassifierModel, llama: LocalModel, tuned: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model=random-llama is a decoder: use tuning=label_supervised"):
        tune(llama, OPTIONS, tmp_path)
    with pytest.raises(ModelError, match="model=random-bert is an encoder: use tuning=encoder"):
        tune(bert, LabelSupervised(), tmp_path)
    with pytest.raises(InputError, match="tuning.max_length=8 is too small. Use at least 16"):
        tune(bert, Encoder(max_length=8), tmp_path)
    with pytest.raises(InputError, match="none of 1 training sentences has a word"):
        tune_classifier(bert, [sentence(0, "")], (), OPTIONS, labels=LABELS, folder=tmp_path)
    with pytest.raises(ModelError, match="remove model.adapter"):
        tune(ClassifierModel(name="x", path=bert.path, adapter="some"), OPTIONS, tmp_path)
    with pytest.raises(ModelError, match="model.quantization=4bit is for inference only"):
        tune(LocalModel(name="x", path=llama.path, quantization="4bit"), LabelSupervised(), tmp_path)
    with pytest.raises(InputError, match="tuning.rank=0 is too small"):
        LabelSupervised(rank=0)


def test_a_tuned_model_is_tuned_further_for_other_labels(tuned: Any, tmp_path: Path) -> None:
    others = [Sentence(s.id, s.document, s.tokens, tuple(t.replace("Sign", "Finding") for t in s.tags)) for s in TRAIN]
    short = Encoder(epochs=1, batch_size=4, learning_rate=0.001)
    result = tune_classifier(tuned.model, others, (), short, labels=("Finding", "Disease", "Drug"), folder=tmp_path)
    assert build_classifier(result.model).classes == bio_classes(("Finding", "Disease", "Drug"))
