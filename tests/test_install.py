"""The set-up script: the packages it installs, and its message about unknown extras."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
from typing import Any

from conftest import ROOT

_SPEC = importlib.util.spec_from_file_location("install", ROOT / "install.py")
assert _SPEC is not None and _SPEC.loader is not None
install: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(install)


def test_pips_settings_hold_for_uv_and_the_environment_overrides_files() -> None:
    lines = ["global.find-links='/old'", ":env:.find-links='/a /b'", "global.cert='/c.pem'", "global.timeout='9'"]
    assert install.uv_settings(lines) == {"UV_FIND_LINKS": "/a,/b", "SSL_CERT_FILE": "/c.pem"}


def test_an_unknown_extra_is_refused_before_anything_is_installed() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "install.py"), "nosuch"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no extra nosuch. Known: run, test, azure, " in done.stderr


def test_a_run_has_what_the_first_commands_need_and_the_tests_have_it_too() -> None:
    assert install.extras_of(["run"]) == {"rag"}  # README: make run ARGS="strategy=knn limit=60"
    assert install.extras_of(["run"]) <= install.extras_of(["test"])
    assert install.extras_of(["run", "mlflow"]) == {"rag", "mlflow"}


def test_what_is_compiled_can_be_imported() -> None:
    found = [node for node in ast.walk(ast.parse(install.IMPORTED)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in found if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in found if isinstance(node, ast.ImportFrom) and node.module]
    assert len(names) >= 5 and all(importlib.util.find_spec(name) for name in names)


def test_all_extras_are_known_and_locked() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(install.TEST_EXTRAS) == set(extras)
    locked = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    assert install.UV.search(locked) is not None
