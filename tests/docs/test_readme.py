"""README.md is short, its links lead somewhere, its figures stand in the docs, and its commands work on a folder of notes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmarks.outlay import dollars
from clinspan.corpora.sources import RAREMINI
from clinspan.programs.cli import COMMANDS
from conftest import ROOT
from support.pages import follow, page_environment, steps

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
COMMAND = re.compile(r"clinspan ([a-z]+)")


def test_it_is_short_and_its_links_have_targets() -> None:
    assert len(README.splitlines()) <= 220
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_figures_of_the_approaches_stand_in_the_results() -> None:
    table = README[README.index("<!-- approaches -->") : README.index("<!-- end of approaches -->")]
    rows = [line.split("|")[3:] for line in table.splitlines() if line.startswith("| ")][1:]
    figures = [figure for row in rows for cell in row for figure in re.findall(r"\d?\.\d+|[\d,]+", cell)]
    assert len(figures) >= 30
    assert [figure for figure in figures if figure not in DOCS["results.md"]] == []


def test_the_cost_of_a_thousand_sentences_follows_from_the_tokens_and_the_price() -> None:
    text = " ".join(README.split())
    stated = re.search(r"takes ([\d.]+) prompt and ([\d.]+) answer tokens a sentence, US\$ ([\d.]+) for 1,000", text)
    assert stated is not None
    prompt, answer, price = map(float, stated.groups())
    config = OmegaConf.load(ROOT / "conf" / "model" / "gpt4.yaml")
    listed = (float(config.price_input), float(config.price_output))
    assert dollars(1000, (prompt, answer), listed) == pytest.approx(price, abs=0.005)
    assert f"{stated[1]} prompt and {stated[2]} answer tokens a sentence" in " ".join(DOCS["annotate-a-million-notes.md"].split())


def test_the_page_of_commands_lists_each_command() -> None:
    listed = set(re.findall(r"^\| `clinspan (\w+)", DOCS["commands.md"], re.M))
    assert listed == set(COMMANDS)
    used = {name for step in steps(README) for name in COMMAND.findall(step.command)}
    assert used <= set(COMMANDS)


@pytest.mark.long
@pytest.mark.weights
def test_its_commands_work_on_a_folder_of_notes(shell: Path, tmp_path: Path, smollm2: object) -> None:
    shutil.copytree(RAREMINI / "test", tmp_path / "notes")
    (tmp_path / "my-project").mkdir()
    (tmp_path / "new-notes").mkdir()
    (tmp_path / "new-notes" / "a.txt").write_text("He has Wilson disease.", encoding="utf-8")
    follow(README, tmp_path, page_environment(shell, ROOT), "README.md")
    assert (tmp_path / "annotated" / "annotations.csv").exists()
