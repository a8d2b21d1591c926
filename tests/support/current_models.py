"""Models of current architectures with random weights, and equivalents of their chat templates. They test plumbing, not scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

CHATML = """{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""
"""Like Qwen 3: ChatML turns, and an empty thinking block if thinking is disabled."""
LLAMA3 = """{{- '<|begin_of_text|>' }}{%- for m in messages %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
GEMMA = """{{- '<bos>' }}{%- if messages[0].role == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}
{%- for m in messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('roles must alternate') }}{%- endif %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else 'user') + '\\n' + m.content | trim }}
{{- '<end_of_turn>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""
"""Like Gemma: no system role, and roles must alternate."""

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}


def control_tokenizer(control: list[str], template: str, *, eos: str) -> Any:
    """A byte-level tokenizer with control tokens and a chat template."""
    from tokenizers import decoders, models, pre_tokenizers, Tokenizer
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate([*control, *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos)
    tokenizer.add_special_tokens({"additional_special_tokens": [mark for mark in control if mark not in ("<think>", "</think>")]})
    tokenizer.chat_template = template
    return tokenizer


def random_current(kind: str, folder: Path) -> Path:
    """Save a model of a kind: `qwen3`, `llama31`, `gemma3` (text only) or `medgemma` (with a vision part, which stays unused)."""
    from transformers import (
        Gemma3Config,
        Gemma3ForCausalLM,
        Gemma3ForConditionalGeneration,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    torch.manual_seed(0)
    if kind == "qwen3":
        tokenizer = control_tokenizer(
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"], CHATML, eos="<|im_end|>"
        )
        config = Qwen3Config(vocab_size=len(tokenizer), num_key_value_heads=2, head_dim=16, max_position_embeddings=8192, **SIZES)
        model: Any = Qwen3ForCausalLM(config)
        for layer in model.model.layers:  # weights of 1 would hide a missing norm
            torch.nn.init.uniform_(layer.self_attn.q_norm.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.self_attn.k_norm.weight, 0.5, 1.5)
    elif kind == "llama31":
        marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        tokenizer = control_tokenizer(marks, LLAMA3, eos="<|eot_id|>")
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 500000.0}
        rope = {**scaling, "original_max_position_embeddings": 64}
        config = LlamaConfig(
            vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=8192, rope_parameters=rope, **SIZES
        )
        model = LlamaForCausalLM(config)
    else:
        tokenizer = control_tokenizer(["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"], GEMMA, eos="<eos>")
        kinds = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
        text: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 24, "layer_types": kinds, **SIZES}
        inner = Gemma3TextConfig(vocab_size=len(tokenizer), max_position_embeddings=8192, query_pre_attn_scalar=16, **text)
        if kind == "gemma3":
            model = Gemma3ForCausalLM(inner)
        else:
            eyes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28}
            whole = Gemma3Config(text_config=inner.to_dict(), vision_config={**eyes, "patch_size": 14}, mm_tokens_per_image=4)
            model = Gemma3ForConditionalGeneration(whole)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def random_gguf(path: Path) -> Path:
    """Write a GGUF file of a Llama with random weights, a byte-level vocabulary and a ChatML template."""
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    rng = np.random.default_rng(0)
    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(8192)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types([3, 3, 3, *[1] * (len(pieces) - 3)])
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(2)
    writer.add_bos_token_id(1)
    writer.add_chat_template(CHATML)
    shapes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
    shapes |= {"ffn_gate": (48, 32), "ffn_up": (48, 32), "ffn_down": (32, 48)}

    def add(name: str, *shape: int) -> None:
        values = rng.normal(0.0, 0.2, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(pieces), 32)
    add("output.weight", len(pieces), 32)
    add("output_norm.weight", 32)
    for layer in range(2):
        add(f"blk.{layer}.attn_norm.weight", 32)
        add(f"blk.{layer}.ffn_norm.weight", 32)
        for name, shape in shapes.items():
            add(f"blk.{layer}.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
