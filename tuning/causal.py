"""Instruction tuning of a local causal language model: LoRA, QLoRA or all weights."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TYPE_CHECKING

from clinspan.corpora import InputError
from clinspan.lms import LocalModel, ModelError
from clinspan.lms.local.encoding import Encoder, PlainTokens
from clinspan.lms.specs import Loadable
from clinspan.lms.templates import template_of
from clinspan.lms.weights.find import find_weights
from clinspan.lms.weights.load import load_model
from clinspan.lms.weights.lora import calm
from clinspan.lms.weights.placement import device_of
from clinspan.tuning.options import Lora, Options
from clinspan.tuning.records import encode_records, Record
from clinspan.tuning.results import result_of, TuningResult
from clinspan.tuning.saving import CHECKPOINTS, MODEL, save_model

if TYPE_CHECKING:
    from clinspan.tuning.trainer import AnswerTrainer, Progress


@calm()
def tune(
    spec: LocalModel,
    records: Sequence[Record],
    dev: Sequence[Record],
    options: Options,
    *,
    folder: Path,
    seed: int = 0,
    progress: Progress | None = None,
    origin: Mapping[str, Any] | None = None,
) -> TuningResult[LocalModel]:
    """Train a model to give the records' answers, and keep the epoch with the lowest loss on the dev records.

    An interrupted call resumes from its last checkpoint when it is repeated with the same arguments.

    Args:
        spec: The model. It is loaded for training; an engine that already has it loaded is not changed.
        records: Training records.
        dev: Records for the evaluation after each epoch. If there are none, the last epoch's weights are kept.
        options: `Lora` or `Full`.
        folder: Where `model/` is written, and `checkpoints/` during training.
        seed: Seed of the adapter's initial weights, the record order and dropout. Results repeat on the same machine.
        progress: Called after each step.
        origin: Provenance of the training data, for the note beside the weights.

    Raises:
        InputError: No record fits into `max_length`.
        ModelError: The model is not available or cannot be trained this way here.
    """
    began = time.monotonic()
    _check(spec, options)
    weights = find_weights(spec)
    model, tokenizer = load_model(_trainable(spec, options), weights)
    template = template_of(spec.template, tokenizer)
    encoder = Encoder(tokenizer, template, plain=PlainTokens(tokenizer), options=spec.chat_options)
    limit = min(options.max_length, getattr(model.config.get_text_config(), "max_position_embeddings", options.max_length))
    train, long_train_ids = encode_records(records, encoder, max_length=limit)
    encoded_dev, long_dev_ids = encode_records(dev, encoder, max_length=limit)
    if not train:
        remedy = "Set tuning.max_length higher, or give records."
        raise InputError(f"none of {len(records)} training records has at most {limit} tokens", remedy=remedy)
    trainer = _train(_prepared(model, options, seed), options, train, encoded_dev, folder=folder, seed=seed, progress=progress)
    save_model(
        trainer.model,
        tokenizer,
        folder / MODEL,
        name=spec.name,
        weights=weights,
        more={"template": template, "origin": origin},
    )
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    counts: Any = {"records": len(train), "dev_records": len(encoded_dev), "left_out": (*long_train_ids, *long_dev_ids)}
    return result_of(trainer, folder / MODEL, tuned_spec(spec, options, folder / MODEL), **counts, began=began)


def tuned_spec(spec: LocalModel, options: Options, folder: Path) -> LocalModel:
    """The spec that loads the trained adapter or model from a folder."""
    if isinstance(options, Lora):
        return replace(spec, adapter=str(folder))
    return replace(spec, path=str(folder), adapter=None, package=None, hub_id=None, revision=None)


def check_trainable(spec: Loadable) -> None:
    """Refuse settings that a model can have for inference but not for training.

    Raises:
        ModelError: It is quantized, spread over devices, or on a GPU that is named by number.
    """
    if isinstance(spec, LocalModel) and spec.device_map:
        problem = f"model.device_map={spec.device_map} is for inference only: remove it"
        raise ModelError(f"{problem} (a training computes on one device; tuning.quantization=4bit needs least memory)")
    if isinstance(spec, LocalModel) and spec.quantization:
        problem = f"model.quantization={spec.quantization} is for inference only: remove it"
        raise ModelError(f"{problem} (tuning=medtuned_qlora quantizes by itself)")
    if spec.device.startswith("cuda:"):
        raise ModelError(f"model.device={spec.device}: for training choose the GPU by CUDA_VISIBLE_DEVICES and use device=auto")


def _check(spec: LocalModel, options: Options) -> None:
    check_trainable(spec)
    if isinstance(options, Lora) and spec.adapter:
        remedy = "leave model.adapter out, and a program that brings one, or use tuning=full"
        raise ModelError(f"a LoRA adapter cannot be trained on top of another adapter: {remedy}")
    if isinstance(options, Lora) and options.quantization:
        _check_quantization(spec, options)


def _check_quantization(spec: LocalModel, options: Lora) -> None:
    remedy = "use tuning=lora, which needs neither"
    if not device_of(spec).startswith("cuda"):
        raise ModelError(f"tuning={options.name} holds weights in 4 bits, which needs a CUDA device and bitsandbytes: {remedy}")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise ModelError(f"tuning={options.name} needs bitsandbytes: pip install bitsandbytes, or {remedy}") from None


def _trainable(spec: LocalModel, options: Options) -> LocalModel:
    """The spec to load the model by: quantized for QLoRA, unchanged for LoRA on a GPU, else in float32."""
    if isinstance(options, Lora) and options.quantization:
        return replace(spec, quantization=options.quantization)
    half = isinstance(options, Lora) and device_of(spec).startswith("cuda")
    return spec if half else replace(spec, dtype="float32")


def _prepared(model: Any, options: Options, seed: int) -> Any:
    """Prepare the model for training: all of its weights, or a new adapter."""
    from transformers import set_seed

    set_seed(seed)
    model.config.use_cache = False
    if not isinstance(options, Lora):
        return model.requires_grad_(True)
    from peft import get_peft_model, LoraConfig, prepare_model_for_kbit_training

    model.name_or_path = ""  # otherwise adapters name a local folder, or peft queries the hub
    if options.quantization:
        model = prepare_model_for_kbit_training(model)
    lora = {"r": options.rank, "lora_alpha": options.alpha, "lora_dropout": options.dropout}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **lora))


def _train(
    model: Any, options: Options, train: Any, dev: Any, *, folder: Path, seed: int, progress: Progress | None
) -> AnswerTrainer:
    from clinspan.tuning.trainer import AnswerTrainer, train_on

    place = (folder / CHECKPOINTS).resolve()
    trainer = AnswerTrainer(model, options, train, dev, folder=place, seed=seed, progress=progress)
    train_on(trainer)
    return trainer
