"""Models of the Llama family with random weights: the architecture and the kind of tokenizer of the paper's local models.

The tokenizer works like Llama 2's: BPE on text in which `▁` replaces spaces, with one `▁` before every text. Text that no piece
covers becomes byte tokens (a line end is `<0x0A>`). `<s>` starts every prompt. The merges are learnt from the bundled articles.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clinspan.corpora.sources import ARTICLES

CONTROL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{n:02X}>" for n in range(256)]


def learnt_pieces(size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Learn about `size` pieces, and their merges, within the words of the articles."""
    from tokenizers import models, normalizers, pre_tokenizers, Tokenizer, trainers

    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    texts = [path.read_text(encoding="utf-8").replace("\n", " ") for path in sorted(ARTICLES.glob("*.md"))]
    inner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(inner.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].__getitem__), [tuple(pair) for pair in model["merges"]]


def llama_tokenizer(folder: Path, *, size: int = 600) -> Path:
    """Write the files of a tokenizer as the hub stores Llama 2's."""
    from tokenizers import AddedToken, decoders, models, normalizers, processors, Tokenizer

    pieces, merges = learnt_pieces(size)
    vocab = {piece: n for n, piece in enumerate(dict.fromkeys([*CONTROL, *BYTES, *pieces]))}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])]
    )
    inner.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in CONTROL])
    folder.mkdir(parents=True, exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    about: dict[str, Any] = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False}
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps({**about, **names}), encoding="utf-8")
    return folder


def random_llama_family(folder: Path, *, seed: int = 0, positions: int = 4096) -> Path:
    """Save a two-layer Llama with random weights in half precision and its tokenizer in one folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    llama_tokenizer(folder)
    size = len(AutoTokenizer.from_pretrained(folder))
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=positions,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).to(torch.float16).save_pretrained(folder)
    return folder
