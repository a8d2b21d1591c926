"""Tests of `--where`: the file and line of options and of the classes that they name, also of the user's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.programs.app.where import where
from clinspan.programs.config.command_line import parse
from conftest import Command, ROOT


def places(*words: str) -> dict[str, tuple[Path, int]]:
    rows = [re.fullmatch(r"(\S+) +(.+):(\d+)", row) for row in where("run", parse(["--where", *words]))]
    return {row[1]: (Path(row[2]).resolve(), int(row[3])) for row in rows if row}


def test_the_class_of_an_option_stands_on_that_line() -> None:
    found = places("format=entities")
    assert found["format=entities"] == (ROOT / "conf" / "format" / "entities.yaml", 1)
    file, line = found["clinspan.programs.formats.Entities"]
    assert file == ROOT / "programs" / "formats" / "entities.py"
    code = file.read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("class Entities") for row in code[line - 1 : line + 2])


def test_an_option_that_is_based_on_another_one_names_both_files() -> None:
    assert {"model=gpt5", "model=azure", "clinspan.lms.AzureModel", "clinspan.lms.Wire"} <= set(places("model=gpt5"))


def test_own_options_and_classes_are_found(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "format").mkdir(parents=True)
    (tmp_path / "mine" / "format" / "ours.yaml").write_text("_target_: our_module.Ours\n", encoding="utf-8")
    (tmp_path / "our_module.py").write_text("\n\nclass Ours:\n    pass\n", encoding="utf-8")
    for words in (["--where", "format=ours", "--config-dir", "mine"], ["--config-dir=mine", "--where=format=ours"]):
        done = command("run", *words)
        assert done.returncode == 0, done.stderr
        assert [row.split() for row in done.stdout.splitlines()] == [
            ["format=ours", "mine/format/ours.yaml:1"],
            ["our_module.Ours", "our_module.py:3"],
        ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("format=entitis", "there is no format=entitis. Did you mean format=entities"),
        ("tuning=lora", "names no option of run. Write --where GROUP=OPTION with a group of run: corpus, "),
        ("limit", "--where limit names no option of run"),
    ],
)
def test_unknown_options_are_refused(word: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        where("run", parse(["--where", word]))
