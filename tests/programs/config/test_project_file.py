"""Tests of the project file: what it may hold, its precedence, who reads it, and what runs record of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.programs.config.composition import compose
from clinspan.programs.config.project_file import read_project, Setting
from conftest import Command, folder_of, load

FILE = """\
# what every command here would repeat
corpus: jsonl
corpus.path: notes.jsonl
corpus.phi: false
corpus.definitions: {Sign: what others see}
model: replay
model.path: outputs.jsonl
strategy: zero_shot
format: bio_lines
limit: 1
"""
NOTES = '{"id": "a", "text": "No fever today .", "split": "test", "entities": [{"start": 3, "end": 8, "label": "Sign"}]}\n'
EXPERIMENT = "# @package _global_\ndefaults:\n  - override /corpus: raremini\nlimit: 2\nseed: 8\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A project with a corpus, recorded answers and an experiment."""
    (tmp_path / "clinspan.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "notes.jsonl").write_text(NOTES, encoding="utf-8")
    (tmp_path / "other.jsonl").write_text(NOTES.replace('"a"', '"b"'), encoding="utf-8")
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 232, encoding="utf-8")
    (tmp_path / "one.jsonl").write_text('{"output": "x : O"}\n', encoding="utf-8")
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "other.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (tmp_path / "clinspan.yaml").write_text(FILE.replace("outputs.jsonl", "one.jsonl"), encoding="utf-8")
    return tmp_path


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines about the project file."""
    return [line for line in done.stderr.splitlines() if "clinspan.yaml" in line]


def shown(command: Command, *words: str, name: str = "run") -> str:
    """A config as `--cfg job` shows it."""
    done = command(name, *words, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


# --- what applies ---


def test_a_run_uses_the_file_says_so_once_and_records_it(command: Command) -> None:
    done = command("run")
    record = load(folder_of(done) / "run.json")
    assert record["corpus"]["name"] == "notes.jsonl"
    assert record["choices"]["corpus"] == "jsonl" and record["config"]["corpus"]["definitions"] == {"Sign": "what others see"}
    assert not any(key.startswith("_") for key in record["choices"])
    assert record["given"] == []
    assert record["project"]["corpus.path"] == "notes.jsonl" and record["project"]["limit"] == 1
    (line,) = said(done)
    assert line.startswith("clinspan: settings of clinspan.yaml: corpus=jsonl corpus.path=notes.jsonl corpus.phi=false ")


def test_null_leaves_the_file_out(command: Command) -> None:
    done = command("stats", "project=null", "--json")
    assert done.returncode == 0 and not said(done)
    assert '"documents": 72' in done.stdout
    assert "always clinspan.yaml of the current folder" in refused(command("stats", "project=other.yaml"))


def test_the_command_line_precedes_an_experiment_which_precedes_the_file(command: Command) -> None:
    config = shown(command, "--config-dir", "mine", "experiment=other", "seed=9")
    assert "\nlimit: 2\n" in config and "\nseed: 9\n" in config and "RareMini" in config
    assert "notes.jsonl" not in config and "what others see" not in config
    assert "\nlimit: 5\n" in shown(command, "limit=5")


def test_settings_of_a_group_belong_to_the_option_that_the_file_chooses(command: Command) -> None:
    assert "path: notes.jsonl" in shown(command, "corpus=jsonl")
    done = command("stats", "corpus=raremini", "--json")
    assert done.returncode == 0 and not said(done)
    assert "path: one.jsonl" in shown(command, "corpus.path=other.jsonl")


def test_an_own_primary_config_precedes_the_file(command: Command, folder: Path) -> None:
    (folder / "mine" / "ours.yaml").write_text("defaults:\n  - run\n  - _self_\nlimit: 4\n", encoding="utf-8")
    config = shown(command, "--config-dir", "mine", "--config-name", "ours")
    assert "\nlimit: 4\n" in config and "path: notes.jsonl" in config


def test_each_command_takes_the_settings_that_it_has(command: Command, folder: Path) -> None:
    (line,) = said(command("stats", "--json"))
    assert line.endswith("corpus=jsonl corpus.path=notes.jsonl corpus.phi=false corpus.definitions={Sign:what others see}")
    assert not said(command("runs"))
    done = command("convert", "to=conll", "output=out")
    assert said(done) and (folder / "out").exists(), done.stderr


def test_a_plain_key_of_a_command_applies_in_it(command: Command, folder: Path) -> None:
    (folder / "clinspan.yaml").write_text("to: conll\nerrors:\n  mentions: 3\n", encoding="utf-8")
    (line,) = said(command("convert", "output=out"))
    assert line == "clinspan: settings of clinspan.yaml: to=conll"
    assert "mentions: 3" in shown(command)


def test_a_program_keeps_its_own_settings(command: Command, folder: Path) -> None:
    made = folder_of(command("run", "format=inline", "label_wording=upper"))
    with (folder / "clinspan.yaml").open("a", encoding="utf-8") as file:
        file.write("label_wording: snake\n")
    done = command("run", f"program={made}")
    record = load(folder_of(done) / "run.json")
    assert (record["choices"]["format"], record["config"]["label_wording"]) == ("inline", "upper")
    assert not {"format", "label_wording"} & record["project"].keys()
    assert "format=" not in said(done)[0] and "label_wording=" not in said(done)[0]
    done = command("run", f"program={made}", "format=bio_lines")
    assert load(folder_of(done) / "run.json")["choices"]["format"] == "bio_lines"


# --- resume and sweeps ---


def test_a_resumed_run_keeps_its_settings_when_the_file_changes(command: Command, folder: Path) -> None:
    folder_of(command("run", "hydra.run.dir=out"))
    before = load(folder / "out" / "run.json")["config"]
    (folder / "clinspan.yaml").write_text(FILE + "label_order: alphabetical\nseed: 12\n", encoding="utf-8")
    done = command("run", "resume=out")
    assert done.returncode == 0 and load(folder / "out" / "run.json")["config"] == before
    assert said(done) == ["clinspan: clinspan.yaml is not read: a resumed run keeps its settings"]
    done = command("run", "hydra.run.dir=out")
    assert "holds a job with other settings" in refused(done)


@pytest.mark.parametrize(
    "launcher", [[], pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], marks=pytest.mark.long)]
)
def test_the_jobs_of_a_sweep_use_the_file_and_it_is_said_once(command: Command, folder: Path, launcher: list[str]) -> None:
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = command("run", "-m", "label_order=corpus,rare", "hydra.sweep.dir=sweep", *launcher)
    assert done.returncode == 0, done.stderr
    (line,) = said(done)
    assert "limit=1" in line
    records = [load(path) for path in sorted((folder / "sweep").glob("*/run.json"))]
    found = [(record["config"]["label_order"], record["project"]["corpus"], record["status"]) for record in records]
    assert found == [("corpus", "jsonl", "finished"), ("rare", "jsonl", "finished")]


def test_an_option_that_a_job_of_a_sweep_chooses_gets_no_settings_of_another(command: Command, folder: Path) -> None:
    done = command("run", "-m", "corpus=jsonl,raremini", "model.path=outputs.jsonl,outputs.jsonl", "hydra.sweep.dir=sweep")
    assert done.returncode == 2  # the recorded answers fit one of the two corpora
    corpora = [load(path)["config"]["corpus"].get("path") for path in sorted((folder / "sweep").glob("*/run.json"))]
    assert set(corpora) == {"notes.jsonl", None}


def test_a_library_does_not_read_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert compose("run", [])[1]["corpus"] == "raremini"


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("corpus: brat\ncorpus.pth: notes\n", 2, "there is no corpus.pth. Did you mean corpus.path?"),
        ("corpus: brta\n", 1, "there is no corpus=brta. Did you mean corpus=brat?"),
        ("\nmodle: smollm2\n", 2, "there is no modle. Did you mean model?"),
        ("corpus: [brat]\n", 1, "corpus is no option. Options: "),
        ("corpus: null\n", 1, "corpus: null chooses nothing"),
        ("limit: 1\nlimit: 2\n", 2, "is not valid YAML"),
        ("errors:\n  mentions: 1\nerrors.mentions: 2\n", 3, "errors.mentions is set twice"),
        ("limit: [\n", 2, "is not valid YAML"),
        ("- limit\n", 1, "is not a mapping"),
        ("corpus._target_: os.system\n", 1, "corpus._target_ is not the key of a setting"),
        ("corpus:\n  definitions: {_target_: os.system}\n", 2, "names code"),
        ("corpus.path: ${oc.env:HOME}\n", 1, "holds an interpolation"),
        ("seed: 1\nallow_remote: true\n", 2, "allow_remote is a permission. Give it on the command line: allow_remote=true"),
        ("phi: false\n", 1, "phi is a permission"),
        ("resume: runs/a\n", 1, "resume is for a single command"),
        ("hydra:\n  run: {dir: x}\n", 2, "hydra.run.dir is for a single command"),
        ("model: openai\nmodel.api_base: https://me:secret@host/v1\n", 2, "holds a password or a key"),
        ("model: openai\nmodel.api_base: [http://127.0.0.1:1/v1, https://a.test/v1]\n", 2, "to another machine (a.test)"),
        ("limit: many\n", 1, "limit=many is not a whole number of at least 1"),
        ("errors: 5\n", 1, "errors has further settings. Write errors.KEY: value."),
    ],
)
def test_mistakes_are_told_with_their_line(command: Command, folder: Path, text: str, line: int, expected: str) -> None:
    (folder / "clinspan.yaml").write_text(text, encoding="utf-8")
    message = refused(command("run"))
    assert message.startswith(f"clinspan: clinspan.yaml:{line}: ") and expected in message
    assert "secret" not in message
    assert not (folder / "runs").exists() or not any((folder / "runs" / "run").iterdir())


@pytest.mark.long
def test_unknown_keys_are_refused_by_every_command(command: Command, folder: Path) -> None:
    (folder / "clinspan.yaml").write_text("corpus: brat\ncorpus.pth: notes\n", encoding="utf-8")
    for name in ("runs", "compare", "report", "score"):
        assert "clinspan.yaml:2: there is no corpus.pth" in refused(command(name))


def test_public_texts_are_those_that_the_file_names(command: Command) -> None:
    message = refused(command("run", "corpus.path=other.jsonl"))
    assert message.startswith("clinspan: clinspan.yaml:4: corpus.phi=false is said of other texts than corpus.path=other.jsonl.")
    record = load(folder_of(command("run", "corpus.path=other.jsonl", "corpus.phi=true")) / "run.json")
    assert record["corpus"]["phi"] is True


def test_values_have_the_types_of_configs(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("model:\n  temperature: 1e-3\ncorpus.map: {Sign: null}\nname: '7'\n", encoding="utf-8")
    expected: list[Any] = [("model.temperature", 0.001, 2), ("corpus.map", {"Sign": None}, 3), ("name", "7", 4)]
    assert read_project(path) == [Setting(*one) for one in expected]
    path.write_text("# nothing\n", encoding="utf-8")
    assert read_project(path) == []
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_project(path)
