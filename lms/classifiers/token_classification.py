"""Token-classification heads: loading models that have one, and batched inference.

An encoder reads in both directions by itself. A decoder does without its causal mask (Li et al. 2023, "Label supervised
LLaMA finetuning"): it is given a mask of four dimensions, which transformers takes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from clinspan.lms.classifiers.subwords import SubwordEncoder, Window
from clinspan.lms.local.oom import free_cached_memory, is_out_of_memory, OutOfMemoryError
from clinspan.lms.weights.load import unloadable

LogProbs = NDArray[np.float32]


def load_head(folder: Path, device: str, classes: Sequence[str] | None = None) -> tuple[Any, Any]:
    """A model in float32 on its device in evaluation mode, and its tokenizer.

    Args:
        folder: Of the weights.
        device: Where it computes.
        classes: Names of the classes; a head of another size is made anew, from torch's random numbers. None: those of the
            folder, which has a head.

    Raises:
        ModelError: The folder cannot be loaded.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    named: dict[str, Any] = {}
    if classes is not None:
        named = {"id2label": dict(enumerate(classes)), "label2id": {name: n for n, name in enumerate(classes)}}
        named |= {"num_labels": len(classes), "ignore_mismatched_sizes": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **named)
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
        raise unloadable(folder, error, use=" as a token classifier") from None
    return model.to(device).eval(), tokenizer


def is_decoder(config: Any) -> bool:
    """Whether a model of this configuration reads from left to right unless it is told otherwise."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    return config.model_type in CAUSAL and config.model_type not in MASKED


def longest_window(model: Any) -> int:
    """How many pieces a model can read at once."""
    config = model.config.get_text_config()
    found = int(getattr(config, "max_position_embeddings", 1 << 30))
    for name, part in model.named_modules():  # RoBERTa's table begins behind the number of its padding
        if name.endswith("position_embeddings") and isinstance(part, torch.nn.Embedding):
            found = min(found, part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    return found


def pad(windows: Sequence[Window], filler: int) -> dict[str, Tensor]:
    """Windows as one batch: `input_ids` and `seen` (false on padding), both of shape (windows, longest)."""
    longest = max(len(window.ids) for window in windows)
    ids = [[*window.ids, *[filler] * (longest - len(window.ids))] for window in windows]
    lengths = torch.tensor([[len(window.ids)] for window in windows])
    return {"input_ids": torch.tensor(ids), "seen": torch.arange(longest)[None, :] < lengths}


def score_pieces(model: Any, ids: Tensor, seen: Tensor) -> Tensor:
    """Logits of shape (windows, pieces, classes); every piece sees all others of its window."""
    if not is_decoder(model.config):
        return model(input_ids=ids, attention_mask=seen.long()).logits
    hidden = torch.zeros(seen.shape, device=ids.device).masked_fill(~seen, torch.finfo(torch.float32).min)
    mask = hidden[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
    return model(input_ids=ids, attention_mask=mask, use_cache=False).logits


@torch.no_grad()
def read_windows(model: Any, sentences: Sequence[Sequence[Window]], *, batch_size: int, filler: int) -> list[LogProbs]:
    """What a model in evaluation mode says of sentences, read in batches of windows alike in length.

    Args:
        model: The model.
        sentences: Their windows.
        batch_size: Windows read together; fewer once memory did not hold so many.
        filler: Stands on padding, where nobody sees it.

    Returns:
        For each sentence natural logarithms of the classes' probabilities, shape (words, classes).

    Raises:
        OutOfMemoryError: Memory does not hold one window.
    """
    order = sorted(((n, window) for n, some in enumerate(sentences) for window in some), key=lambda pair: len(pair[1].ids))
    classes = int(model.config.num_labels)
    found = [np.zeros((sum(len(w.words) for w in some), classes), dtype=np.float32) for some in sentences]
    size, start = batch_size, 0
    while start < len(order):
        batch = order[start : start + size]
        said = _read(model, [window for _, window in batch], filler)
        if said is None:
            free_cached_memory()
            if len(batch) == 1:
                raise OutOfMemoryError(len(batch[0][1].ids))
            size = len(batch) // 2
            continue
        for row, (n, window) in zip(said, batch, strict=True):
            found[n][list(window.words)] = row[list(window.places)]
        start += len(batch)
    return found


def _read(model: Any, windows: Sequence[Window], filler: int) -> LogProbs | None:
    """What a model says of windows that are read together, shape (windows, pieces, classes); None: memory does not hold them."""
    try:
        rows = {key: value.to(model.device) for key, value in pad(windows, filler).items()}
        said: LogProbs = score_pieces(model, rows["input_ids"], rows["seen"]).float().log_softmax(-1).cpu().numpy()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return said


def encode_all(encoder: SubwordEncoder, sentences: Sequence[Sequence[str]]) -> list[list[Window]]:
    """The windows of each sentence."""
    return [encoder.windows(words) for words in sentences]
