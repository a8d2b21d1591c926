"""What is said of a large model before it is loaded. The models have random weights; sizes are lowered for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from clinspan.lms import LocalModel
from clinspan.lms.weights import outlook
from clinspan.lms.weights.outlook import cpu_line, gpu_line, parameter_count, run_seconds, tell_outlook, Workload
from support.tiny_models import random_llama

SEVEN = LocalModel(name="llama2", hub_id="org/x", states_gib=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("weights") / "tiny")


def test_parameters_are_counted_in_one_file_and_in_several(folder: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    own = sum(parameter.numel() for parameter in model.parameters())
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "training_state.safetensors").write_bytes(b"not named by the index")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert parameter_count(folder) == parameter_count(tmp_path) == own


def test_damaged_weights_are_not_counted(tmp_path: Path) -> None:
    assert parameter_count(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert parameter_count(tmp_path) is None


@pytest.mark.parametrize(
    ("free", "seconds", "line"),
    [
        (40e9, None, "no GPU: model=llama2 has 6.7 billion parameters and takes about 35.4 GB of memory"),
        (
            40e9,
            5700,
            "no GPU: model=llama2 has 6.7 billion parameters and takes about 35.4 GB of memory and 95 minutes for 1,735 requests",
        ),
        (
            12e9,
            50_000,
            "no GPU: model=llama2 has 6.7 billion parameters and takes about 35.4 GB of memory and 13.9 hours for 1,735 requests. "
            "Only 12.0 GB are free, so it may be ended for lack of memory: use a smaller model, or serve a quantized one and use "
            "model=openai",
        ),
    ],
)
def test_memory_and_time_on_a_cpu(free: float, seconds: float | None, line: str) -> None:
    expected = None if seconds is None else (1735, seconds)
    assert cpu_line(SEVEN, 6_738_000_000, 35.4e9, free, expected) == line


def test_a_gpu_with_too_little_memory_is_named_with_its_remedies() -> None:
    assert gpu_line(SEVEN, 6_738_000_000, 13.5e9, 8e9) == (
        "model=llama2: 6.7 billion parameters take about 13.5 GB and the GPU has 8.0 GB free: "
        "model.device_map=auto spreads it over several devices, model.quantization=4bit makes it smaller"
    )


def test_time_grows_with_prompts_answers_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "speed", lambda rows: 1e9 * rows)
    asked = Workload(requests=10, shared=3500, own=7000, answers=1400)
    once = 2 * 1e6 * ((7000 + 3500) / 3.5 / 256e9 + 400 / 8e9)
    assert run_seconds(1_000_000, asked, 8, shares=True) == pytest.approx(once)
    assert run_seconds(2_000_000, asked, 8, shares=True) == pytest.approx(2 * once)
    each = 2 * 1e6 * ((7000 + 35000) / 3.5 / 256e9 + 400 / 8e9)
    assert run_seconds(1_000_000, asked, 8, shares=False) == pytest.approx(each)


def test_only_large_models_are_announced(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = LocalModel(name="tiny", path=str(folder), device="cpu")

    def never() -> Workload:
        raise AssertionError("the workload of a small model is not needed")

    tell_outlook(spec, folder, never)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(outlook, "LARGE", 1000)
    tell_outlook(spec, folder, lambda: Workload(3, 100, 100, 100))
    line = "clinspan: no GPU: model=tiny has 0.0 billion parameters and takes about 1.6 GB of memory and a minute for 3 requests\n"
    assert capsys.readouterr().err == line
