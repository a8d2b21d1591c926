"""Checks of a model when it is loaded: the logits of a few tokens must not depend on the way in which they are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clinspan.lms.errors import ModelError

PROBE = (1, 2, 3) * 6
"""Tokens that every model has."""


def require_attention_interface(model: Any) -> None:
    """Check that a model can compute with another attention than its own.

    Raises:
        ModelError: The model's code does not use transformers' attention interface.
    """
    if not getattr(model, "_supports_attention_backend", False):
        kind = type(model).__name__
        raise ModelError(f"{kind} does not use transformers' attention interface: set model.engine=generate")


def rounding(model: Any) -> float:
    """By how much rounding may change logits, relative to their spread: 135M parameters differ by 3e-6, in bfloat16 by 0.04."""
    exact = model.dtype == torch.float32 and not getattr(model, "is_quantized", False)
    return 0.01 if exact else 0.1


def same_logits(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether the root mean square of differences of logits is at most `tolerance`, relative to the spread of the expected ones.

    >>> logits = torch.tensor([0.0, 1.0, 2.0])
    >>> same_logits(logits + 1e-4, logits, 0.01), same_logits(logits.flip(0), logits, 0.1)
    (True, False)
    """
    found, expected = found.float(), expected.float()
    difference = (found - expected).square().mean().sqrt()
    return bool(difference <= tolerance * expected.std(correction=0))
