"""Layer-wise learning rates: the lower a layer, the lower its rate."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from clinspan.lms import ModelError

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks)\.(\d+)\.")


def rate_groups(model: Any, rate: float, decay: float, *, weight_decay: float, decayed: Collection[str]) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer.

    The embeddings are layer 0. Layer l of a model with L layers has the rate `rate * decay ** (L - l)`, the head has `rate`.

    Args:
        model: The model.
        rate: The highest learning rate.
        decay: Rate of a layer, relative to the layer above it.
        weight_decay: Weight decay.
        decayed: Names of the parameters that have weight decay.

    Raises:
        ModelError: The model's parameters have no numbered layers.
    """
    trained = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    layers = [int(found[1]) for name, _ in trained if (found := _LAYER.search(name))]
    if not layers:
        raise ModelError("the model's parameters name no layers: leave tuning.layer_decay out")
    depth = max(layers) + 1
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, tensor in trained:
        groups.setdefault((_level(name, depth), name in decayed), []).append(tensor)
    return [
        {"params": tensors, "lr": rate * decay ** (depth - level), "weight_decay": weight_decay if decays else 0.0}
        for (level, decays), tensors in sorted(groups.items(), key=lambda item: item[0])
    ]


def _level(name: str, depth: int) -> int:
    """
    >>> [_level(name, 6) for name in ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.4.bias", "classifier.bias")]
    [0, 5, 6]
    """
    if found := _LAYER.search(name):
        return int(found[1]) + 1
    return 0 if "embed" in name else depth
