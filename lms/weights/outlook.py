"""What a model needs, said before it is loaded: memory and, where it computes on a CPU, the time of a run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from safetensors import safe_open, SafetensorError

from clinspan.lms.specs import LocalModel
from clinspan.lms.weights.placement import device_of, dtype_of

LARGE = 1_000_000_000
"""Parameters above which a model on a CPU is announced."""
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8bit": 1.0, "4bit": 0.5}
_CHARACTERS = 3.5  # of a token, about, in English prompts
_PASS = 256  # tokens of a full pass
_SIDE = 2048
_SECONDS = 0.2  # for one measurement


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run asks of a model, about.

    Attributes:
        requests: Number of requests.
        shared: Characters that all prompts begin with.
        own: Characters of all prompts behind these.
        answers: Characters of all answers.
    """

    requests: int
    shared: int
    own: int
    answers: int


def tell_outlook(spec: LocalModel, folder: Path, workload: Callable[[], Workload] | None = None) -> None:
    """Say on standard error what a large model needs. Nothing is said of one that is small or fits into its GPU.

    Args:
        spec: The model.
        folder: Its weights.
        workload: Gives what will be asked of it, if that is known; called for a large model on a CPU only.
    """
    count = parameter_count(folder)
    if count is None:
        return
    device, needed = device_of(spec), _needed(spec, folder, count)
    if device == "cpu" and count > LARGE:
        asked = None if workload is None else workload()
        expected = None if asked is None else (asked.requests, run_seconds(count, asked, spec.batch_size, shares=spec.share_prefix))
        free = psutil.virtual_memory().available
        print(f"clinspan: {cpu_line(spec, count, needed, free, expected)}", file=sys.stderr)
    elif device.startswith("cuda") and spec.device_map is None and needed > (free := torch.cuda.mem_get_info(device)[0]):
        print(f"clinspan: {gpu_line(spec, count, needed, free)}", file=sys.stderr)


def cpu_line(spec: LocalModel, count: int, needed: float, free: float, expected: tuple[int, float] | None = None) -> str:
    """The announcement of a large model that computes on a CPU.

    Args:
        spec: The model.
        count: Number of its parameters.
        needed: Bytes that its weights and its KV cache take.
        free: Bytes of free memory.
        expected: Number of requests and the seconds that they take, about, if that is known.
    """
    line = f"no GPU: model={spec.name} has {count / 1e9:.1f} billion parameters and takes about {_gb(needed)} of memory"
    if expected is not None:
        requests, seconds = expected
        line += f" and {_duration(seconds)} for {requests:,} request{'s' if requests != 1 else ''}"
    if needed > free:
        line += (
            f". Only {_gb(free)} are free, so it may be ended for lack of memory: use a smaller model, or serve a quantized one "
            "and use model=openai"
        )
    return line


def gpu_line(spec: LocalModel, count: int, needed: float, free: float) -> str:
    """The warning about a model that does not fit into the free memory of its GPU; arguments as in `cpu_line`."""
    remedy = "model.device_map=auto spreads it over several devices"
    remedy += "" if spec.quantization else ", model.quantization=4bit makes it smaller"
    size = f"{count / 1e9:.1f} billion parameters take about {_gb(needed)}"
    return f"model={spec.name}: {size} and the GPU has {_gb(free)} free: {remedy}"


def parameter_count(folder: Path) -> int | None:
    """Number of parameters in the safetensors files of a folder, from their headers; None if they cannot be read."""
    try:
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            files = [folder / name for name in sorted(names)]
        else:
            files = sorted(folder.glob("*.safetensors"))
        return sum(_elements(file) for file in files) if files else None
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError):
        return None


def _elements(file: Path) -> int:
    with safe_open(file, framework="pt") as tensors:
        return sum(torch.Size(tensors.get_slice(name).get_shape()).numel() for name in tensors.keys())  # noqa: SIM118


def _needed(spec: LocalModel, folder: Path, count: int) -> float:
    """Bytes of the weights and of the KV cache."""
    return count * _BYTES[spec.quantization or dtype_of(spec, folder)] + spec.states_gib * (1 << 30)


def run_seconds(count: int, asked: Workload, rows: int, *, shares: bool) -> float:
    """How long a model takes for a workload on this machine's CPU, from the speed of matrix products that is measured now.

    Prompts are read in full passes. Each token of an answer costs the share of a pass over `rows` answers; forced tokens and
    right drafts cost less, attention costs more.

    Args:
        count: Parameters of the model, each of which is used once for a token.
        asked: The workload.
        rows: Answers that are decoded at once.
        shares: Whether the common beginning of prompts is read once.
    """
    prompts = (asked.own + asked.shared * (1 if shares else asked.requests)) / _CHARACTERS
    answers = asked.answers / _CHARACTERS
    return 2 * count * (prompts / speed(_PASS) + answers / speed(min(rows, asked.requests)))


def speed(rows: int) -> float:
    """Floating-point operations a second of a float32 matrix product with so many rows, on all threads of PyTorch."""
    weights = [torch.ones(_SIDE, _SIDE) for _ in range(4)]  # more than a processor's cache holds, as a model's are
    inputs = torch.ones(max(1, rows), _SIDE)
    _ = inputs @ weights[0]
    passes, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < _SECONDS:
        _ = inputs @ weights[passes % len(weights)]
        passes += 1
    return 2.0 * len(inputs) * _SIDE * _SIDE * passes / elapsed


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _duration(seconds: float) -> str:
    """
    >>> _duration(20), _duration(1500), _duration(20000)
    ('a minute', '25 minutes', '5.6 hours')
    """
    if seconds < 90:
        return "a minute"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
