"""What gets installed: the wheel that the image is built from, in an environment that does not see the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clinspan.programs.cli import COMMANDS
from conftest import load, ROOT

Command = Callable[..., subprocess.CompletedProcess[str]]


def let_through() -> list[str]:
    """The names at the checkout's top that `.dockerignore` leaves in the image's context."""
    return [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in let_through():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (found,) = built.glob("clinspan-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with the wheel, which finds other packages where this one has them, but not the checkout."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (library,) = home.glob("lib/python*/site-packages")
    (library / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--ignore-installed", "--no-index", str(wheel)], check=True, capture_output=True)
    commit = ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--allow-empty", "--message", "theirs"]
    for words in (["init", "--quiet"], commit):
        subprocess.run(["git", *words], cwd=home, check=True, capture_output=True)
    yield home


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AZURE_", "OPENAI_"))}
        env |= {"HF_HUB_OFFLINE": "1"}
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)

    return lambda *words: call(str(installed / "bin" / words[0]), *words[1:])


def test_the_wheel_has_the_packages_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    parts = ("conf", "corpora", "hydra_plugins", "lms", "metrics", "programs", "reports", "retrievers", "tuning")
    tracked = subprocess.run(["git", "ls-files", *parts], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    placed = {name if name.startswith("hydra_plugins/") else f"clinspan/{name}" for name in tracked if name}
    assert not placed - names
    assert {name.split("/")[0] for name in names} == {"clinspan", "hydra_plugins"}
    rooms = {name.split("/")[1] for name in names if name.startswith("clinspan/") and name.count("/") > 1}
    assert rooms == {*parts} - {"hydra_plugins"}


def test_the_command_lists_its_commands_without_loading_any(command: Command, installed: Path) -> None:
    done = command("clinspan", "--help")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert done.returncode == 0 and listed == list(COMMANDS)
    heavy = (
        "import sys; from clinspan.programs.cli import main; main(); print(sorted({'dspy', 'hydra', 'torch'} & set(sys.modules)))"
    )
    done = command("python", "-c", heavy)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "split: test # train | dev | test" in command("clinspan", "run", "--help").stdout


def test_each_command_is_in_the_command() -> None:
    commands = {path.stem for path in (ROOT / "programs").glob("*.py") if "\n    open_command(" in path.read_text(encoding="utf-8")}
    assert set(COMMANDS) == commands - {"command"}


def test_a_command_that_does_not_exist_is_refused(command: Command) -> None:
    done = command("clinspan", "rum", "limit=3")
    assert done.returncode == 2 and "Did you mean clinspan run?" in done.stderr


def test_an_installed_run_is_as_one_from_a_checkout(command: Command, tmp_path: Path) -> None:
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 4, encoding="utf-8")
    done = command("clinspan", "run", "model=replay", "model.path=outputs.jsonl", "limit=4", "strategy=zero_shot")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert (tmp_path / folder).parent.parent == tmp_path / "runs"
    record = load(tmp_path / folder / "run.json")
    assert record["status"] == "finished" and record["corpus"]["name"] == "raremini"
    assert record["git"] == {"commit": None, "dirty": None}  # the checkout around its environment is not its own
