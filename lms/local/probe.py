"""Checks of a model when it is loaded: the logits of a few tokens must not depend on the way in which they are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clinspan.lms.errors import ModelError

PROBE = (1, 2, 3) * 6
"""Tokens that every model has."""
_ROUNDING = {torch.float32: 0.01}
_ROUNDING_OF_HALF = 0.1


def require_attention_interface(model: Any) -> None:
    """Check that a model can compute with another attention than its own.

    Raises:
        ModelError: The model's code does not use transformers' attention interface.
    """
    if not getattr(model, "_supports_attention_backend", False):
        kind = type(model).__name__
        raise ModelError(f"{kind} does not use transformers' attention interface: set model.engine=generate")


def same_logits(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether logits differ by no more than rounding in the model's `dtype` explains.

    The difference is taken as root mean square, relative to the spread of the expected logits.

    >>> logits = torch.tensor([0.0, 1.0, 2.0])
    >>> same_logits(logits + 1e-4, logits, torch.float32), same_logits(logits.flip(0), logits, torch.bfloat16)
    (True, False)
    """
    found, expected = found.float(), expected.float()
    difference = (found - expected).square().mean().sqrt()
    return bool(difference <= _ROUNDING.get(dtype, _ROUNDING_OF_HALF) * expected.std(correction=0))
