"""Every command of the pages and of the help texts that uses a model on Azure works against a scripted server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from clinspan.corpora.sources import RareMini
from clinspan.programs.app.help_texts import GUIDES
from conftest import Command, ROOT
from support.pages import commands_of
from support.scripted_models import NAMES, Script
from support.scripted_server import ScriptedServer

AZURE = re.compile(r"\b(reflection_)?model=(azure|gpt\w+|o4_mini)\b")
SMALL = {
    "run": ["limit=2"],
    "optimize": ["train_limit=12", "dev_limit=3", "strategy.k=1", "optimizer.calls=6", "optimizer.train_limit=4"],
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> Iterator[tuple[str, str]]:
    """The commands that pages show without running them, and those of help texts, each with its place."""
    for page in PAGES:
        for line, command in commands_of(page.read_text(encoding="utf-8"), only_unrun=True):
            if AZURE.search(command):
                yield f"{page.name}:{line}", command
    for name, guide in GUIDES.items():
        yield from ((f"{name} --help", f"clinspan {name} {words}") for words in guide.examples if AZURE.search(words))


COMMANDS = list(commands())


@pytest.mark.weights
@pytest.mark.parametrize(
    ("place", "text"),
    [pytest.param(*one, id=one[0], marks=[pytest.mark.long] if "clinspan optimize" in one[1] else []) for one in COMMANDS],
)
def test_a_command_that_uses_azure_works(place: str, text: str, command: Command, server: ScriptedServer, smollm2: object) -> None:
    server.key, server.reply = "k", Script(RareMini(labels=NAMES, definitions={}).load())
    words = shlex.split(text, comments=True)
    assert words[0] == "clinspan"
    azure = {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "k"}
    given = {word.partition("=")[0] for word in words}
    small = [word for word in SMALL.get(words[1], []) if word.partition("=")[0] not in given]
    done = command(*words[1:], *small, env=azure)
    assert done.returncode == 0, f"{place}\n{done.stdout}\n{done.stderr}"
    assert (len(server.requests) > 0) == (words[1] in SMALL)


def test_there_are_such_commands() -> None:
    assert any(place.startswith("optimizers.md") for place, _ in COMMANDS)
    assert any(place.startswith("run --help") for place, _ in COMMANDS)
