"""Starts decoding on a loaded model, after a check on a few tokens."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TYPE_CHECKING

from clinspan.lms.errors import ModelError
from clinspan.lms.local.oom import is_out_of_memory
from clinspan.lms.specs import LocalModel
from clinspan.lms.weights.placement import devices_of, is_spread

if TYPE_CHECKING:
    from clinspan.lms.local.decoding import Decoder


def started(
    spec: LocalModel, model: Any, start: Callable[[], Decoder], generate: Callable[[], Any], remedy: str
) -> tuple[Any, LocalModel]:
    """What decodes batches on a loaded model, and the spec with the engine in use.

    A model that is spread over devices and that packed passes do not compute is run by transformers' own generation.

    Args:
        spec: The model.
        model: It, loaded.
        start: Makes and checks the decoder of the spec's engine.
        generate: Makes the decoder of `engine=generate`.
        remedy: What to do where `start` fails, for the message.

    Raises:
        ModelError: The model, or this release of PyTorch or transformers, cannot be used in this way.
    """
    own_attention = getattr(model.config, "_attn_implementation", None)
    try:
        return start(), spec
    except Exception as error:  # an architecture's own code may raise anything
        if is_out_of_memory(error):
            raise
        problem = error if isinstance(error, ModelError) else _unusable(error, spec, model, remedy)
    if spec.engine != "packed" or not is_spread(model):
        raise problem from None
    print(f"clinspan: {problem}. The model is on {', '.join(devices_of(model))}, so model.engine=generate is used", file=sys.stderr)
    if own_attention != model.config._attn_implementation:
        model.set_attn_implementation(own_attention)
    return generate(), dataclasses.replace(spec, engine="generate")


def _unusable(error: Exception, spec: LocalModel, model: Any, remedy: str) -> ModelError:
    cause = (str(error).strip().splitlines() or [""])[0][:120]
    how = f"{type(model).__name__} does not run with model.engine={spec.engine}"
    return ModelError(f"{how} ({type(error).__name__}: {cause}): {remedy}")
