"""Tests of settings of the system text for models whose template leaves it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from clinspan.corpora import InputError
from clinspan.programs.config.composition import compose
from clinspan.programs.config.system_text import check_system_text, stray_keys
from conftest import Command, folder_of, records
from support.llama_family import random_llama_family

DROPS = "{% for m in messages %}{% if m['role'] != 'system' %}<{{ m['role'] }}>{{ m['content'] }}{% endif %}{% endfor %}"


class Engine:
    """Says whether its template writes the system text, as a loaded model does."""

    def __init__(self, writes_system: bool) -> None:
        self.writes_system = writes_system

    def rendered(self, request: Any) -> str:
        return ""

    complete = stream = close = rendered


class Spec:
    name = "mine"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["prompt=bare"], "prompt"),
        (["corpus.definitions={Sign: what is seen}"], "corpus.definitions"),
        (["optimizer=gepa"], "optimizer=Gepa"),
        (["optimizer=copro"], "optimizer=Copro"),
        (["optimizer=mipro"], "optimizer=Mipro"),
        (["optimizer=infer_rules"], "optimizer=InferRules"),
        (["optimizer=simba"], "optimizer=Simba"),
        (["optimizer=grid", "optimizer.space=['prompt=bare,handwritten']"], "prompt in optimizer.space"),
    ],
)
def test_settings_without_effect_are_refused_with_their_key(words: list[str], key: str) -> None:
    config, _, given = compose("optimize", words)
    assert key in stray_keys(config, given)
    with pytest.raises(InputError, match=f"^{key} has no effect: the template of model=mine has no place for instructions"):
        check_system_text(config, given, Spec(), Engine(False))
    check_system_text(config, given, Spec(), Engine(True))


@pytest.mark.parametrize("words", [[], ["optimizer=knn"], ["optimizer=coverage", "format=inline"], ["strategy=knn"]])
def test_other_settings_pass_and_the_omission_is_told_once(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    config, _, given = compose("optimize", words)
    check_system_text(config, given, Spec())
    check_system_text(config, given, Spec(), Engine(False))
    assert capsys.readouterr().err.count("has no place for instructions and rules of the format: they are not sent") == 1


def test_universalner_is_refused_before_its_weights_are_looked_for(command: Command) -> None:
    words = ["model=universalner", "strategy=zero_shot", "limit=1"]
    done = command("run", *words, "prompt=bare")
    assert done.returncode == 2
    assert "prompt has no effect: the template of model=universalner has no place for instructions" in done.stderr
    refused = command("optimize", "model=universalner", "optimizer=copro", "reflection_model=smollm2")
    assert refused.returncode == 2
    assert "optimizer=Copro has no effect" in refused.stderr


def test_a_chat_template_that_drops_the_system_text_is_found_and_its_prompts_are_recorded_as_sent(
    command: Command, tmp_path: Path
) -> None:
    """Random weights: only what is sent and said counts."""
    folder = random_llama_family(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = DROPS
    tokenizer.save_pretrained(folder)
    words = ["model=hf", f"model.path={folder}", "limit=1", "strategy=zero_shot", "format=entities"]
    refused = command("run", *words, "corpus.definitions={Sign: what is seen}")
    assert refused.returncode == 2
    assert "corpus.definitions has no effect" in refused.stderr
    done = command("run", *words)
    sent = (folder_of(done) / "prompts.jsonl").read_text()
    assert '"system"' not in sent
    sentence = " ".join(records(folder_of(done))[0]["tokens"])
    assert f'"rendered": "<user>{sentence}"' in sent
    assert done.stderr.count("has no place for instructions") == 1
