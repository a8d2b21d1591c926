"""Training records: the engine's own prompts, loss on answers only, and packed batches that change no result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from clinspan.lms import lm15
from clinspan.lms.local.encoding import Encoder
from clinspan.lms.local.engine import TransformersEngine
from clinspan.tuning import Record
from clinspan.tuning.records import encode_records, Encoded, pack
from clinspan.tuning.trainer import answer_loss

SYSTEM = "Tag the sentence."
RECORDS = [
    Record("a:0", (("system", SYSTEM), ("user", "No fever .")), '{"Sign": ["fever"]}'),
    Record("a:1", (("system", SYSTEM), ("user", "Wilson disease"), ("assistant", "{}"), ("user", "Copper")), "{}"),
    Record("b:0", (("system", SYSTEM), ("user", "Seizures <|im_end|> since birth")), '{"Sign": ["Seizures", "<|im_end|>"]}'),
]


def tiny() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=97, num_key_value_heads=2, **sizes)).eval()


@pytest.mark.weights
def test_prompts_equal_the_engines_token_by_token(engine: TransformersEngine) -> None:
    encoded, left_out = encode_records(RECORDS, engine.encoder, max_length=4096)
    assert left_out == []
    for record, example in zip(RECORDS, encoded, strict=True):
        turns = [lm15.Message.user(text) if role == "user" else lm15.Message.assistant(text) for role, text in record.messages[1:]]
        request = lm15.Request(model="m", system=SYSTEM, messages=tuple(turns), config=lm15.Config(max_tokens=8))
        assert example.prompt == engine.prompt(request).ids


@pytest.mark.weights
def test_an_answer_consists_of_its_text_and_the_end_of_turn_token(engine: TransformersEngine) -> None:
    tokenizer = engine.tokenizer
    for record, example in zip(RECORDS, encode_records(RECORDS, engine.encoder, max_length=4096)[0], strict=True):
        assert tokenizer.decode(example.answer[:-1]) == record.answer
        assert tokenizer.convert_ids_to_tokens(example.answer[-1]) == "<|im_end|>"
        assert not set(example.answer[:-1]) & set(tokenizer.all_special_ids)
    ends = {name: Encoder(tokenizer, name, plain=engine.decoder.plain).end for name in ("chat", "plain", "alpaca", "universalner")}
    assert set(ends.values()) == {tokenizer.eos_token_id}


@pytest.mark.weights
def test_records_that_are_too_long_are_left_out_instead_of_cut(engine: TransformersEngine) -> None:
    lengths = [example.length for example in encode_records(RECORDS, engine.encoder, max_length=4096)[0]]
    remaining, left_out = encode_records(RECORDS, engine.encoder, max_length=max(lengths) - 1)
    assert left_out == [RECORDS[lengths.index(max(lengths))].id]
    assert [example.length for example in remaining] == [length for length in lengths if length < max(lengths)]


BATCHES = {
    "one": [Encoded((1, 2, 3), (4, 5))],
    "shared": [Encoded((1, 2, 3, 4), (9, 2)), Encoded((1, 2, 3, 7, 8, 5), (9, 9, 3, 2)), Encoded((1, 2, 6), (2,))],
    "same prompt": [Encoded((1, 2), (3, 2)), Encoded((1, 2), (5, 2))],
    "nothing in common": [Encoded((1, 2, 3), (3, 2)), Encoded((4,), (5, 6, 2))],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_packed_batch_has_the_loss_and_the_gradients_of_separate_records(batch: list[Encoded]) -> None:
    packed, alone = tiny(), tiny()
    row = pack(batch)
    assert row["labels"].tolist() == [token for example in batch for token in example.answer]
    total = answer_loss(packed, row)
    total.backward()
    losses = []
    for example in batch:
        logits = alone(torch.tensor([example.prompt + example.answer])).logits[0, len(example.prompt) - 1 : -1]
        losses.append(functional.cross_entropy(logits, torch.tensor(example.answer), reduction="sum"))
    expected = torch.stack(losses).sum()
    expected.backward()
    assert total.item() == pytest.approx(expected.item(), abs=1e-4)
    for ours, theirs in zip(packed.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)


def test_a_prefix_that_prompts_share_is_stored_once() -> None:
    row = pack(BATCHES["shared"])
    assert row["input_ids"].tolist() == [[1, 2, 3, 4, 9, 3, 7, 8, 5, 9, 9, 3, 6]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 2]]
    assert row["places"].tolist() == [3, 4, 8, 9, 10, 11, 12]
