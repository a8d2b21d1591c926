"""Every seed of the fuzz targets, including inputs that once failed, meets the contract of its target."""

from __future__ import annotations

import pytest

from fuzz import answers_targets, corpora_targets, prompts_targets, runs_targets

TARGETS = {**corpora_targets.TARGETS, **answers_targets.TARGETS, **prompts_targets.TARGETS, **runs_targets.TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_refused_as_documented_or_read_correctly(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].check(data)


def test_every_seed_of_the_notes_targets_is_refused_or_read_correctly() -> None:
    pytest.importorskip("pyarrow")
    from fuzz import notes_targets

    for target in notes_targets.TARGETS.values():
        for data in target.seeds:
            target.check(data)


def test_added_tokens_that_are_not_special_are_no_control_tokens_in_text() -> None:
    """`<think>` in a note is encoded as text, although it is a token. A run of blanks that is one token stays one token."""
    encoder = prompts_targets.encoders()["chat"]
    tokenizer = encoder.tokenizer
    think = tokenizer.convert_tokens_to_ids("<think>")
    assert think in tokenizer("<think>", add_special_tokens=False)["input_ids"]
    ids = encoder.prompt([("user", "no <think> fever")])
    assert think not in ids
    assert "no <think> fever" in tokenizer.decode(ids)
