"""Commands behave as users of Hydra expect: own configs and experiments, options anywhere, help, completion, sweeps."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clinspan import __version__
from clinspan.corpora import InputError
from clinspan.programs.config.command_line import parse, parser
from clinspan.programs.config.composition import compose, group_option
from clinspan.programs.config.overrides import searching
from conftest import Command, folder_of, load, ROOT

REPLAY = ["model=replay", "model.path=outputs.jsonl", "strategy=zero_shot", "format=bio_lines", "limit=1"]
OWN = {
    "mine/strategy/own.yaml": "defaults:\n  - zero_shot\n",
    "mine/strategy/sub/deep.yaml": "defaults:\n  - /strategy/zero_shot@_here_\n",
    "mine/model/own.yaml": "defaults:\n  - replay\npath: outputs.jsonl\n",
    "mine/model/__pycache__/x.yaml": "",
    "conf/experiment/one.yaml": """# @package _global_
defaults:
  - override /model: replay
  - override /strategy: zero_shot
  - override /format: bio_lines

tags: [mine]
model:
  path: outputs.jsonl
limit: 1
""",
    "conf/experiment/two.yaml": (
        "# @package _global_\ndefaults:\n  - one\nhydra:\n  sweeper:\n    params:\n      errors.mentions: 1,2\n"
    ),
    "conf/experiment/absent.yaml": "# @package _global_\ndefaults:\n  - override /model: medtuned\n",
    "conf/experiment/typo.yaml": "# @package _global_\ndefaults:\n  - one\nmodel:\n  pth: x\n",
    "conf/own_run.yaml": "defaults:\n  - run\n  - _self_\nhydra:\n  searchpath: [file://mine]\nlimit: 1\n",
    "conf/strategy/broken.yaml": "k: [1\nvotes: 2\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A user's folder with own configs and recorded answers."""
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 232, encoding="utf-8")
    return tmp_path


def message(error: subprocess.CompletedProcess[str]) -> str:
    """The single line that a refused command prints."""
    assert error.returncode == 2, error.stderr
    (line,) = error.stderr.splitlines()
    assert line.startswith("clinspan: ") and len(line) < 800
    return line


# --- own options and experiments ---


@pytest.mark.parametrize(
    "words",
    [
        ["hydra.searchpath=[file://mine]", "limit=1"],
        ["limit=1", "--config-dir", "mine"],
        ["--config-dir", "conf", "--config-name", "own_run"],
    ],
)
def test_own_options_run_and_are_checked_wherever_they_come_from(command: Command, words: list[str]) -> None:
    done = command("run", *words, "strategy=own", "model=own", "hydra.run.dir=out")
    choices = load(folder_of(done) / "run.json")["choices"]
    assert (choices["strategy"], choices["model"]) == ("own", "own")
    assert message(command("run", *words, "strategy=owm")) == "clinspan: there is no strategy=owm. Did you mean strategy=own?"
    assert message(command("run", *words, "strategi=own")) == "clinspan: there is no strategi. Did you mean strategy?"


def test_a_run_with_own_options_is_resumed_with_the_same_folders(command: Command) -> None:
    folder_of(command("run", "hydra.searchpath=[mine]", "strategy=own", "model=own", "limit=1", "hydra.run.dir=out"))
    assert command("run", "resume=out", "hydra.searchpath=[mine]").returncode == 0
    assert "Could not find 'strategy/own'" in (said := message(command("run", "resume=out")))
    assert said.endswith("Further folders are searched with --config-dir=DIR or hydra.searchpath=[DIR]")


def test_an_option_of_a_search_path_is_found_for_a_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    config, chosen, keys = compose("run", ["hydra.searchpath=[mine]", "strategy=own", "limit=2"])
    assert (config.limit, chosen["strategy"]) == (2, "own")
    assert {"limit", "strategy"} <= keys
    with searching(folder / "mine"):
        assert group_option("strategy", "own").demonstrations == "none"
    with pytest.raises(InputError, match="there is no strategy=own"):
        group_option("strategy", "own")


def test_an_experiment_of_one_job_runs_as_one_job(command: Command) -> None:
    record = load(folder_of(command("run", "--config-dir", "conf", "experiment=one")) / "run.json")
    assert record["choices"]["experiment"] == "one"
    assert (record["config"]["limit"], record["config"]["tags"]) == (1, ["mine"])


def test_only_an_experiment_of_several_cells_asks_for_a_sweep(command: Command) -> None:
    said = message(command("run", "--config-dir", "conf", "experiment=two"))
    assert said == "clinspan: experiment=two is a sweep over several cells. Add -m."
    done = command("run", "-m", "--config-dir", "conf", "experiment=two")
    assert "two: 2 of 2 cells ran" in done.stdout, done.stderr
    assert "one: 1 of 1 cells ran" in command("run", "-m", "--config-dir", "conf", "experiment=one").stdout


def test_a_single_job_of_an_experiment_whose_model_is_missing_fails(command: Command) -> None:
    said = message(command("run", "--config-dir", "conf", "experiment=absent", "strategy=zero_shot"))
    assert said.startswith("clinspan: no weights for model=medtuned")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["experiment=typo"], "got an unexpected keyword argument 'pth'. Its settings: name, path, concurrency."),
        (["strategy=broken"], "conf/strategy/broken.yaml:2: is not valid YAML"),
        (["strategy=sub/dep"], "there is no strategy=sub/dep. Known: "),
    ],
)
def test_mistakes_in_own_configs_are_named(command: Command, words: list[str], expected: str) -> None:
    assert expected in message(command("run", "--config-dir", "conf", *words))


def test_null_is_an_option_where_a_command_works_without_the_group(command: Command) -> None:
    record = load(folder_of(command("run", "experiment=null", *REPLAY)) / "run.json")
    assert "experiment" not in record["choices"]
    assert command("optimize", "reflection_model=null", "--cfg", "job").returncode == 0


def test_a_list_of_one_option_is_recorded_as_that_option(command: Command) -> None:
    record = load(folder_of(command("run", *REPLAY[:2], "strategy=[zero_shot]", "limit=1", "format=[bio_lines]")) / "run.json")
    assert (record["choices"]["strategy"], record["choices"]["format"]) == ("zero_shot", "bio_lines")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tracking=null"], "tracking=null chooses nothing"),
        (["@x=1"], "'@x=1' cannot be read: it has no key"),
        (["--zzz"], "there is no option --zzz"),
        (["--multrun"], "there is no option --multrun. Did you mean --multirun?"),
        (["--config-dir"], "expected one argument"),
        (["--config-dir", "nosuch"], "nosuch: is not a folder"),
        (["--config-name", "nosuch"], "Cannot find primary config 'nosuch'"),
        (["--experimental-rerun", "nosuch"], "nosuch: is not a file"),
        (["--resolve"], "--resolve applies to --cfg only"),
        (["-m", "--cfg", "job"], "not allowed with argument"),
        (["-sc", "install=tcsh"], "No completion plugin for 'tcsh' found"),
        (["model=[replay,smollm2]"], "the settings of LocalModel do not fit it"),
        (["hydra.searchpath=x"], "hydra.searchpath must be a list of strings"),
    ],
)
def test_a_command_that_is_refused_prints_one_line(command: Command, words: list[str], expected: str) -> None:
    assert expected in message(command("run", *words))


# --- options of Hydra ---


def test_the_options_are_those_of_hydra() -> None:
    def names(kind: Any) -> set[tuple[str, ...]]:
        return {tuple(action.option_strings) for action in kind._actions if action.option_strings}

    ours = {("--help-all",), ("--json",), ("--display",), ("--where",)}
    assert names(parser()) - ours == names(importlib.import_module("hydra.main").get_args_parser())


def test_options_may_stand_anywhere_among_the_words(command: Command) -> None:
    line = parse(["a=1", "-cd", "d", "b=2", "-m", "c=3"])
    assert (line.options, line.words) == (("--config-dir=d", "--multirun"), ("a=1", "b=2", "c=3"))
    done = command("run", REPLAY[0], "--config-dir", "mine", *REPLAY[1:3], "-m", *REPLAY[3:], "label_order=corpus,rare")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("raremini test (first 1 of 232 sentences") == 2
    assert "a: holds no run.json" in message(command("compare", "--config-dir", "mine", "a", "b"))


def clinspan(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `clinspan` in a process of its own."""
    full = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-m", "clinspan", *words], cwd=folder, env=full, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.long
def test_options_may_precede_the_command(folder: Path) -> None:
    done = clinspan(folder, "--config-dir", "conf", "run", "experiment=one", "--cfg", "job", "--package", "model")
    assert "path: outputs.jsonl" in done.stdout, done.stderr
    assert "seed=1 is not a command" in message(clinspan(folder, "-m", "seed=1"))
    assert "there is no option --zzz" in message(clinspan(folder, "run", "--zzz"))


def test_help_shows_the_settings_with_their_comments(command: Command, folder: Path) -> None:
    words = ["--help-all", "model=own", "--config-dir", "mine"]
    first, *shown = command("run", *words).stdout.splitlines()
    assert first == "python -m programs.run [key=value ...]: tag a split with a model and a strategy, and score it"
    assert "  split: test # train | dev | test" in shown
    assert "  label_order: corpus # corpus | alphabetical | frequent | rare" in shown  # of conf/shared
    assert any(re.match(r"  strategy= +few_shot \| .* own \| ", line) for line in shown)
    assert shown[shown.index("model=own") + 1 :][:3] == ["  defaults:", "    - replay", "  path: outputs.jsonl"]
    assert clinspan(folder, "run", *words).stdout.splitlines()[1:] == shown
    assert shown[-1].startswith("settings in clinspan.yaml of the current folder")
    for name in ("annotate", "bench", "compare", "convert", "export", "finetune", "optimize", "report", "score"):
        assert "\nsettings\n" in command(name, "limit=1", "--help-all").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--hydra-help"], "== Flags =="),
        (["--version"], "Hydra 1."),
        (["--info"], "Installed Hydra Plugins"),
        (["--info", "searchpath", "--config-dir", "mine"], "| command-line | file://"),
        (["limit=7", "--cfg", "job"], "\nlimit: 7\n"),
        (["-c", "hydra", "--resolve"], "hydra:\n"),
        (["-sc", "install=bash"], "hydra_bash_completion()"),
        (["-sc", "uninstall=bash"], "unset hydra_bash_completion"),
    ],
)
def test_what_hydra_can_show_is_shown(command: Command, words: list[str], expected: str) -> None:
    done = command("run", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("clinspan ", "start init check run optimize compare finetune annotate report score runs export convert stats doctor"),
        ("clinspan run strategy=f", "strategy=few_shot"),
        ("clinspan run --config-dir mine model=ow", "model=own"),
        ("clinspan stats --c", "--config-dir"),
    ],
)
def test_a_shell_completes_commands_options_and_own_configs(folder: Path, typed: str, suggested: str) -> None:
    done = clinspan(folder, "-sc", "query=bash", COMP_LINE=typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert suggested in done.stdout


def test_the_completion_script_completes_in_bash(folder: Path) -> None:
    shim = folder / "clinspan"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m clinspan "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    script = 'eval "$(clinspan -sc install=bash)"; COMP_CWORD=2; hydra_bash_completion; echo "${COMPREPLY[@]}"'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env={**env, "COMP_LINE": "clinspan run model=gpt4"}, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip() == "model=gpt4 model=gpt41 model=gpt41_mini model=gpt4o"


# --- sweeps and jobs ---


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["errors.mentions=range(1,3)"], 2),
        (["errors.mentions=sort(3,1)", "hydra/sweeper=basic"], 2),
        (["errors.mentions=1,2", "hydra/sweeper=cells"], 2),
        (["strategy=glob(o*)", "hydra.searchpath=[mine]"], 1),
        (["strategy=glob(z*)", "hydra/sweeper=cells"], 1),
        (["~tracking"], 1),
    ],
)
def test_all_kinds_of_sweeps_run(command: Command, folder: Path, words: list[str], jobs: int) -> None:
    done = command("run", "-m", *REPLAY, *words, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    records = [load(path) for path in (folder / "sweep").glob("*/run.json")]
    assert [record["status"] for record in records] == ["finished"] * jobs


def test_settings_of_hydra_for_one_job(command: Command, folder: Path) -> None:
    words = ["hydra.job.name=x", "hydra.run.dir=out/${hydra.job.name}", "+hydra.job.env_set.CLINSPAN_CACHE=cache"]
    assert folder_of(command("run", *REPLAY, *words)) == folder / "out" / "x"
    assert "requires --multirun" in message(command("run", *REPLAY, "strategy=glob(z*)"))


def test_a_job_runs_again_from_the_file_that_hydra_saved(command: Command, folder: Path) -> None:
    saved = ["hydra.output_subdir=.hydra", "+hydra.callbacks.job._target_=hydra.experimental.callbacks.PickleJobInfoCallback"]
    first = folder_of(command("run", *REPLAY, *saved, "hydra.run.dir=out"))
    (first / "run.json").unlink()
    assert folder_of(command("run", "--experimental-rerun", "out/.hydra/config.pickle")) == first
    assert load(first / "run.json")["status"] == "finished"


# --- pipes and the version ---


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["run", "--cfg", "job"], ["run", "--info"], ["runs"], ["stats", "--json"], ["run", *REPLAY]],
)
def test_a_pipe_that_nobody_reads_ends_a_command_without_a_message(folder: Path, words: list[str]) -> None:
    (folder / "runs" / "old").mkdir(parents=True)
    (folder / "runs" / "old" / "run.json").write_text('{"status": "failed", "error": "ModelError"}', encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    command, env = [sys.executable, "-m", "clinspan", *words], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    os.close(writer)
    assert done.returncode in ((0,) if "--info" in words else (1, 141))  # Hydra logs what --info shows; rich ends with 1
    assert not [line for line in done.stderr.splitlines() if line and not line.startswith("tagging ")]
    if words == ["run", *REPLAY]:
        (record,) = (folder / "runs" / "run").glob("*/run.json")
        assert load(record)["status"] == "finished"


def test_the_command_tells_its_version(folder: Path) -> None:
    done = clinspan(folder, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"clinspan {__version__}\n", "")
