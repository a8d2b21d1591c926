"""Devices and number formats of models, with machines that are pretended."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from clinspan.lms import LocalModel, ModelError
from clinspan.lms.weights.placement import device_of, dtype_of
from clinspan.tuning.causal import _trainable, check_trainable
from clinspan.tuning.options import Full, Lora

SPEC = LocalModel(name="x", hub_id="org/x")


def pretend(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    """A machine with the `cpu` alone, `mps`, `cuda` of a new card, or `old cuda` of one without bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in machine)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: machine == "mps")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or machine == "cuda")
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())


@pytest.mark.parametrize(("machine", "device"), [("cpu", "cpu"), ("mps", "mps"), ("cuda", "cuda"), ("old cuda", "cuda")])
def test_the_device_is_the_fastest_there_is(monkeypatch: pytest.MonkeyPatch, machine: str, device: str) -> None:
    pretend(monkeypatch, machine)
    assert device_of(SPEC) == device
    assert device_of(LocalModel(name="x", hub_id="org/x", device="cuda:1")) == "cuda:1"


@pytest.mark.parametrize(
    "case",
    [
        ("cpu", "bfloat16", "float32"),
        ("cpu", "float16", "float32"),
        ("mps", "bfloat16", "float16"),
        ("cuda", "bfloat16", "bfloat16"),
        ("cuda", "float16", "float16"),
        ("cuda", "float32", "bfloat16"),
        ("cuda", None, "bfloat16"),
        ("old cuda", "bfloat16", "float16"),
        ("old cuda", "float32", "float16"),
    ],
)
@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_the_number_format_fits_device_and_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: tuple[str, str | None, str], key: str
) -> None:
    machine, stored, dtype = case
    pretend(monkeypatch, machine)
    (tmp_path / "config.json").write_text(json.dumps({key: stored} if stored else {}), encoding="utf-8")
    assert dtype_of(SPEC, tmp_path) == dtype
    assert dtype_of(LocalModel(name="x", hub_id="org/x", dtype="bfloat16"), tmp_path) == "bfloat16"
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {key: stored}}), encoding="utf-8")
    assert dtype_of(SPEC, tmp_path) == dtype


@pytest.mark.parametrize(("machine", "dtype"), [("cpu", "float32"), ("mps", "float32"), ("cuda", "auto")])
def test_trainings_use_half_precision_on_cuda_only(monkeypatch: pytest.MonkeyPatch, machine: str, dtype: str) -> None:
    pretend(monkeypatch, machine)
    assert _trainable(SPEC, Lora()).dtype == dtype
    assert _trainable(SPEC, Full()).dtype == "float32"


def test_a_training_computes_on_one_device() -> None:
    with pytest.raises(ModelError, match=r"model\.device_map=auto is for inference only"):
        check_trainable(LocalModel(name="x", hub_id="org/x", device_map="auto"))
