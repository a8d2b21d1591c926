"""Tests of PyTorch releases without the private operators that make decoding fast: public ones give the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.prompts import collect_prompts
from clinspan.lms.local import attention, packed_linear
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import departures
from clinspan.programs.building.build_run import build_run
from clinspan.programs.config.composition import compose
from support.current_models import random_current

PRIVATE = {
    "fused attention": ("aten", ("_scaled_dot_product_flash_attention_for_cpu",)),
    "packed linear layers": ("mkldnn", ("_reorder_linear_weight", "_linear_pointwise")),
}
TIE = 1e-3


@pytest.mark.parametrize("lacking", [*PRIVATE, "both"])
def test_answers_are_the_same_without_private_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    if lacking in ("fused attention", "both"):
        monkeypatch.setattr(attention, "fused_attention", lambda: None)
    if lacking in ("packed linear layers", "both"):
        monkeypatch.setattr(packed_linear, "operators_exist", lambda: False)
    words = ["model=qwen3", f"model.path={random_current('qwen3', tmp_path)}", "model.dtype=float32", "strategy.k=1"]
    config, _, _ = compose("run", words)
    parts = build_run(config, lambda corpus, spec: None)
    engine: TransformersEngine = parts.lm.engine
    prompts = collect_prompts(parts, list(parts.corpus.sentences("test"))[:3])
    for prompt, answer in zip(prompts, engine.decoder.decode(prompts), strict=True):
        assert not isinstance(answer, Exception)
        assert all(departure.margin < TIE for departure in departures(engine.decoder, prompt, answer))


class WithoutOperators:
    """Stand-in for `torch.ops` of a release without the operators."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def test_a_release_without_the_operators_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attention.fused_attention() is not None
    monkeypatch.setattr(torch.ops, "aten", WithoutOperators())
    monkeypatch.setattr(torch.ops, "mkldnn", WithoutOperators())
    assert attention.fused_attention() is None
    assert not packed_linear.operators_exist()


def test_this_release_has_the_private_operators() -> None:
    """Without this test, nobody would notice that a newer PyTorch lacks them and decodes more slowly."""
    for namespace, names in PRIVATE.values():
        assert all(hasattr(getattr(torch.ops, namespace), name) for name in names)
