"""Token-classification heads: loading models that have one, and batched inference.

An encoder attends in both directions. A decoder is used without its causal mask (Li et al. 2023, "Label supervised
LLaMA finetuning"): it gets a four-dimensional mask, which transformers uses unchanged.
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
    """Load a model in float32 on its device in evaluation mode, and its tokenizer.

    Args:
        folder: Folder of the weights.
        device: Device of the model.
        classes: Names of the classes; a head of another size is replaced by one with random weights from torch's generator.
            None: the classes of the folder's own head.

    Raises:
        ModelError: The folder cannot be loaded.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    options: dict[str, Any] = {}
    if classes is not None:
        options = {"id2label": dict(enumerate(classes)), "label2id": {name: n for n, name in enumerate(classes)}}
        options |= {"num_labels": len(classes), "ignore_mismatched_sizes": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
        raise unloadable(folder, error, use=" as a token classifier") from None
    return model.to(device).eval(), tokenizer


def layer_width(config: Any) -> int:
    """Number of classes that exclude each other: all, or those of a label if each has tags of its own, `O-Sign` and so on."""
    first = str(config.id2label.get(0, ""))
    return 3 if first.startswith("O-") and config.num_labels % 3 == 0 else int(config.num_labels)


def is_decoder(config: Any) -> bool:
    """Whether a model of this configuration has a causal mask by default."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    return config.model_type in CAUSAL and config.model_type not in MASKED


def longest_window(model: Any) -> int:
    """Maximum number of pieces that a model can read at once."""
    config = model.config.get_text_config()
    longest = int(getattr(config, "max_position_embeddings", 1 << 30))
    for name, part in model.named_modules():  # RoBERTa's positions begin after the padding index
        if name.endswith("position_embeddings") and isinstance(part, torch.nn.Embedding):
            longest = min(longest, part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    return longest


def pad(windows: Sequence[Window], filler: int) -> dict[str, Tensor]:
    """Pad windows to one batch: `input_ids` and `seen` (false on padding), both of shape (windows, longest)."""
    longest = max(len(window.ids) for window in windows)
    ids = [[*window.ids, *[filler] * (longest - len(window.ids))] for window in windows]
    lengths = torch.tensor([[len(window.ids)] for window in windows])
    return {"input_ids": torch.tensor(ids), "seen": torch.arange(longest)[None, :] < lengths}


def score_pieces(model: Any, ids: Tensor, seen: Tensor) -> Tensor:
    """Logits of shape (windows, pieces, classes); every piece attends to its whole window."""
    if not is_decoder(model.config):
        return model(input_ids=ids, attention_mask=seen.long()).logits
    padding_bias = torch.zeros(seen.shape, device=ids.device).masked_fill(~seen, torch.finfo(torch.float32).min)
    mask = padding_bias[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
    return model(input_ids=ids, attention_mask=mask, use_cache=False).logits


@torch.no_grad()
def read_windows(model: Any, sentences: Sequence[Sequence[Window]], *, batch_size: int, filler: int) -> list[LogProbs]:
    """Classify sentences in batches of windows of similar length.

    Args:
        model: A model in evaluation mode.
        sentences: The windows of each sentence.
        batch_size: Windows in a batch; halved whenever memory does not hold a batch.
        filler: Piece id for padding, which no piece attends to.

    Returns:
        For each sentence the natural logarithms of the class probabilities, shape (words, classes).

    Raises:
        OutOfMemoryError: Memory does not hold a single window.
    """
    order = sorted(((n, window) for n, windows in enumerate(sentences) for window in windows), key=lambda pair: len(pair[1].ids))
    classes = int(model.config.num_labels)
    log_probs = [np.zeros((sum(len(w.words) for w in windows), classes), dtype=np.float32) for windows in sentences]
    size, start = batch_size, 0
    while start < len(order):
        batch = order[start : start + size]
        batch_log_probs = _read(model, [window for _, window in batch], filler)
        if batch_log_probs is None:
            free_cached_memory()
            if len(batch) == 1:
                raise OutOfMemoryError(len(batch[0][1].ids))
            size = len(batch) // 2
            continue
        for row, (n, window) in zip(batch_log_probs, batch, strict=True):
            log_probs[n][list(window.words)] = row[list(window.places)]
        start += len(batch)
    return log_probs


def _read(model: Any, windows: Sequence[Window], filler: int) -> LogProbs | None:
    """Log probabilities for a batch of windows, shape (windows, pieces, classes); None if memory does not hold it."""
    try:
        inputs = {key: value.to(model.device) for key, value in pad(windows, filler).items()}
        logits = score_pieces(model, inputs["input_ids"], inputs["seen"]).float()
        by_layer = logits.unflatten(-1, (-1, layer_width(model.config))).log_softmax(-1)
        log_probs: LogProbs = by_layer.flatten(-2).cpu().numpy()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return log_probs


def encode_all(encoder: SubwordEncoder, sentences: Sequence[Sequence[str]]) -> list[list[Window]]:
    """The windows of each sentence."""
    return [encoder.windows(words) for words in sentences]
