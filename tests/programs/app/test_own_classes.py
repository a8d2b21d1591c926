"""Tests of classes and options of the user's own: modules in the current folder, installed packages, and what a class must have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dspy
import pytest

from clinspan.corpora import InputError
from clinspan.lms.answering import lm_of
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.building.build_instructions import build_instructions
from clinspan.programs.config.classifier_config import prompted
from clinspan.programs.config.composition import build, compose, load_corpus, object_of
from clinspan.programs.config.installed_options import installed_folders
from clinspan.reports.terminal.tables import notes
from conftest import Command, folder_of, load, ROOT
from support.scripted_server import ScriptedServer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not on the path for imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place and Path(place) != tmp_path])
    return tmp_path


def test_a_module_in_the_current_folder_is_found(here: Path) -> None:
    (here / "module_of_mine.py").write_text(
        "class Inner:\n    pass\nclass Outer:\n    def __init__(self, inner): self.inner = inner\n"
    )
    built = build({"_target_": "module_of_mine.Outer", "inner": {"_target_": "module_of_mine.Inner"}})
    assert type(built.inner).__module__ == "module_of_mine"
    assert sys.path[-1] == str(here)
    assert object_of("module_of_mine.Inner") is type(built.inner)


def test_the_current_folder_takes_nothing_from_other_places(here: Path) -> None:
    (here / "json.py").write_text("raise SystemExit('the wrong module')")
    (here / "colorsys.py").write_text("raise SystemExit('the wrong module')")
    assert object_of("colorsys.rgb_to_hsv").__module__ == "colorsys"
    assert build({"_target_": "json.dumps", "obj": 1}) == "1"
    assert str(here) not in sys.path


def test_a_function_of_ones_own_gets_the_labels_and_if_it_wants_the_advice(here: Path) -> None:
    (here / "prompts_of_mine.py").write_text(
        "def plain(labels, end): return ' '.join(label.name for label in labels) + end\n"
        "def advised(labels, advice): return advice\n"
    )
    (here / "mine" / "prompt").mkdir(parents=True)
    (here / "mine" / "prompt" / "plain.yaml").write_text("_target_: prompts_of_mine.plain\nend: '!'\n")
    (here / "mine" / "prompt" / "advised.yaml").write_text("_target_: prompts_of_mine.advised\n")
    found = []
    for word in ("plain", "advised"):
        config, _, _ = compose("run", ["hydra.searchpath=[mine]", f"prompt={word}"])
        corpus = load_corpus(config)
        found.append(build_instructions(config, corpus.labels, corpus))
    assert found[0] == "Disease RareDisease SkinRareDisease Sign Symptom!"
    assert found[1].startswith("Mark a mention in full")


def install(folder: Path, value: str) -> dict[str, str]:
    """An installed package with options, and the environment in which it is found."""
    option = folder / "site" / "package_of_ours" / "conf" / "strategy"
    option.mkdir(parents=True)
    (option / "three.yaml").write_text((ROOT / "conf" / "strategy" / "few_shot.yaml").read_text().replace("k: 5", "k: 3"))
    about = folder / "site" / "package_of_ours-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: package-of-ours\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[clinspan.options]\nours = {value}\n")
    return {**os.environ, "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{ROOT}"}


def run(folder: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clinspan.programs.cli", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.long
def test_an_installed_package_brings_options(tmp_path: Path) -> None:
    env = install(tmp_path, "package_of_ours.conf")
    done = run(tmp_path, env, "run", "strategy=three", "--cfg", "job", "--package", "strategy.k")
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
    assert "three" in run(tmp_path, env, "run", "--help", "strategy=three").stdout
    done = run(tmp_path, env, "run", "strategy=thre")
    assert done.returncode == 2 and "Did you mean strategy=three?" in done.stderr


def test_an_entry_point_without_a_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "package_of_ours.none")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    installed_folders.cache_clear()
    with pytest.raises(InputError, match=r"ours of package-of-ours .* package_of_ours\.none, which is not a package"):
        installed_folders()
    installed_folders.cache_clear()


class Incomplete:
    """A model class that lacks what a model needs."""

    name = "incomplete"
    concurrency = 1


def test_a_model_class_that_lacks_something_is_refused() -> None:
    with pytest.raises(InputError, match="the class Incomplete of the model has no endpoints, price, build"):
        prompted(Incomplete(), "")  # type: ignore[arg-type]


def test_a_function_is_a_language_model() -> None:
    seen = []

    def answer(turns: object) -> str:
        seen.append(turns)
        return "yes"

    assert lm_of(answer, "mine")(messages=[{"role": "system", "content": "Tag."}, {"role": "user", "content": "fever"}]) == ["yes"]
    assert seen == [[("system", "Tag."), ("user", "fever")]]
    assert isinstance(lm_of(answer, "mine"), dspy.LM)


class Halves(Metric):
    """A metric with a score of its own."""

    def more(self, records: object, labels: object) -> dict[str, float]:
        return {"half": 0.5}


def test_scores_of_a_metric_of_ones_own_are_kept_and_shown() -> None:
    record = {"document": "d", "gold": ["O"], "pred": ["O"], "repairs": {}, "error": None}
    scores = score_records([record], ["Sign"], Halves(), alignment="tokens")
    assert scores["more"] == {"half": 0.5}
    assert "half: 0.5000" in notes(scores, {})
    assert "more" not in score_records([record], ["Sign"], Metric(), alignment="tokens")


@pytest.mark.long
def test_a_retriever_of_ones_own_gives_the_context_and_is_protected(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "finder_of_mine.py").write_text(
        "class Finder:\n"
        "    def __init__(self, word, holds_phi=False): self.word, self.holds_phi = word, holds_phi\n"
        "    def find(self, texts): return [[self.word] for _ in texts]\n"
    )
    (tmp_path / "mine" / "retriever").mkdir(parents=True)
    (tmp_path / "mine" / "retriever" / "finder.yaml").write_text("_target_: finder_of_mine.Finder\nword: x\nholds_phi: false\n")
    own = ["--config-dir", "mine", "retriever=finder", "strategy=rag", "retriever.word=Glossary-entry", "limit=1", "model=openai"]
    asked = ["model.id=m", f"model.api_base={server.address}/v1"]
    folder = folder_of(command("run", *own, *asked))
    assert "Glossary-entry" in server.requests[-1][2]["messages"][-1]["content"]
    assert load(folder / "run.json")["retrieval"] == {"phi": False, "knowledge": "Finder"}
    program = ["--config-dir", "mine", f"program={folder}", "limit=1", "model=openai", *asked]
    done = command("run", *program)
    assert done.returncode == 2 and "names retriever.word=Glossary-entry, which is not the option's own" in done.stderr
    assert "set retriever=finder retriever.word=Glossary-entry" in done.stderr
    again = command("run", *program, "retriever=finder", "retriever.word=Glossary-entry")
    assert folder_of(again) and "Glossary-entry" in server.requests[-1][2]["messages"][-1]["content"]
    done = command("run", *own, *asked, "strategy=knn")
    assert done.returncode == 2 and "Finder has no embedder to find the nearest demonstrations with" in done.stderr
    away = ["model.id=m", "model.api_base=https://evil.test/v1", "retriever.holds_phi=true"]
    done = command("run", *own, *away)
    assert done.returncode == 2 and "the knowledge base finder_of_mine.Finder may hold protected" in done.stderr
