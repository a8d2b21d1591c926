"""The sweeper over cells makes the same combinations as Hydra's own sweeper, without Hydra's internals."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper

from clinspan.programs.config.overrides import searching
from clinspan.programs.sweeps.cells_sweeper import combinations
from conftest import ROOT

WORDS = [
    ["a=1,2", "b=x"],
    ["a=1", "a=2,3"],
    ["a=choice(1,2)", "b=range(0,4,2)", "c=sort(3,1,2)"],
    ["a='x y','z, w'", 'b="1,2"', "c=[1,2]", "d={k:1}"],
    ["a=null,true,1.5", "+b=1,2", "++c=3", "~d", "e@f=g,h"],
    ["strategy=glob(*few*)", "model=glob([gpt*,llama*],exclude=gpt5*)"],
    ["a=", "b=$\\{c\\}", "hydra.job.name=x"],
    [],
]


@pytest.mark.parametrize("words", WORDS)
def test_combinations_are_those_of_hydras_own_sweeper(words: list[str]) -> None:
    (basic,) = {sweeper for sweeper in Plugins.instance().discover(Sweeper) if sweeper.__name__ == "BasicSweeper"}
    with searching() as loader:
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
        expected: Any = basic
        assert [combinations(overrides)] == expected.split_arguments(overrides, None)


def test_an_interval_has_no_combinations() -> None:
    with pytest.raises(HydraException, match="needs one"):
        combinations(OverridesParser.create().parse_overrides(["a=interval(0,1)"]))


def test_no_code_uses_the_internals_of_hydra() -> None:
    rooms = [folder for folder in (ROOT / "clinspan").iterdir() if folder.is_dir()]
    files = [path for room in [*rooms, ROOT / "hydra_plugins", ROOT / "benchmarks"] for path in room.resolve().rglob("*")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".yaml")]
    assert len(texts) > 200
    assert not [text for text in texts if "hydra._internal" in text]
