"""Packed decoding of batches against a loop that reads every token anew, with random weights and byte tokens.

The weights are random: they are nobody's model, and are decoded as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import llguidance.hf
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from clinspan.lms.errors import GrammarError, ModelError
from clinspan.lms.local import decoding
from clinspan.lms.local.attention import NAME
from clinspan.lms.local.decoding import Decoder, PASS, shared_prefix
from clinspan.lms.local.sampling import Sampling, uniform
from clinspan.lms.local.sequence import Answer, Prompt
from support.byte_decoding import END, ids_of, TOKENIZER

SYSTEM = "You tag clinical text. "
LABELS = '("O" | "B-Sign" | "B-Symptom" | "I-Sign")'
PROMPTS = ["fever", "no fever and a cough", "rash", "copper in the liver", "ab", "a"]


def random_weights(kind: str = "llama", **sizes: Any) -> Any:
    from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    settings_of_model: dict[str, Any] = {
        "vocab_size": len(TOKENIZER), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "eos_token_id": END, "bos_token_id": 1, "pad_token_id": 0, "initializer_range": 0.4, **sizes,
    }  # fmt: skip
    if kind == "gemma2":  # caps its logits, so they are not those of its last layer
        options = {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 0.5}
        return Gemma2ForCausalLM(Gemma2Config(**settings_of_model, **options)).eval()
    return LlamaForCausalLM(LlamaConfig(**settings_of_model)).eval()


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(random_weights(), TOKENIZER)


def grammar_of(decoder: Decoder, text: str) -> LLMatcher:
    lines = " ".join(f'"{word} : " {LABELS} "\\n"' for word in text.split())
    matcher = LLMatcher(
        llguidance.hf.from_tokenizer(TOKENIZER, n_vocab=decoder.vocabulary), LLMatcher.grammar_from_lark(f"start: {lines}")
    )
    assert not matcher.is_error()
    return matcher


def prompts_of(decoder: Decoder, texts: Sequence[str] = PROMPTS, *, grammar: bool = True, budget: int = 200) -> list[Prompt]:
    fixed = len(ids_of(SYSTEM))
    return [Prompt(ids_of(SYSTEM + t), fixed, budget, matcher=grammar_of(decoder, t) if grammar else None) for t in texts]


def anew(decoder: Decoder, prompt: Prompt) -> tuple[list[int], list[float]]:
    """Plain decoding: at each open place the whole text is read again by transformers alone."""
    sequence = decoder.sequence(prompt, 0)
    while not sequence.finish:
        sequence.plan()
        allowed = sequence.decision_points[0].allowed
        decoder.model.set_attn_implementation("eager")
        with torch.inference_mode():
            logits = decoder.model(torch.tensor([[*prompt.ids, *sequence.output_ids]]), use_cache=False).logits[0, -1].double()
        decoder.model.set_attn_implementation(NAME)
        choices = torch.arange(len(logits)) if allowed is None else torch.from_numpy(allowed)
        row = logits[choices].log_softmax(-1)
        if prompt.sampling is None:
            best = int(row.argmax())
        else:
            best = prompt.sampling.draw(row.numpy(), uniform(prompt.sampling.stream(prompt.ids), len(sequence.output_ids)))
        sequence.take(int(choices[best]), float(row[best]))
    return sequence.output_ids, sequence.logprobs


def same(decoder: Decoder, prompts: Sequence[Prompt], answers: Sequence[Answer | Exception]) -> None:
    assert len(answers) == len(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        assert isinstance(answer, Answer), answer
        ids, logprobs = anew(decoder, prompt)
        assert list(answer.ids) == ids
        assert answer.logprobs == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("rows", [None, 1, 2, 4, 99])
@pytest.mark.parametrize("grammar", [True, False])
def test_answers_and_probabilities_are_those_of_reading_anew(decoder: Decoder, rows: int | None, grammar: bool) -> None:
    prompts = prompts_of(decoder, grammar=grammar, budget=200 if grammar else 12)
    answers = decoder.decode(prompts, rows=rows)
    same(decoder, prompts, answers)
    assert len({answer.text for answer in answers if isinstance(answer, Answer)}) == len(prompts)


@pytest.mark.parametrize("sharing", [0, 1 << 20])
def test_other_heads_other_sharing_and_samples_beside_greedy_answers(sharing: int) -> None:
    capped = Decoder(random_weights("gemma2"), TOKENIZER, prefix_bytes=sharing)
    assert capped.sharing == bool(sharing)
    prompts = prompts_of(capped)
    free = prompts_of(capped, PROMPTS[:2], grammar=False, budget=6)
    sampled = [replace(prompt, sampling=Sampling(2.0, seed=n)) for n, prompt in enumerate([*prompts, *free])]
    mixed = [item for pair in zip([*prompts, *free], sampled, strict=True) for item in pair]
    same(capped, mixed, capped.decode(mixed, rows=5))


@pytest.mark.parametrize("attention_bias", [False, True])
def test_a_bias_of_the_last_layer_counts(attention_bias: bool) -> None:
    model = random_weights(attention_bias=attention_bias)
    torch.manual_seed(5)
    model.lm_head.bias = torch.nn.Parameter(torch.randn(len(TOKENIZER)) * 3)
    biased = Decoder(model, TOKENIZER)
    prompts = [*prompts_of(biased), *prompts_of(biased, PROMPTS[:3], grammar=False, budget=5)]
    same(biased, prompts, biased.decode(prompts))


def test_only_a_few_logits_are_computed_where_the_last_layer_is_plain(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole last layer is never run for answers under a grammar; where logits are capped the model itself gives them."""
    whole: list[int] = []
    monkeypatch.setattr(decoder.model.lm_head, "forward", lambda hidden: whole.append(hidden.shape[0]))
    decoder.decode(prompts_of(decoder))
    assert whole == []
    capped = Decoder(random_weights("gemma2"), TOKENIZER)
    forward = capped.model.lm_head.forward
    monkeypatch.setattr(capped.model.lm_head, "forward", lambda hidden: whole.append(hidden.shape[-2]) or forward(hidden))
    capped.decode(prompts_of(capped, ["fever"]))
    assert whole and all(size == 1 for size in whole)


def test_drafts_save_passes_and_change_nothing(decoder: Decoder) -> None:
    prompts = prompts_of(decoder)
    alone = decoder.decode(prompts)
    before = decoder.passes
    again = decoder.decode([replace(p, draft=a.ids) for p, a in zip(prompts, alone, strict=True) if isinstance(a, Answer)])
    helped = decoder.passes - before
    wrong = decoder.decode([replace(prompt, draft=ids_of("fever : B-Sign\nand : O\n")) for prompt in prompts])
    texts = [[getattr(a, "ids", None) for a in answers] for answers in (alone, again, wrong)]
    assert texts[0] == texts[1] == texts[2]
    assert helped < max(getattr(answer, "passes", 0) for answer in alone)


def test_a_full_pass_takes_no_guesses(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses are free only where a pass has room; the cost of a pass is divided among its rows."""
    seen: list[float] = []
    plan = decoding.SequenceState.plan
    monkeypatch.setattr(decoding.SequenceState, "plan", lambda self, overhead=0.0: seen.append(overhead) or plan(self, overhead))
    single = prompts_of(decoder, ["fever"])
    decoder.decode(single)
    tokens = len(single[0].ids) - shared_prefix(single) + len("fever : ")
    assert seen[0] == pytest.approx(decoder.overhead * (1 - tokens / PASS))
    seen.clear()
    four = prompts_of(decoder, ["fever"] * 4)
    decoder.decode(four)
    certain = sum(len(p.ids) - shared_prefix(four) + len("fever : ") for p in four)
    assert seen[:4] == pytest.approx([decoder.overhead * (1 - certain / PASS) / 4] * 4)
    seen.clear()
    decoder.decode(prompts_of(decoder, ["fever " * 60]))
    assert seen[0] == 0


def test_no_pass_reads_more_than_its_most_tokens(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward = decoder._forward

    def counted(ids: Sequence[int], *given: Any) -> Any:
        sizes.append(len(ids))
        return forward(ids, *given)

    monkeypatch.setattr(decoder, "_forward", counted)
    prompts = prompts_of(decoder, [f"{word} " * 40 for word in PROMPTS[:3]], budget=60)
    before = decoder.passes
    same(decoder, prompts, decoder.decode(prompts))
    assert decoder.passes - before >= len(sizes) - 1
    read = sizes[1:]  # the first reads the shared prefix
    assert max(read) == PASS and read[0] == PASS and min(read) > 0


class Broken:
    """A matcher that fails: at once, or at its second step."""

    def __init__(self, good: Any, after: int) -> None:
        self.good, self.after = good, after

    def deep_copy(self) -> Broken:
        return Broken(self.good.deep_copy(), self.after)

    def consume_tokens(self, tokens: list[int]) -> bool:
        self.after -= 1
        return self.after >= 0 and bool(self.good.consume_tokens(tokens))

    def get_error(self) -> str:
        return "broken"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.good, name)


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("rows", [None, 1, 2])
def test_a_request_that_fails_harms_no_other(
    decoder: Decoder, after: int, rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llguidance.numpy

    fill = llguidance.numpy.fill_next_token_bitmask
    monkeypatch.setattr(llguidance.numpy, "fill_next_token_bitmask", lambda m, *rest: fill(getattr(m, "good", m), *rest))
    prompts = prompts_of(decoder)
    prompts[2] = replace(prompts[2], matcher=Broken(prompts[2].matcher, after))
    told: dict[int, Answer | Exception] = {}
    results = decoder.decode(prompts, rows=rows, done=lambda number, result: told.update({number: result}))
    assert isinstance(results[2], GrammarError)
    assert told == dict(enumerate(results))
    others = [n for n in range(len(prompts)) if n != 2]
    same(decoder, [prompts[n] for n in others], [results[n] for n in others])


def test_each_result_is_told_once_and_as_soon_as_it_is_there(decoder: Decoder) -> None:
    told: list[int] = []
    prompts = prompts_of(decoder, ["fever and a cough", "a", "fever and a rash", "a"], grammar=True)
    decoder.decode(prompts, rows=2, done=lambda number, result: told.append(number))
    assert sorted(told) == [0, 1, 2, 3] and told[0] == 1


def test_rows_are_given_up_when_few_are_left(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[list[int]] = []
    keep = decoding.BatchKVCache.keep
    monkeypatch.setattr(decoding.BatchKVCache, "keep", lambda self, rows: kept.append(list(rows)) or keep(self, rows))
    texts = ["a b c d e f g h"[: 2 * n + 1] for n in range(8)]
    prompts = prompts_of(decoder, texts)
    same(decoder, prompts, decoder.decode(prompts))
    assert kept[0] == [2, 3, 4, 5, 6, 7]  # six of eight
    assert [len(rows) for rows in kept] == [6, 4, 3, 2, 1]


IDS = st.lists(st.integers(0, 2), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(0, 9)), min_size=1, max_size=5))
def test_the_shared_prefix_is_the_longest_that_leaves_each_prompt_a_token(rows: list[tuple[list[int], int]]) -> None:
    prompts = [Prompt(tuple(ids), fixed, 1) for ids, fixed in rows]
    expected = 0
    while all(expected < min(p.fixed, len(p.ids) - 1) for p in prompts) and len({p.ids[expected] for p in prompts}) == 1:
        expected += 1
    assert shared_prefix(prompts) == expected


def test_ends_are_those_of_the_generation_config_and_the_tokenizer() -> None:
    for configured, expected in ((None, {END}), (5, {5, END}), ([5, 7], {5, 7, END})):
        model = random_weights()
        model.generation_config.eos_token_id = configured
        assert Decoder(model, TOKENIZER).ends == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [({}, 2 * 2 * 8 * 2 * 4), ({"num_key_value_heads": 4}, 2 * 4 * 8 * 2 * 4), ({"head_dim": 16}, 2 * 2 * 16 * 2 * 4)],
)
def test_a_token_takes_the_bytes_of_its_keys_and_values(sizes: dict[str, int], expected: int) -> None:
    decoder = Decoder(random_weights(**sizes), TOKENIZER)
    assert decoder.token_bytes == expected
    decoder.decode([Prompt(ids_of(SYSTEM + "fever"), 10, 3)])
    stored = next(iter(decoder.prefixes._kept.values()))
    assert sum(tensor.numel() * tensor.element_size() for layer in stored for tensor in layer) == 10 * expected


def test_an_answer_ends_with_its_budget(decoder: Decoder) -> None:
    whole, *cut = decoder.decode([Prompt(ids_of("fever"), 3, budget) for budget in (3, 1, 2)])
    assert isinstance(whole, Answer)
    for budget, answer in enumerate(cut, 1):
        assert isinstance(answer, Answer)
        assert (answer.ids, answer.finish) == (whole.ids[:budget], "length")
        assert answer.logprobs == pytest.approx(whole.logprobs[:budget])


class Wordwise(torch.nn.Module):
    """A layer without attention: each token by itself, or with the mean of the tokens before it in the pass."""

    def __init__(self, *, mixes: bool) -> None:
        super().__init__()
        self.mixes = mixes

    def forward(self, hidden_states: torch.Tensor, **given: Any) -> tuple[torch.Tensor, None]:
        count = torch.arange(1, hidden_states.shape[1] + 1)[None, :, None]
        return (hidden_states.cumsum(1) / count if self.mixes else hidden_states.sin()), None


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_models_with_attention_in_all_layers_pass_the_check(kind: str) -> None:
    checked = Decoder(random_weights(kind), TOKENIZER)
    checked.check()
    assert checked.passes == 0
    prompts = prompts_of(checked, PROMPTS[:2])
    same(checked, prompts, checked.decode(prompts))


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_model_with_a_layer_without_attention_is_refused(mixes: bool, layer: int) -> None:
    model = random_weights()
    model.model.layers[layer].self_attn = Wordwise(mixes=mixes)
    with pytest.raises(
        ModelError, match="^LlamaForCausalLM has layers that do not compute packed passes: set model.engine=generate$"
    ):
        Decoder(model, TOKENIZER).check()


def test_packed_passes_with_other_logits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In any of the rows."""
    for wrong in range(2):
        checked = Decoder(random_weights(), TOKENIZER)
        logits = checked._head.logits
        bent = torch.tensor([[1.0], [1.0]])
        bent[wrong] = -1.0
        monkeypatch.setattr(checked._head, "logits", lambda *given, logits=logits, bent=bent: logits(*given) * bent)
        with pytest.raises(ModelError, match="packed passes"):
            checked.check()


def test_a_shared_prefix_is_read_once_until_it_is_forgotten() -> None:
    fresh = Decoder(random_weights(), TOKENIZER)
    prompts = prompts_of(fresh, PROMPTS[:2])
    passes = []
    for forget in (False, False, True, False):
        if forget:
            fresh.forget()
        before = fresh.passes
        fresh.decode(prompts)
        passes.append(fresh.passes - before)
    assert passes == [passes[1] + 1, passes[1], passes[1] + 1, passes[1]]
    assert fresh.overhead == decoding._OVERHEAD["cpu"] != decoding._OVERHEAD["cuda"]
