"""Memory: what a token takes, out-of-memory errors, and freeing cached memory."""

from __future__ import annotations

import gc
import re
from typing import Any

_SAYS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)


class OutOfMemoryError(RuntimeError):
    """One sentence alone is more than memory holds; others may be shorter.

    Args:
        tokens: How many it has, with its prompt.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        super().__init__(f"out of memory with one sentence of {tokens} tokens")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of too little memory: torch says so by a class of its own on GPUs, elsewhere in words alone."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError, OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and _SAYS.search(str(error)) is not None


def token_bytes(model: Any) -> int:
    """Bytes of one token's keys and values in all layers; for models without attention, an upper bound."""
    config = model.config.get_text_config()
    queries = getattr(config, "num_attention_heads", 1)
    heads = getattr(config, "num_key_value_heads", None) or queries
    size = getattr(config, "head_dim", None) or config.hidden_size // queries
    return int(config.num_hidden_layers * heads * size * 2 * model.dtype.itemsize)


def free_cached_memory() -> None:
    """Return to the system what nobody holds any more, so that the next try finds room."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
