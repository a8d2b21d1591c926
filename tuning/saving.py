"""Saves a trained model atomically, with a note of its base weights and provenance."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinspan.lms.weights.find import file_digest, Weights
from clinspan.lms.weights.lora import NOTE

MODEL, CHECKPOINTS = "model", "checkpoints"


def save_model(model: Any, tokenizer: Any, folder: Path, *, name: str, weights: Weights, more: Mapping[str, Any]) -> None:
    """Write a model with its tokenizer, or its trained adapter alone, and a note.

    Args:
        model: A transformers model, or a peft one.
        tokenizer: The model's tokenizer.
        folder: The folder to write; an earlier one is replaced.
        name: Name of the base model.
        weights: The base weights.
        more: Further entries of the note.
    """
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    model.config.use_cache = True
    if hasattr(model, "peft_config"):
        model.peft_config["default"].base_model_name_or_path = weights.id
        model.save_pretrained(scratch, save_embedding_layers=False)
        (scratch / "README.md").unlink(missing_ok=True)  # an empty model card that peft writes
    else:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
    write_note(scratch, {"name": name, "id": weights.id, "revision": weights.revision, **more})
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def write_note(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the note beside the weights of a folder, with a digest of these weights."""
    digest = hashlib.sha256("".join(file_digest(path) for path in sorted(folder.glob("*.safetensors"))).encode()).hexdigest()
    (folder / NOTE).write_text(json.dumps({**content, "sha256": digest}, indent=2) + "\n", encoding="utf-8")
