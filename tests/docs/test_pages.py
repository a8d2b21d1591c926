"""Every command in docs/ does what its page says. See docs/README.md for how a page marks commands that are not run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinspan.corpora import Corpus
from clinspan.corpora.sources import RareMini
from clinspan.programs.formats import Entities
from conftest import ROOT
from support.pages import follow, page_environment
from support.scripted_models import Script
from support.scripted_server import ScriptedServer, serving

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name != "README.md")
LONG = (
    "local-student-gpt-teacher",
    "change-something",
    "phrase-decisions",
    "evaluate-my-brat-corpus",
    "own-configs",
    "annotate-notes",
    "scoring",
    "add-a-format",
    "reports",
    "start-with-my-notes",
    "export",
    "models",
    "track-and-trace",
)
_CHECKOUT = "<!-- here: a copy of the checkout -->"
_AZURE = "<!-- stand-in: a scripted server for Azure OpenAI -->"
ROOMS = ("conf", "corpora", "decisions", "hydra_plugins", "lms", "metrics", "programs", "reports", "retrievers", "tuning")
PARTS = ("clinspan", *ROOMS)


class Teacher(Script):
    """Answers with the gold tags in SmolLM2's answer format, and writes instructions on request."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(corpus)
        self._format = Entities(labels=corpus.labels)

    def tag(self, messages: list[dict[str, str]]) -> str:
        sentence = messages[-1]["content"].rsplit("\n", 1)[-1]
        tokens = sentence.split(" ")
        return self._format.answer(tokens, self.gold.get(sentence, ["O"] * len(tokens)))


@pytest.fixture
def azure() -> Iterator[dict[str, str]]:
    """The environment variables that name a scripted server instead of Azure OpenAI."""
    labels = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
    server = ScriptedServer()
    server.key, server.reply = "a-key", Teacher(RareMini(phi=False, labels=labels, definitions={}).load())
    with serving(server):
        yield {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "a-key"}


@pytest.mark.weights
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[pytest.mark.long] if path.stem in LONG else []) for path in PAGES]
)
def test_each_command_of_a_page_does_what_the_page_says(
    path: Path, shell: Path, azure: dict[str, str], tmp_path: Path, smollm2: object
) -> None:
    page = path.read_text(encoding="utf-8")
    code = ROOT
    if _CHECKOUT in page:
        code = tmp_path
        for part in PARTS:
            shutil.copytree(ROOT / part, tmp_path / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    env = page_environment(shell, code)
    env |= azure if _AZURE in page else {}
    follow(page, tmp_path, env, path.relative_to(ROOT))


def test_the_index_lists_each_page_and_each_link_has_a_target() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in PAGES} <= linked
    for path in [*PAGES, DOCS / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
