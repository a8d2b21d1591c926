"""Tests of settings of a wrong type: each is refused with its key, and every default passes."""

from __future__ import annotations

import pytest
import yaml

from clinspan.corpora import InputError
from clinspan.programs.config.composition import compose
from clinspan.programs.config.setting_types import check_types, COMMAND_SETTINGS, parameter_types
from conftest import Command, ROOT

COMMANDS = (
    "annotate",
    "check",
    "compare",
    "convert",
    "doctor",
    "export",
    "finetune",
    "init",
    "optimize",
    "report",
    "run",
    "runs",
    "score",
    "start",
    "stats",
)
SHARED = [
    f"shared/{path.stem}"
    for path in (ROOT / "conf" / "shared").glob("*.yaml")
    if "# @package hydra" not in path.read_text(encoding="utf-8")
]
GROUPS = sorted({path.parent.name for path in (ROOT / "conf").glob("*/*.yaml")} - {"shared"})
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((ROOT / "conf" / group).glob("*.yaml"))
    if group not in ("experiment", "tuning", "optimizer", "reflection_model")
]


def test_each_setting_of_each_command_has_a_type() -> None:
    for command in [*COMMANDS, *SHARED]:
        content = yaml.safe_load((ROOT / "conf" / f"{command}.yaml").read_text(encoding="utf-8"))
        own = {
            key
            for key, value in content.items()
            if key not in ("defaults", "hydra", *GROUPS) and not (isinstance(value, dict) and "_target_" in value)
        }
        assert own <= COMMAND_SETTINGS.keys(), command


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_options_have_values_of_their_own_types(group: str, option: str) -> None:
    config, _, _ = compose("run", [f"{group}={option}"])
    check_types(config)


def test_every_setting_of_a_corpus_and_a_local_model_has_a_type() -> None:
    for option in ("brat", "conll", "hf"):
        config = compose("run", [f"corpus={option}"])[0].corpus
        assert set(config) - {"_target_"} == set(parameter_types(config._target_))
    model = compose("run", ["model=hf", "model.hub_id=x"])[0].model
    assert set(model) - {"_target_"} <= set(parameter_types(model._target_))


@pytest.mark.long
@pytest.mark.parametrize("group", ["optimizer", "reflection_model", "tuning"])
def test_options_of_other_commands_have_values_of_their_own_types(group: str) -> None:
    command = "finetune" if group == "tuning" else "optimize"
    for path in sorted((ROOT / "conf" / group).glob("*.yaml")):
        check_types(compose(command, [f"{group}={path.stem}"])[0])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.batch_size=abc", "model.batch_size=abc is not a whole number"),
        ("model.states_gib=abc", "model.states_gib=abc is not a number"),
        ("model.share_prefix=perhaps", "model.share_prefix=perhaps is not true or false"),
        ("model.stop=7", "model.stop=7 is not a list"),
        ("strategy.k=2.5", "strategy.k=2.5 is not a whole number"),
        ("constrained=maybe", "constrained=maybe is not true or false"),
        ("allow_remote=1", "allow_remote=1 is not true or false"),
        ("retriever.top_k=null", "retriever.top_k=null is not a whole number"),
        ("retriever.embedder.batch_size=[1]", "retriever.embedder.batch_size=[1] is not a whole number"),
        ("limit=many", "limit=many is not a whole number or null"),
        ("split=[test,dev]", 'split=["test", "dev"] is not a text'),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_key(word: str, message: str) -> None:
    config, _, _ = compose("run", ["strategy=rag", word])
    with pytest.raises(InputError) as caught:
        check_types(config)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "word",
    ["corpus.path=2024", "corpus.name=7", "corpus.labels=[1]", "model.temperature=1", "strategy.temperature=1", "program=12"],
)
def test_names_of_digits_and_whole_numbers_pass(word: str) -> None:
    words = ["corpus=brat"] if word.startswith("corpus") else ["model=azure"] if word.startswith("model") else []
    check_types(compose("run", [*words, word])[0])


def test_a_command_refuses_a_wrong_type_before_it_loads_anything(command: Command) -> None:
    done = command("run", "model.batch_size=abc")
    assert done.returncode == 2
    assert done.stderr == "clinspan: model.batch_size=abc is not a whole number. Write model.batch_size=VALUE with such a value.\n"
