"""LoRA weights: identified by content and merged into the base model on loading."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinspan.lms.errors import ModelError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NOTE = "tuning.json"
"""The tuning note, a file beside tuned weights: it names their base model and holds a digest of the tuned weights."""
_REMEDY = "give model.adapter=FOLDER/model of a run of programs.finetune with tuning=lora, or a folder that peft saved"
_DECIDING = ("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora")


@contextmanager
def calm() -> Iterator[None]:
    """Suppress transformers' deprecation warnings about names that peft uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def find_adapter(place: str, *, name: str, model_id: str, task: str) -> tuple[Path, str]:
    """An adapter's folder, and a digest of everything that decides its effect.

    Args:
        place: The folder, as the user gave it.
        name: Name of the base model that it is applied to.
        model_id: Id of that model.
        task: The task that the adapter is used for, in peft's terms: `CAUSAL_LM` or `TOKEN_CLS`.

    Raises:
        ModelError: The folder holds no adapter, or one that was tuned on another model or for another task.
    """
    folder = Path(place).expanduser()
    if not (folder / CONFIG).is_file():
        if (folder / "config.json").is_file():
            raise ModelError(f"model.adapter={place} is a whole model, not an adapter: give it as model.path={place}")
        raise ModelError(f"model.adapter={place} holds no {CONFIG}: {_REMEDY}")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"model.adapter={place} holds no {WEIGHTS}: {_REMEDY}")
    if (kind := _read(folder / CONFIG).get("peft_type")) != "LORA":
        raise ModelError(f"model.adapter={place} is of the kind {kind}, and only LORA can be merged: {_REMEDY}")
    classifies = _read(folder / CONFIG).get("task_type") == "TOKEN_CLS"
    if classifies and task != "TOKEN_CLS":
        raise ModelError(f"model.adapter={place} classifies tokens and answers no prompt: use it with model=label_supervised")
    note = _read(folder / NOTE) if (folder / NOTE).is_file() else {}
    if note and name != note.get("name") and model_id != note.get("id"):
        raise ModelError(f"model.adapter={place} was tuned on {note.get('name')}: use it with model={note.get('name')}, not {name}")
    if task == "TOKEN_CLS" and not (classifies and note.get("classes")):
        remedy = "give model.adapter=FOLDER/model of a run of programs.finetune with tuning=label_supervised"
        raise ModelError(f"model.adapter={place} has no head with named classes: {remedy}")
    return folder, adapter_digest(folder)


def adapter_digest(folder: Path) -> str:
    """A digest of an adapter's weights and of the settings that scale them: 12 hexadecimal digits."""
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes())
    config = _read(folder / CONFIG)
    digest.update(json.dumps([config.get(key) for key in _DECIDING], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def apply_adapter(model: Any, folder: Path, *, merge: bool) -> Any:
    """Add an adapter's weights to a model.

    Args:
        model: A transformers model without an adapter.
        folder: The adapter's folder.
        merge: Whether to merge them into the model's own weights, which keeps inference as fast as before. Leave the adapter of
            a quantized model separate: merging would round its weights again.

    Raises:
        ModelError: The adapter does not fit the model.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        with calm():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, UserWarning, SafetensorError) as error:
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"model.adapter={folder} does not fit this model ({problem}): use it with the one it was tuned on"
        ) from None
    return adapted.merge_and_unload() if merge else adapted.get_base_model()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({type(error).__name__}): {_REMEDY}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object: {_REMEDY}")
    return content
