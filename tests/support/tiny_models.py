"""Tiny models with random weights, saved in the format of transformers. They test plumbing, not scores."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch

WORDS = "Wilson disease is a rare disorder of copper fever rash no the with and of liver".split()


def word_piece(folder: Path, *, cased: bool = True) -> Any:
    """A WordPiece tokenizer of characters and a few words; the cased one is like Bio_ClinicalBERT's."""
    from transformers import BertTokenizerFast

    signs = string.ascii_letters + string.digits + string.punctuation
    words = [word if cased else word.lower() for word in WORDS]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{sign}" for sign in signs), *words, "##s", "##tic"]
    vocabulary = folder / "vocab.txt"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary.write_text("\n".join(dict.fromkeys(names)) + "\n", encoding="utf-8")
    return BertTokenizerFast(vocab={name: n for n, name in enumerate(dict.fromkeys(names))}, do_lower_case=not cased)


def random_bert(folder: Path, *, cased: bool = True, positions: int = 64, head: bool = False) -> Path:
    """Save a random two-layer BERT as a masked language model (like Bio_ClinicalBERT) or with a token classification head."""
    from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification

    tokenizer = word_piece(folder, cased=cased)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=positions, **sizes)
    (BertForTokenClassification if head else BertForMaskedLM)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer() -> Any:
    """A byte-level tokenizer whose pieces are single bytes, and an end token."""
    from tokenizers import decoders, models, pre_tokenizers, Tokenizer
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate(["<|end|>", *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")


def random_llama(folder: Path, *, layers: int = 2) -> Path:
    """Save a random Llama with a byte-level tokenizer whose pieces are single bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=layers, max_position_embeddings=512, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def random_causal(kind: str, folder: Path) -> Path:
    """Save a random two-layer model of an architecture (the `model_type` of transformers) with the tokenizer of `random_llama`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 4096}
    own: dict[str, dict[str, Any]] = {
        "gpt_oss": {"num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 32, "num_local_experts": 4},
        "diffllama": {"num_key_value_heads": 2, "intermediate_size": 48},
        "deepseek_v3": {
            **{"num_key_value_heads": 2, "intermediate_size": 48, "moe_intermediate_size": 16, "n_routed_experts": 4, "n_group": 1},
            **{"topk_group": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "q_lora_rank": 16, "kv_lora_rank": 16},
            **{"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
        },
        "mamba": {"state_size": 8, "time_step_rank": 4},
        "rwkv": {"context_length": 4096, "attention_hidden_size": 32, "intermediate_size": 48},
    }
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), initializer_range=0.2, **sizes, **own.get(kind, {}))
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_encoder(folder: Path) -> Path:
    """Save a program with a two-layer BERT that has learnt that fever and rash are signs."""
    from transformers import AutoTokenizer, BertForTokenClassification

    names = dict(enumerate(["O", "B-Sign", "I-Sign"]))
    path = random_bert(folder / "model", cased=False, head=True)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = BertForTokenClassification.from_pretrained(path, num_labels=3, id2label=names, ignore_mismatched_sizes=True)
    batch = tokenizer("the fever and rash with no liver of copper is rare", return_tensors="pt")
    labels = torch.tensor([[0, 0, 1, 0, 1, *[0] * (batch["input_ids"].shape[1] - 5)]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(path)
    about = {"model": "bioclinicalbert", "use": "path", "folder": "model"}
    (folder / "program.json").write_text(json.dumps({"clinspan": 1, "labels": ["Sign"], "classifier": about}))
    return folder
