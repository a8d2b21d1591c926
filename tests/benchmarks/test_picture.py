"""The picture of README.md is what its script draws from the recorded mentions, and these fit the bundled corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.picture import EXAMPLE, passage_of, PICTURE, picture
from clinspan.corpora import InputError
from clinspan.corpora.sources import RAREMINI
from conftest import ROOT

RECORDED = json.loads(EXAMPLE.read_text(encoding="utf-8"))


def test_the_committed_picture_is_what_the_script_writes() -> None:
    assert picture(RECORDED) == PICTURE.read_text(encoding="utf-8"), "python -m benchmarks.picture draws it again"
    assert "](docs/example.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_gold_mentions_are_those_of_the_corpus() -> None:
    lines = (RAREMINI / "test" / f"{RECORDED['document']}.ann").read_text(encoding="utf-8").splitlines()
    found = [re.match(r"T\d+\t(\w+) (\d+) (\d+)\t", line) for line in lines]
    gold = [[match[1], int(match[2]), int(match[3])] for match in found if match is not None]
    inside = [span for span in gold if RECORDED["start"] <= span[1] < RECORDED["end"]]
    assert sorted(mention["gold"] for mention in RECORDED["mentions"] if mention["gold"]) == sorted(inside)
    for mention in RECORDED["mentions"]:
        assert (mention["kind"] == "correct") == (mention["gold"] == mention["predicted"])


def test_other_predictions_give_another_picture() -> None:
    other = {**RECORDED, "mentions": [{**mention, "predicted": None, "kind": "missed"} for mention in RECORDED["mentions"]]}
    assert picture(other) != picture(RECORDED)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        passage_of(tmp_path)
