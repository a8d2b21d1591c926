"""Loads weights into memory, for inference and for training."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from clinspan.lms.errors import ModelError
from clinspan.lms.local.oom import is_out_of_memory
from clinspan.lms.specs import LocalModel
from clinspan.lms.weights.find import cache_folder, Weights
from clinspan.lms.weights.lora import apply_adapter
from clinspan.lms.weights.placement import device_of, dtype_of


def import_ahead() -> None:
    """Import transformers in the background, while the weights are searched and their digests computed."""
    threading.Thread(target=_import_transformers, daemon=True).start()


def _import_transformers() -> None:
    with suppress(Exception):  # the import is repeated where it is needed, and fails there
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401


def load_model(spec: LocalModel, weights: Weights) -> tuple[Any, Any]:
    """Load a model on its device or devices in evaluation mode, with its adapter if it has one, and the tokenizer.

    Raises:
        ModelError: The folder cannot be loaded, the adapter does not fit, or quantization is not available on this machine.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = device_of(spec)
    options: dict[str, Any] = {"dtype": getattr(torch, dtype_of(spec, weights.folder))}
    if spec.device_map:
        options["device_map"] = spec.device_map
    if spec.quantization:
        options["quantization_config"] = _quantization(spec, device)
        options.setdefault("device_map", device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder)
        model: Any = AutoModelForCausalLM.from_pretrained(weights.folder, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
        raise unloadable(weights.folder, error) from None
    if weights.adapter is not None:
        model = apply_adapter(model, weights.adapter, merge=not spec.quantization)
    if "device_map" not in options:
        try:
            model = model.to(device)
        except (RuntimeError, MemoryError) as error:
            raise unloadable(weights.folder, error) from None
    return model.eval(), tokenizer


def unloadable(folder: Path, error: Exception, *, use: str = "") -> ModelError:
    """The error for a folder that transformers cannot load (for a use such as ` as a token classifier`), with a remedy."""
    if is_out_of_memory(error):
        return ModelError(f"the model in {folder} does not fit into memory{use}: end other programs, or use a smaller model")
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    converted_here = cache_folder() in folder.parents
    remedy = "delete it, and the next run converts it again" if converted_here else "its files may be damaged: get them again"
    return ModelError(f"the model in {folder} cannot be loaded{use} ({first_line}): {remedy}")


def _quantization(spec: LocalModel, device: str) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise ModelError(f"model.quantization={spec.quantization} needs bitsandbytes: pip install bitsandbytes") from None
    if not device.startswith("cuda"):
        raise ModelError(f"model.quantization={spec.quantization} needs a CUDA device; here the device is {device}")
    from transformers import BitsAndBytesConfig

    if spec.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
