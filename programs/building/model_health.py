"""Whether a model can be used here: weights, memory and device, or address and key of its server. Nothing is fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from clinspan import lms
from clinspan.corpora.verdict import Verdict
from clinspan.lms.errors import ModelError
from clinspan.lms.specs.local import Loadable
from clinspan.lms.weights.find import cache_folder, find_weights, PACKAGES
from clinspan.lms.weights.outlook import parameter_count
from clinspan.lms.weights.placement import device_of

_BYTES = 4  # of a parameter in float32; half of it in the half precision of GPUs


def model_verdicts(spec: object) -> Iterator[Verdict]:
    """Verdicts about the model of a spec."""
    if isinstance(spec, lms.LocalModel | lms.ClassifierModel):
        yield from _local(spec)
    elif isinstance(spec, lms.AzureModel | lms.OpenAIModel):
        yield from _remote(spec)
    elif isinstance(spec, lms.ReplayModel) and not (spec.path and Path(spec.path).expanduser().is_file()):
        yield Verdict("model", "error", 1, f"model={spec.name} has no file of recorded outputs", "model.path=FILE.jsonl")


def _local(spec: Loadable) -> Iterator[Verdict]:
    name = f"model={spec.name}"
    try:
        folder = weights_here(spec)
    except ModelError as error:
        yield Verdict("weights", "error", 1, str(error))
        return
    if folder is None:
        ways = ["clinspan run limit=1 fetches them" if spec.package else "", f"hf download {spec.hub_id}" if spec.hub_id else ""]
        remedy = "; ".join(way for way in ways if way) or "model.path=FOLDER"
        yield Verdict("weights", "error", 1, f"{name}: no weights on this machine", remedy)
        return
    yield Verdict("weights", "ok", 0, f"{name}: weights in {folder}")
    count = parameter_count(folder)
    if count is None:
        return
    device = device_of(spec) if isinstance(spec, lms.LocalModel) else "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = device.startswith("cuda")
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    needed = count * (_BYTES // 2 if on_gpu else _BYTES)
    size = (
        f"{name} has {count / 1e6:,.0f} million parameters, about {needed / 1e9:.1f} GB on {device}; {free / 1e9:.1f} GB are free"
    )
    if needed > free:
        remedy = (
            "model.device_map=auto or model.quantization=4bit" if on_gpu else "Use a smaller model, or model=openai with a server"
        )
        yield Verdict("memory", "error", 1, size, remedy)
    else:
        yield Verdict("memory", "ok", 0, size)


def weights_here(spec: Loadable) -> Path | None:
    """The folder of weights that are on this machine; None if there is none.

    Raises:
        ModelError: A path, an adapter or an installed package cannot be used.
    """
    if spec.path or (spec.package and ":" in spec.package):
        return find_weights(spec).folder
    packaged = PACKAGES.get(spec.package or "")
    if packaged is not None:
        folder = cache_folder() / "weights" / f"{Path(packaged.member).stem}-{packaged.sha256[:12]}"
        if folder.is_dir():
            return folder
    if spec.hub_id:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(spec.hub_id, "config.json", revision=spec.revision)
        if isinstance(found, str) and any(Path(found).parent.glob("*.safetensors")):
            return Path(found).parent
    return None


def _remote(spec: lms.AzureModel | lms.OpenAIModel) -> Iterator[Verdict]:
    name = f"model={spec.name}"
    try:
        addresses = spec.endpoints
    except ModelError as error:
        yield Verdict("server", "error", 1, str(error), "Export the variables in the shell that runs clinspan")
        return
    yield Verdict(
        "server", "ok", 0, f"{name}: {len(addresses)} {'address' if len(addresses) == 1 else 'addresses'} named (not asked)"
    )
    if isinstance(spec, lms.AzureModel) and spec.auth == "entra":
        return
    variable = "AZURE_OPENAI_API_KEY" if isinstance(spec, lms.AzureModel) else spec.key_variable
    if os.environ.get(variable, "").strip():
        yield Verdict("key", "ok", 0, f"{variable} is set")
    elif isinstance(spec, lms.AzureModel):
        yield Verdict("key", "error", 1, f"{variable} is not set", f"export {variable}=..., or model.auth=entra")
    else:
        yield Verdict("key", "warning", 1, f"{variable} is not set", f"export {variable}=... if the server asks for a key")
