"""Where the weights of a model are computed, and in which number format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from clinspan.lms.specs import Loadable, LocalModel

_HALF = ("bfloat16", "float16")


def device_of(spec: Loadable) -> str:
    """Resolve the device of a spec: `auto` is CUDA if available, else Apple's `mps` if available, else the CPU.

    With `device_map` it is the device that prompts are sent to, which transformers chooses: a CUDA device if there is one.
    """
    if spec.device != "auto":
        return spec.device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_of(spec: LocalModel, folder: Path | None = None) -> str:
    """Resolve the number format of a spec's weights.

    `auto` is float32 on a CPU, where half precision is slower, and float16 on `mps`. On CUDA it is the half precision of the
    checkpoint, else bfloat16; float16 if the card does not compute bfloat16.

    Args:
        spec: The model.
        folder: Its weights, if they are known; their `config.json` names the checkpoint's format.
    """
    if spec.dtype != "auto":
        return spec.dtype
    device = device_of(spec)
    if device.startswith("cuda"):
        stored = checkpoint_dtype(folder)
        wanted = stored if stored in _HALF else "bfloat16"
        return wanted if wanted == "float16" or _computes_bfloat16(device) else "float16"
    return "float16" if device == "mps" else "float32"


def checkpoint_dtype(folder: Path | None) -> str | None:
    """The format in which a checkpoint was saved, as its `config.json` says; None if it does not."""
    if folder is None:
        return None
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        parts = [config, config.get("text_config") or {}]
        found = next((part[key] for part in parts for key in ("dtype", "torch_dtype") if part.get(key)), None)
    except (OSError, ValueError, AttributeError):
        return None
    return None if found is None else str(found).removeprefix("torch.")


def _computes_bfloat16(device: str) -> bool:
    """Whether a CUDA device has instructions for bfloat16; PyTorch emulates them on older ones, which is slow."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def devices_of(model: Any) -> list[str]:
    """The devices that hold a loaded model's layers, each once: `cuda:0`, `cpu`, `disk`, ..."""
    places = getattr(model, "hf_device_map", None) or {"": model.device}
    return list(dict.fromkeys(f"cuda:{place}" if isinstance(place, int) else str(place) for place in places.values()))


def is_spread(model: Any) -> bool:
    """Whether a loaded model's layers are on several devices, or on a disk."""
    return devices_of(model) == ["disk"] or len(devices_of(model)) > 1
