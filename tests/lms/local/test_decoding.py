"""Our decoding against transformers' own greedy `generate`, on real weights and on every kind of attention."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clinspan.lms import lm15, LocalModel, ModelError, PromptTooLongError
from clinspan.lms.local.attention import NAME
from clinspan.lms.local.decoding import Decoder, shared_prefix
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.sequence import Prompt

PROMPTS = [
    "Wilson disease is a disorder of",
    "A fever of unknown origin",
    "The patient reports headache, nausea and",
    "Copper",
    "Seizures began at the age of three years and were hard to treat, so that",
]
SYSTEM = "You are a careful clinician. " * 12


def plain_generate(model: Any, tokenizer: Any, ids: tuple[int, ...], budget: int) -> list[int]:
    """What a user of transformers would get, one prompt at a time, with its own attention."""
    model.set_attn_implementation("eager")
    try:
        out = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=budget,
            do_sample=False,
            pad_token_id=0,
        )
    finally:
        model.set_attn_implementation(NAME)
    said: list[int] = out[0][len(ids) :].tolist()
    return said


def request(text: str, **extensions: Any) -> lm15.Request:
    config = lm15.Config(max_tokens=None if "longest" in extensions else 24, extensions=extensions or None)
    return lm15.Request(model="m", system=SYSTEM, messages=(lm15.Message.user(text),), config=config)


@pytest.mark.long
@pytest.mark.weights
def test_a_batch_says_what_each_prompt_alone_says_with_plain_generate(engine: TransformersEngine) -> None:
    prompts = [engine.prompt(request(text)) for text in PROMPTS]
    assert shared_prefix(prompts) > 50
    answers = engine.decoder.decode(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        said = plain_generate(engine.model, engine.tokenizer, prompt.ids, prompt.budget)
        assert answer.text == engine.tokenizer.decode(said, skip_special_tokens=True)
        assert len(answer.ids) == len(said)


@pytest.mark.long
@pytest.mark.weights
def test_what_ran_before_changes_nothing(engine: TransformersEngine) -> None:
    prompts = [engine.prompt(request(text)) for text in PROMPTS]
    before = engine.decoder.decode(prompts)
    engine.decoder.decode([engine.prompt(request("Something else entirely"))])
    assert engine.decoder.decode(prompts) == before


@pytest.mark.long
@pytest.mark.weights
def test_budget_stops_and_lines(engine: TransformersEngine) -> None:
    base = engine.prompt(request("Write a shopping list of ten fruits as a numbered list."))
    cut = engine.decoder.decode([Prompt(base.ids, base.fixed, 5, ())])[0]
    assert (len(cut.ids), cut.finish) == (5, "length")
    whole = engine.decoder.decode([Prompt(base.ids, base.fixed, 60, ())])[0].text
    lines = engine.decoder.decode([Prompt(base.ids, base.fixed, 60, (), 2)])[0]
    assert lines.finish == "stop"
    assert lines.text.count("\n") == 2
    assert whole.count("\n") > 2
    word = whole.split()[3]
    stopped = engine.decoder.decode([Prompt(base.ids, base.fixed, 60, (word,))])[0]
    assert stopped.text == whole.split(word, 1)[0]
    assert stopped.finish == "stop"


@pytest.mark.weights
def test_a_prompt_that_does_not_fit_is_refused_before_anything_runs(engine: TransformersEngine) -> None:
    with pytest.raises(PromptTooLongError, match="the model holds 8192"):
        engine.complete(request("pain " * 9000))


@pytest.mark.weights
def test_the_budget_is_counted_from_the_longest_answer(engine: TransformersEngine) -> None:
    longest = "word : B-SkinRareDisease\n" * 40
    tokens = len(engine.tokenizer(longest)["input_ids"])
    asked = request("x", longest=longest)
    assert engine.prompt(asked).budget == tokens + 16
    lower = replace(asked, config=replace(asked.config, max_tokens=24))
    assert engine.prompt(lower).budget == 24


def tiny(kind: str) -> Any:
    """A model with random weights: for tests of plumbing only."""
    from transformers import (
        Gemma2Config,
        Gemma2ForCausalLM,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
    )

    torch.manual_seed(0)
    size = {"vocab_size": 300, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 6}
    ends = {"eos_token_id": 299, "bos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=48, n_layer=3, n_head=6, **ends)).eval()
    if kind == "mistral-window":
        return MistralForCausalLM(MistralConfig(**size, num_key_value_heads=2, sliding_window=8, **ends)).eval()
    if kind == "gemma2":
        options = {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8, **ends}
        return Gemma2ForCausalLM(Gemma2Config(**size, num_key_value_heads=2, **options)).eval()
    return LlamaForCausalLM(LlamaConfig(**size, num_key_value_heads=2, **ends)).eval()


class Numbers:
    """Token ids as their own text, so that models with random weights need no tokenizer."""

    eos_token_id = 299
    all_special_tokens: tuple[str, ...] = ()

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return " ".join(map(str, ids))


@pytest.mark.parametrize("kind", ["llama", "mistral-window", "gpt2", "gemma2"])
def test_architectures_with_random_weights_decode_as_generate_does(kind: str) -> None:
    model = tiny(kind)
    decoder = Decoder(model, Numbers())
    generator = torch.Generator().manual_seed(1)
    common = tuple(torch.randint(2, 290, (14,), generator=generator).tolist())
    prompts = []
    for length in (1, 3, 9, 20):
        ids = (*common, *torch.randint(2, 290, (length,), generator=generator).tolist())
        prompts.append(Prompt(ids, len(common), 12, ()))
    answers = decoder.decode(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        said = plain_generate(model, None, prompt.ids, 12)
        body = said[:-1] if said[-1] == 299 else said
        assert answer.text == " ".join(map(str, body))


def test_a_model_without_the_attention_interface_is_refused() -> None:
    class Strange:
        """No transformers model at all."""

    with pytest.raises(ModelError, match="Strange does not use transformers' attention interface"):
        Decoder(Strange(), Numbers())


@pytest.mark.parametrize("template", ["alpaca", "plain", "universalner"])
def test_a_llama_from_disk_goes_through_template_engine_and_back(template: str, tmp_path: Path, smollm2: LocalModel) -> None:
    """Random weights of Llama's architecture with a real tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from clinspan.lms.weights.find import find_weights

    tokenizer = AutoTokenizer.from_pretrained(find_weights(smollm2).folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = TransformersEngine(LocalModel(name="tiny", path=str(tmp_path), template=template, stop=["\n\n\n"]))
    response = engine.complete(request("No fever"))
    assert response.usage.output_tokens <= 24
    assert response.usage.input_tokens == len(engine.prompt(request("No fever")).ids)
    assert engine.weights.revision.startswith("folder:")
    assert TransformersEngine.load_state(engine.dump_state()).complete(request("No fever")).message.text == response.message.text


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_quantization_without_its_library_or_cuda_says_so(quantization: str, smollm2: LocalModel) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    spec = LocalModel(name="x", package=smollm2.package, quantization=quantization)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=f"model.quantization={quantization} needs"):
        TransformersEngine(spec)
