"""Training of a tiny model with random weights: adapters, full tuning, interruptions, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from clinspan.corpora import InputError
from clinspan.lms import LocalModel, ModelError
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.weights.find import find_weights
from clinspan.lms.weights.load import load_model
from clinspan.lms.weights.lora import calm
from clinspan.tuning import Full, Lora, Record, tune
from support.recording_progress import Steps

RECORDS = [Record(f"a:{n}", (("system", "Say it."), ("user", f"word {n}")), f"answer {n % 3}") for n in range(8)]
OPTIONS = Lora(epochs=2, batch_size=2, rank=4, learning_rate=0.01)

LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.fixture(scope="module")
def tiny(smollm2: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A random model with SmolLM2's tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(find_weights(smollm2).folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=1, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalModel(name="tiny", path=str(folder))


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


@pytest.fixture(scope="module")
def adapted(tiny: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tune(tiny, RECORDS, RECORDS[:3], OPTIONS, folder=tmp_path_factory.mktemp("lora"), seed=1)


@pytest.mark.weights
def test_lora_learns_and_saves_an_adapter_with_its_record(tiny: LocalModel, adapted: Any) -> None:
    assert [epoch.number for epoch in adapted.epochs] == [1, 2]
    assert adapted.epochs[1].train_loss < adapted.epochs[0].train_loss
    assert adapted.best == min(adapted.epochs, key=lambda epoch: epoch.dev_loss).number
    assert (adapted.steps, adapted.records, adapted.dev_records, adapted.left_out) == (8, 8, 3, ())
    assert {path.name for path in adapted.folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "tuning.json",
    }
    assert not (adapted.folder.parent / "checkpoints").exists()
    config = json.loads((adapted.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert {name.rpartition(".")[2] for name in config["target_modules"]} == LINEAR
    assert tiny.path not in (adapted.folder / "adapter_config.json").read_text()


@pytest.mark.weights
def test_an_adapter_is_merged_changes_logits_and_has_its_own_revision(tiny: LocalModel, adapted: Any) -> None:
    from peft import PeftModel

    ids = torch.tensor([[5, 6, 7, 8]])
    base = load_model(tiny, find_weights(tiny))[0]
    before = base(ids).logits
    with calm():
        unmerged = PeftModel.from_pretrained(base, adapted.folder).eval()(ids).logits
    merged, _ = load_model(adapted.model, find_weights(adapted.model))
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert torch.allclose(merged(ids).logits, unmerged, atol=1e-4)
    assert (unmerged - before).abs().max() > 0.01
    revision = find_weights(adapted.model).revision
    assert revision.startswith(find_weights(tiny).revision + "+adapter:")
    assert TransformersEngine(adapted.model).weights.revision == revision


@pytest.mark.long
@pytest.mark.weights
def test_full_tuning_saves_a_model_with_its_own_revision(tiny: LocalModel, tmp_path: Path) -> None:
    results = [tune(tiny, RECORDS[:4], (), Full(epochs=1, batch_size=2), folder=tmp_path / str(n), seed=n) for n in (1, 2)]
    assert results[0].epochs[0].dev_loss is None
    assert results[0].best == 1
    assert results[0].model.path == str(tmp_path / "1" / "model")
    assert len({find_weights(result.model).revision for result in results} | {find_weights(tiny).revision}) == 3
    assert load_model(results[0].model, find_weights(results[0].model))[0].config.use_cache


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("stop", [2, 6], ids=["in the first epoch", "in the second"])
def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(
    tiny: LocalModel, adapted: Any, tmp_path: Path, stop: int
) -> None:
    options = Lora(epochs=2, batch_size=2, rank=4, learning_rate=0.01, checkpoint_minutes=1e-9)
    steps = Steps()
    with pytest.raises(KeyboardInterrupt):
        tune(tiny, RECORDS, RECORDS[:3], options, folder=tmp_path / "there", seed=1, progress=Steps(stop))
    assert not (tmp_path / "there" / "model").exists()
    (tmp_path / "there").rename(tmp_path / "moved")
    torn = tmp_path / "moved" / "checkpoints" / "checkpoint-99"
    torn.mkdir()
    result = tune(tiny, RECORDS, RECORDS[:3], options, folder=tmp_path / "moved", seed=1, progress=steps)
    assert steps.told == list(range(stop, 9))
    assert result.epochs[-1].dev_loss == pytest.approx(adapted.epochs[-1].dev_loss, abs=1e-6)
    undisturbed = weights_in(adapted.folder)
    for name, tensor in weights_in(result.folder).items():
        assert torch.allclose(tensor, undisturbed[name], atol=1e-6), name


@pytest.mark.long
@pytest.mark.weights
def test_training_stops_when_the_dev_loss_does_not_fall_and_keeps_the_best(tiny: LocalModel, tmp_path: Path) -> None:
    wrong = [Record("d:0", RECORDS[0].messages, "quite another thing")]
    options = Lora(epochs=9, batch_size=4, rank=4, learning_rate=0.05, patience=1, schedule="constant")
    result = tune(tiny, RECORDS, wrong, options, folder=tmp_path, seed=1)
    losses = [epoch.dev_loss for epoch in result.epochs]
    assert len(losses) < 9
    assert losses[-1] >= losses[result.best - 1] == min(losses)


@pytest.mark.weights
def test_refused_trainings_say_why(tiny: LocalModel, adapted: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 8 training records has at most 5 tokens"):
        tune(tiny, RECORDS, (), Lora(max_length=5), folder=tmp_path)
    with pytest.raises(ModelError, match="leave model.adapter out"):
        tune(adapted.model, RECORDS, (), OPTIONS, folder=tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="needs a CUDA device and bitsandbytes: use tuning=lora"):
            tune(tiny, RECORDS, (), Lora(name="medtuned_qlora", quantization="4bit"), folder=tmp_path)


@pytest.mark.weights
def test_folders_without_an_adapter_of_the_model_are_refused(tiny: LocalModel, adapted: Any, tmp_path: Path) -> None:
    def find(folder: Path, **overrides: Any) -> None:
        find_weights(LocalModel(**{"name": "tiny", "path": tiny.path, "adapter": str(folder), **overrides}))

    with pytest.raises(ModelError, match=r"holds no adapter_config.json: give model.adapter=FOLDER/model of a run"):
        find(tmp_path)
    with pytest.raises(ModelError, match=r"is a whole model, not an adapter: give it as model.path="):
        find(Path(str(tiny.path)))
    with pytest.raises(ModelError, match=r"is an adapter, not a whole model: give it as model.adapter="):
        find_weights(LocalModel(name="tiny", path=str(adapted.folder)))
    other = shutil.copytree(adapted.folder, tmp_path / "other")
    with pytest.raises(ModelError, match="was tuned on tiny: use it with model=tiny, not small"):
        find(other, name="small")
    (other / "tuning.json").unlink()
    (other / "adapter_config.json").write_text('{"peft_type": "IA3"}', encoding="utf-8")
    with pytest.raises(ModelError, match="is of the kind IA3"):
        find(other)
    (other / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no adapter_model.safetensors"):
        find(other)


@pytest.mark.weights
def test_an_adapter_of_another_shape_is_refused_when_loaded(smollm2: LocalModel, adapted: Any, tmp_path: Path) -> None:
    other = shutil.copytree(adapted.folder, tmp_path / "other")
    (other / "tuning.json").unlink()
    spec = LocalModel(name="smollm2", package=smollm2.package, adapter=str(other))
    with pytest.raises(ModelError, match="does not fit this model"):
        load_model(spec, find_weights(spec))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schedule": "steep"}, "tuning.schedule=steep is not known"),
        ({"epochs": 0}, "tuning.epochs=0 is too small. Use at least 1"),
        ({"learning_rate": 0.0}, "tuning.learning_rate=0.0 is too small. Use a positive number"),
        ({"dropout": 1.0}, "tuning.dropout=1.0 is not a fraction"),
        ({"quantization": "8bit"}, "tuning.quantization=8bit is not known"),
        ({"warmup": 5}, "tuning.warmup must be at least 0 and below 1"),
    ],
)
def test_a_wrong_value_is_refused_at_once(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Lora(**keys)
