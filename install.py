#!/usr/bin/env python3
"""Set up `.venv` with the exact versions of `constraints.txt`, and fetch the default model's weights.

    python3 install.py              the packages that running needs, and the extra rag
    python3 install.py test         also the packages that the tests need
    python3 install.py run mlflow   the same, and another extra of pyproject.toml

The script uses only the standard library. It installs uv into `.venv`, and uv installs the packages. If uv is unavailable or
fails, pip installs them more slowly. pip's own settings (index, links to local files, certificates) apply to both. To install a
CPU build of torch on Linux: `UV_TORCH_BACKEND=cpu python3 install.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "constraints.txt"
STAMP = VENV / "installed.json"
UV = re.compile(r"^uv==\S+", re.M)

IMPORTED = """
import accelerate, seqeval.metrics, clinspan.programs.run, transformers.models.llama.modeling_llama
from transformers import AutoModelForCausalLM, AutoTokenizer
"""
RUN_EXTRAS = ("rag",)
TEST_EXTRAS = ("azure", "datasets", "dev", "docs", "fuzz", "hpo", "mlflow", "otel", "rag", "ray", "spacy", "sweep")


def main(words: list[str]) -> int:
    """Install the extras that the arguments name, and return the exit code."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    extras = extras_of(words)
    if unknown := sorted(extras - known.keys()):
        print(f"install.py: there is no extra {unknown[0]}. Known: run, test, {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    inputs = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "constraints.txt")]
    installed = _read_stamp()
    if installed.get("inputs") == inputs:
        if extras <= set(installed["extras"]):
            return 0
        extras |= set(installed["extras"])
    step("creating .venv", lambda: venv.create(VENV, with_pip=True, clear=not installed))
    env = installer_environment()
    wanted = ["--constraint", str(LOCK), "--editable", f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)]
    title = f"clinspan with {', '.join(sorted(extras))}" if extras else "clinspan"
    uv = UV.search(LOCK.read_text(encoding="utf-8"))
    assert uv is not None
    try:
        step("installing uv", lambda: run([python(), "-m", "pip", "install", "--quiet", uv[0]], env))
        step(f"installing {title}", lambda: run([str(BIN / "uv"), "pip", "install", "--quiet", "--python", python(), *wanted], env))
    except (OSError, subprocess.CalledProcessError):
        print("install.py: uv failed; installing with pip instead, which takes several minutes", file=sys.stderr)
        try:
            # torch first: otherwise pip also considers newer torch releases while it resolves the rest
            run([python(), "-m", "pip", "install", "--quiet", "--constraint", str(LOCK), "torch"], env)
            step(f"installing {title} with pip", lambda: run([python(), "-m", "pip", "install", *wanted], env))
        except (OSError, subprocess.CalledProcessError):
            print("install.py: the packages could not be installed; see pip's output above", file=sys.stderr)
            return 1
    if env.pop("PYTHONDONTWRITEBYTECODE", ""):  # then no command would keep what it compiles, and each would start 10 s later
        step("compiling what a run imports", lambda: compile_imports(env))
    STAMP.write_text(json.dumps({"inputs": inputs, "extras": sorted(extras)}), encoding="utf-8")
    print(f"{sum(1 for _ in packages())} packages in {VENV.name}/")
    return 0


def extras_of(words: Iterable[str]) -> set[str]:
    """The extras that the arguments name.

    >>> sorted(extras_of(["run", "mlflow"]))
    ['mlflow', 'rag']
    """
    return {extra for word in words for extra in {"run": RUN_EXTRAS, "test": TEST_EXTRAS}.get(word, (word,))}


def step(title: str, work: Callable[[], object]) -> None:
    """Do one step of the work, and print its title and duration."""
    print(f"{title} ...", end="", flush=True)
    began = time.monotonic()
    try:
        work()
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - began:.0f} s", flush=True)


def python() -> str:
    """The environment's Python."""
    return str(BIN / ("python.exe" if os.name == "nt" else "python"))


def run(command: list[str], env: Mapping[str, str]) -> None:
    """Run a command.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run(command, check=True, env=env, stdin=subprocess.DEVNULL)


def compile_imports(env: Mapping[str, str]) -> None:
    """Let Python compile and keep what a run imports. What fails here fails again where it is needed, with a message."""
    silent = subprocess.DEVNULL
    subprocess.run([python(), "-c", IMPORTED], check=False, cwd=ROOT, env=env, stdin=silent, stdout=silent, stderr=silent)


def installer_environment() -> dict[str, str]:
    """The environment with pip's settings translated for uv, which ignores them. uv's own settings take precedence."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    listed = subprocess.run(
        [python(), "-m", "pip", "config", "list"], capture_output=True, text=True, env=env, check=False
    ).stdout.splitlines()
    for variable, value in uv_settings(listed).items():
        env.setdefault(variable, value)
    return env


def uv_settings(lines: Iterable[str]) -> dict[str, str]:
    """uv's environment variables for the output of `pip config list`; `:env:` entries override files.

    >>> uv_settings(["global.index-url='https://mirror/simple'", ":env:.find-links='/wheels'", "global.timeout='9'"])
    {'UV_DEFAULT_INDEX': 'https://mirror/simple', 'UV_FIND_LINKS': '/wheels'}
    """
    names = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS", "cert": "SSL_CERT_FILE"}
    values: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        if variable := names.get(key.rpartition(".")[2]):
            values[variable] = ",".join(value.strip("'").split())
    return values


def packages() -> Iterable[Path]:
    """The metadata folders of the installed packages."""
    return VENV.rglob("*.dist-info")


def _read_stamp() -> dict[str, list[str]]:
    try:
        stamp: dict[str, list[str]] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["run"]))
