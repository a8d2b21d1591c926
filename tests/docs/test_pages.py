"""Every command in docs/ does what its page says. See docs/README.md for how a page marks commands that are not run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinspan.corpora import Corpus
from clinspan.corpora.sources import RareMini
from clinspan.programs.formats import Entities
from conftest import ROOT
from support.pages import settled, steps, untrue
from support.scripted_models import Script
from support.scripted_server import ScriptedServer, serving
from support.shell_fork_server import shims

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name != "README.md")
_CHECKOUT = "<!-- here: a copy of the checkout -->"
_AZURE = "<!-- stand-in: a scripted server for Azure OpenAI -->"
PARTS = ("clinspan", "conf", "corpora", "hydra_plugins", "lms", "metrics", "programs", "reports", "retrievers", "tuning")


class Teacher(Script):
    """Answers with the gold tags in SmolLM2's answer format, and writes instructions on request."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(corpus)
        self._format = Entities(labels=corpus.labels)

    def tag(self, messages: list[dict[str, str]]) -> str:
        sentence = messages[-1]["content"].rsplit("\n", 1)[-1]
        tokens = sentence.split(" ")
        return self._format.answer(tokens, self.gold.get(sentence, ["O"] * len(tokens)))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of command shims that a warm process serves."""
    home = tmp_path_factory.mktemp("shell")
    shims(home / "bin", home / "socket")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_"))}
    words = [sys.executable, str(ROOT / "tests" / "support" / "shell_fork_server.py"), str(home / "socket")]
    running = subprocess.Popen(words, env={**env, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.PIPE, text=True, cwd=home)
    assert running.stdout is not None and running.stdout.readline() == "ready\n"
    yield home / "bin"
    running.kill()
    running.wait()


@pytest.fixture
def azure() -> Iterator[dict[str, str]]:
    """The environment variables that name a scripted server instead of Azure OpenAI."""
    labels = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
    server = ScriptedServer()
    server.key, server.reply = "a-key", Teacher(RareMini(phi=False, labels=labels, definitions={}).load())
    with serving(server):
        yield {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "a-key"}


@pytest.mark.weights
@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_each_command_of_a_page_does_what_the_page_says(
    path: Path, shell: Path, azure: dict[str, str], tmp_path: Path, smollm2: object
) -> None:
    page = path.read_text(encoding="utf-8")
    code = ROOT
    if _CHECKOUT in page:
        code = tmp_path
        for part in PARTS:
            shutil.copytree(ROOT / part, tmp_path / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_", "PYTEST_"))}
    env |= {"PATH": f"{shell}{os.pathsep}{env['PATH']}", "PYTHONPATH": str(code), "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    env["PYTEST_ADDOPTS"] = "-W ignore::pytest.PytestAssertRewriteWarning"  # for modules that the warm process already imported
    env |= azure if _AZURE in page else {}
    for step in steps(page):
        where = f"{path.relative_to(ROOT)}:{step.line}"
        if step.file:
            (tmp_path / step.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / step.file).write_text(step.content, encoding="utf-8")
            continue
        command = ["bash", "-euo", "pipefail", "-c", settled(step.command, tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == step.code, f"{where}: {step.command}\n{done.stdout}\n{done.stderr}"
        missing = untrue(step.shown, done.stdout + done.stderr)
        assert not missing, f"{where}: {step.command}\nnot true: {missing}\n{done.stdout}\n{done.stderr}"


def test_the_index_lists_each_page_and_each_link_has_a_target() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in PAGES} <= linked
    for path in [*PAGES, DOCS / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
