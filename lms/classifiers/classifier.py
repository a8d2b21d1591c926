"""A fine-tuned token classifier: words in, a probability per word and class out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clinspan.lms.classifiers.members import load_members, mean_log_probs
from clinspan.lms.classifiers.subwords import SubwordEncoder
from clinspan.lms.classifiers.token_classification import encode_all, load_head, LogProbs, longest_window, read_windows
from clinspan.lms.errors import ModelError
from clinspan.lms.specs import ClassifierModel
from clinspan.lms.weights.find import find_weights, has_head, Weights
from clinspan.lms.weights.lora import apply_adapter, NOTE
from clinspan.lms.weights.placement import device_of

WINDOW = 512
_ENTRIES = {"classes": list, "members": int, "window": int, "base": dict, "name": str, "id": str}
"""Entries of the note that are read here, and their types."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A model's predictions for the words of a sentence.

    Attributes:
        log_probs: Natural logarithms of the class probabilities, shape (words, classes).
        pieces: Number of sub-word pieces read for it, including special pieces and those read twice.
        windows: Number of windows that it was read in; more than one if it is longer than the model reads at once.
    """

    log_probs: LogProbs
    pieces: int
    windows: int = 1


class TokenClassifier:
    """A loaded token-classification model.

    Args:
        spec: The specification of the model.

    Attributes:
        note: The note that training wrote beside the weights; empty for other weights.
        members: The models whose probabilities are averaged.

    Raises:
        ModelError: The model is not available, or has no fine-tuned head.
    """

    def __init__(self, spec: ClassifierModel) -> None:
        self.spec = with_base(spec)
        self.weights: Weights = find_weights(self.spec)
        self.note = note = read_note(self.weights.adapter or self.weights.folder)
        device = device_of(spec)
        if self.weights.adapter is not None:
            base, tokenizer = load_head(self.weights.folder, device, note.get("classes") or ())
            self.model = apply_adapter(base, self.weights.adapter, merge=True).to(device).eval()
        elif has_head(self.weights.folder):
            self.model, tokenizer = load_head(self.weights.folder, device)
        else:
            raise ModelError(
                f"model={spec.name} is a base model without a head that was tuned: finetune it with tuning=encoder "
                f"model={spec.name}, and run with program=FOLDER of that training"
            )
        self.members = [self.model, *load_members(self.weights.folder, self.model, note.get("members") or 1)]
        class_names = self.model.config.id2label
        self.classes = tuple(str(class_names[n]) for n in range(self.model.config.num_labels))
        self.encoder = SubwordEncoder(tokenizer, window=min(note.get("window") or WINDOW, longest_window(self.model)))

    def classify(self, sentences: Sequence[Sequence[str]]) -> list[Reading]:
        """Classify sentences, given as words. Each is read independently; those of similar length share a batch."""
        windows = encode_all(self.encoder, sentences)
        log_probs = mean_log_probs(
            [read_windows(model, windows, batch_size=self.spec.batch_size, filler=self.encoder.filler) for model in self.members]
        )
        pieces = [sum(len(window.ids) for window in parts) for parts in windows]
        return [Reading(table, size, len(parts)) for table, size, parts in zip(log_probs, pieces, windows, strict=True)]


def with_base(spec: ClassifierModel) -> ClassifierModel:
    """Complete a spec that names only an adapter with the base model from the adapter's tuning note.

    Raises:
        ModelError: The spec names no weights.
    """
    if not any((spec.path, spec.adapter, spec.hub_id, spec.package)):
        raise ModelError(
            f"model={spec.name} needs a classifier that was tuned: give model.adapter=FOLDER/model or, where all weights "
            "were trained, model.path=FOLDER/model of a run of programs.finetune"
        )
    if spec.adapter is None:
        return spec
    note = read_note(Path(spec.adapter).expanduser())
    named_spec = replace(spec, name=note.get("name") or spec.name)
    if spec.path or spec.hub_id or spec.package:
        return named_spec
    base = note.get("base") or {}
    return replace(named_spec, hub_id=base.get("hub_id"), revision=base.get("revision"), package=base.get("package"))


def read_note(folder: Path) -> dict[str, Any]:
    """The tuning note that training wrote beside its weights; empty for other weights.

    Raises:
        ModelError: An entry is of another type than training writes.
    """
    try:
        content = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    for key, kind in _ENTRIES.items():
        value = content.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ModelError(f"the entry {key} of {folder / NOTE} is not what training writes there: train the model again")
    return content
