"""Every input that fuzzing begins with, among them those that once broke something, holds the promises of its target."""

from __future__ import annotations

import pytest

from fuzz import answers_targets, corpora_targets, prompts_targets, runs_targets

TARGETS = {**corpora_targets.TARGETS, **answers_targets.TARGETS, **prompts_targets.TARGETS, **runs_targets.TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_refused_as_documented_or_read_rightly(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].check(data)


def test_notes_too() -> None:
    pytest.importorskip("pyarrow")
    from fuzz import notes_targets

    for target in notes_targets.TARGETS.values():
        for data in target.seeds:
            target.check(data)


def test_what_a_tokenizer_does_not_call_special_is_no_control_token_either() -> None:
    """`<think>` was one in a note until it was looked for; a text of blanks that is one token stays one."""
    encoder = prompts_targets.encoders()["chat"]
    tokenizer = encoder.tokenizer
    think = tokenizer.convert_tokens_to_ids("<think>")
    assert think in tokenizer("<think>", add_special_tokens=False)["input_ids"]
    ids = encoder.prompt([("user", "no <think> fever")])
    assert think not in ids
    assert "no <think> fever" in tokenizer.decode(ids)
