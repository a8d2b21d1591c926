"""The reference of the site has every command, setting, option and public name, and its prompts are those of the formats."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import clinspan
from benchmarks.reference import BENCHMARKS, pages
from clinspan.conf import CONF
from clinspan.corpora import Label
from clinspan.programs.app.help_texts import GUIDES
from clinspan.programs.cli import COMMANDS
from clinspan.programs.config.composition import build, compose, group_option

PAGES = pages()
GROUPS = sorted({path.parent.name for path in CONF.glob("*/*.yaml")} - {"shared"})
HIDDEN = ("defaults", "hydra", "_target_")


def keys(content: Any, above: str = "") -> set[str]:
    """The keys of a config, nested ones with a dot."""
    found = set()
    for key, value in content.items():
        if key not in HIDDEN:
            found |= {f"{above}{key}"} | (keys(value, f"{above}{key}.") if isinstance(value, dict) else set())
    return found


def section(page: str, title: str) -> str:
    return re.split(r"^## ", PAGES[page].split(f"\n## {title}\n")[1], flags=re.M)[0]


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row by its setting."""
    split = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in split}


@pytest.mark.parametrize("command", [*COMMANDS, *BENCHMARKS])
def test_each_setting_of_a_command_is_listed(command: str) -> None:
    text = section("reference/commands.md", command)
    content = yaml.safe_load((CONF / f"{command}.yaml").read_text(encoding="utf-8"))
    assert keys(content) <= set(rows(text))
    if command in COMMANDS:
        composed, chosen, _ = compose(command, [])
        plain = {str(key) for key in composed if key not in GROUPS}
        assert plain <= set(rows(text))
        assert all(f"[{group}]({group}.md)" in text for group in chosen)
        assert all(f"$ clinspan {command} {words}".rstrip() in text for words in GUIDES[command].examples)


@pytest.mark.parametrize("group", GROUPS)
def test_each_option_has_its_settings_with_their_values(group: str) -> None:
    for path in (CONF / group).glob("*.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        text = section(f"reference/{group}.md", f"{group}={path.stem}")
        listed = rows(text)
        if like := re.search(r"The settings of `(\S+)`, with other defaults", text):
            listed = rows(section(f"reference/{group}.md", like[1])) | listed
        assert keys(content) <= set(listed), path
        for key, cells in listed.items():
            value = content
            for part in key.split("."):
                value = value[part] if isinstance(value, dict) and part in value else None
            if isinstance(value, int | float | bool):
                assert yaml.safe_load(cells[0].strip("`")) == value, (path, key)


def test_a_setting_without_a_comment_has_the_words_of_its_class() -> None:
    assert rows(section("reference/optimizer.md", "optimizer=grid"))["most"][1].startswith("Maximum number of combinations")
    assert (
        rows(section("reference/model.md", "model=gpt5"))["deployment"][1]
        == "the deployment's name; AZURE\\_OPENAI\\_DEPLOYMENT if null"
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "format").glob("*.yaml")))
def test_the_example_of_a_format_is_read_as_the_tags_that_it_shows(name: str) -> None:
    tokens, tags = ["Fabry", "disease", "with", "diabetes", "."], ["B-RareDisease", "I-RareDisease", "O", "B-Disease", "O"]
    text = section("reference/format.md", f"format={name}")
    answer = text.rsplit("answer:\n\n```text\n", 1)[1].split("\n```")[0]
    form = build(group_option("format", name), labels=[Label("Disease"), Label("RareDisease")])
    question = form.questions(tokens, [])[-1]
    assert question.key in ("", "RareDisease")
    expected = [tag if tag[2:] == question.key else "O" for tag in tags] if question.key else tags
    assert form.read({question.key: answer}, tokens).tags == expected


@pytest.mark.long
def test_the_site_has_each_public_name_with_its_signature(site: Path) -> None:
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in set(clinspan.__all__) - {"__version__"}:
        assert f'id="clinspan.{name}"' in text
    for name in ("load", "pipe", "__call__"):
        assert f'id="clinspan.Annotator.{name}"' in text
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())
    assert "allow_remote: bool = False" in words and "Whether such texts may leave this machine." in words
