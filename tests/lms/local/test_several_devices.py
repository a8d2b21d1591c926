"""Models whose layers are on several devices: virtual ones, and the CPU with the disk. Random weights, and no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import add_hook_to_module, AlignDevicesHook
from transformers import AutoModelForCausalLM, AutoTokenizer

from clinspan.lms import LocalModel, ModelError
from clinspan.lms.local import decoding
from clinspan.lms.local import engine as engine_module
from clinspan.lms.local.decoding import Decoder
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.generate_engine import GenerateDecoder
from clinspan.lms.local.sequence import Prompt
from clinspan.lms.weights import load as load_module
from clinspan.lms.weights.placement import devices_of, is_spread
from support.current_models import random_current
from support.virtual_devices import mark, tensors, VirtualDevices

PARTS = ("model.embed_tokens", "model.layers.0", "model.layers.1", "model.rotary_emb", "model.layers.2", "model.layers.3")
LATE = ("model.norm", "lm_head")
PROMPTS = [Prompt((*range(5, 25), *range(30, 30 + n)), 20, 12) for n in (1, 4, 30)]


@pytest.fixture(scope="module", params=["qwen3", "gemma3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_current(request.param, tmp_path_factory.mktemp("weights"))


def load(folder: Path, **options: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()


def answers(decoder: Any) -> list[tuple[int, ...]]:
    return [answer.ids for answer in decoder.decode(PROMPTS)]


def expected(folder: Path) -> list[tuple[int, ...]]:
    return answers(Decoder(load(folder), AutoTokenizer.from_pretrained(folder)))


def spread(model: Any) -> Any:
    """Put layers on two virtual devices, with accelerate's hooks between them as its `dispatch_model` sets them."""
    places = {name: "cuda:0" if number < 3 else "cuda:1" for number, name in enumerate((*PARTS, *LATE))}
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    if tied:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    for name, device in places.items():
        part = model.get_submodule(name)
        for tensor in tensors([list(part.parameters()), list(part.buffers())]):
            mark(tensor, device)
        add_hook_to_module(part, AlignDevicesHook(execution_device=device, place_submodules=False, skip_keys="past_key_values"))
    model.hf_device_map = places
    return model


def test_keys_values_and_masks_follow_the_device_of_their_layer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = load(folder)
    before = expected(folder)
    with VirtualDevices():
        decoder = Decoder(spread(model), tokenizer)
        decoder.check()
        assert answers(decoder) == before
        kept = [tensor for block in decoder.prefixes._kept.values() for tensor in tensors(block)]
        assert {str(tensor.device) for tensor in kept} == {"cuda:0", "cuda:1"}
    assert devices_of(model) == ["cuda:0", "cuda:1"]
    assert is_spread(model)


def test_virtual_devices_refuse_what_cuda_refuses() -> None:
    with VirtualDevices(), pytest.raises(RuntimeError, match="tensors on"):
        _ = torch.ones(2, device="cuda:0") + torch.ones(2, device="cuda:1")


def on_disk(folder: Path, tmp_path: Path) -> Any:
    """The model with every second layer on the disk."""
    places = {name: "disk" if name.endswith(("1", "3")) else "cpu" for name in (*PARTS, *LATE)}
    return load(folder, device_map=places, offload_folder=tmp_path)


def test_layers_on_the_disk_are_read_and_answers_are_the_same(folder: Path, tmp_path: Path) -> None:
    model = on_disk(folder, tmp_path)
    decoder = Decoder(model, AutoTokenizer.from_pretrained(folder))
    decoder.check()
    assert devices_of(model) == ["cpu", "disk"]
    assert answers(decoder) == expected(folder)


def test_a_device_map_is_given_to_transformers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    real = AutoModelForCausalLM.from_pretrained

    def recorded(*arguments: Any, **options: Any) -> Any:
        given.append(options.get("device_map"))
        return real(*arguments, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", recorded)
    engine = TransformersEngine(LocalModel(name="tiny", path=str(folder), device_map="balanced"))
    assert given == ["balanced"]
    assert engine.computing == {"dtype": "float32", "devices": ["cpu"], "engine": "packed"}


def test_a_spread_model_that_packed_passes_do_not_compute_is_run_by_transformers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Decoder) -> None:
        raise ModelError("Some layers do not compute packed passes")

    def spread_model(spec: LocalModel, weights: Any) -> tuple[Any, Any]:
        return on_disk(folder, tmp_path), AutoTokenizer.from_pretrained(folder)

    before = expected(folder)
    monkeypatch.setattr(decoding.Decoder, "check", refuse)
    monkeypatch.setattr(engine_module, "load_model", spread_model)
    engine = TransformersEngine(LocalModel(name="tiny", path=str(folder), device_map="auto"))
    assert isinstance(engine.decoder, GenerateDecoder)
    assert engine.computing == {"dtype": "float32", "devices": ["cpu", "disk"], "engine": "generate"}
    line = "clinspan: Some layers do not compute packed passes. The model is on cpu, disk, so model.engine=generate is used\n"
    assert capsys.readouterr().err.endswith(line)
    assert answers(engine.decoder) == before
    monkeypatch.setattr(engine_module, "load_model", load_module.load_model)
    with pytest.raises(ModelError, match="do not compute packed passes"):
        TransformersEngine(LocalModel(name="tiny", path=str(folder)))
