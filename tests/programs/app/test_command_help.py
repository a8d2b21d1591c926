"""Tests of `--help`: one screen, whose keys exist and whose examples compose; `--help-all` has every setting."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from clinspan.conf import CONF
from clinspan.programs.app.command_help import command_help, command_settings, setting_rows
from clinspan.programs.app.help_texts import FIRST_OPTIONS, GUIDES
from clinspan.programs.cli import COMMANDS
from clinspan.programs.config.command_line import gather, parse, quote_items
from clinspan.programs.config.composition import compose
from clinspan.programs.config.setting_types import check_types

LISTED = {"compare": "runs", "score": "runs", "export": "runs", "report": "folders"}


def shown(command: str, *words: str) -> list[str]:
    return command_help(f"clinspan {command}", command, "what it does", parse(words)).splitlines()


def test_every_command_has_a_guide() -> None:
    assert set(GUIDES) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_one_screen(command: str) -> None:
    lines = shown(command, "--help")
    assert len(lines) <= 41 and max(map(len, lines)) <= 100
    assert lines[-1].startswith(("all settings: ", "settings of a choice: "))
    assert sum(line.startswith(f"  clinspan {command}") for line in lines) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_each_shown_key_is_a_setting_with_a_comment(command: str) -> None:
    composed, _, _ = compose(command, [])
    rows = dict(zip(GUIDES[command].keys, setting_rows(command_settings(command)[0], GUIDES[command].keys), strict=True))
    for key, (setting, comment) in rows.items():
        assert setting.startswith(f"{key}=")
        parts = key.split(".")
        assert parts[-1] in (composed if len(parts) == 1 else composed[parts[0]])
        assert comment or key in ("seed", "target"), key


@pytest.mark.parametrize(("command", "words"), [(name, words) for name in COMMANDS for words in GUIDES[name].examples])
def test_each_example_composes(command: str, words: str) -> None:
    split = list(parse(shlex.split(words)).words)
    split = ["corpus=brat", *split[1:]] if command == "start" else split  # as it replaces the folder of notes
    split = gather(split, LISTED[command]) if command in LISTED else split
    composed, _, given = compose(command, quote_items(split, "where") if command == "runs" else split)
    check_types(composed)
    assert len(given) == len({word.partition("=")[0] for word in split})


def test_the_options_that_are_shown_first_exist() -> None:
    for group, names in FIRST_OPTIONS.items():
        assert all((CONF / group / f"{name}.yaml").is_file() for name in names)


def test_help_all_has_every_setting_and_option() -> None:
    lines = shown("run", "--help-all")
    assert "  split: test # train | dev | test" in lines and "  draft: auto" in "\n".join(lines)
    (models,) = [line for line in lines if line.startswith("  model=")]
    assert "..." not in models and "universalner" in models


def test_a_choice_is_shown_with_its_settings() -> None:
    lines = shown("run", "--help", "tracking=mlflow")
    assert any("_target_" in line for line in lines[lines.index("tracking=mlflow") :])


def test_help_imports_neither_hydra_nor_torch() -> None:
    code = "import sys; from clinspan.programs.cli import main; main(); print({'dspy', 'hydra', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code, "run", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
