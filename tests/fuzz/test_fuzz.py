"""A second of coverage-guided fuzzing of each target, and the runner's handling of an input that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytest.importorskip("atheris", reason="needs the extra fuzz")
RUNNER = ROOT / "tests" / "fuzz" / "run.py"


def session(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUNNER), *words], capture_output=True, text=True, timeout=800, cwd=ROOT, check=False)


@pytest.mark.long
def test_a_second_of_each_target_finds_no_failure() -> None:
    done = session("seconds=1")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert len(rows) > 20
    assert all(int(row[1].replace(",", "")) > 0 and int(row[2].replace(",", "")) > 0 for row in rows), done.stdout


def test_an_input_that_fails_is_kept_and_can_be_replayed(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "import fuzz.run as run\nfrom fuzz.target import Target\n"
        "def check(data): assert b'!' not in data\n"
        "run.targets = lambda: {'broken': Target(check, (b'a', b'!'))}\n"
        "sys.exit(run.main(sys.argv[1:]))\n"
    )

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-c", script, "targets=broken", "seconds=5", *words)
        return subprocess.run(
            words, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "TMPDIR": str(tmp_path)}
        )

    done = call()
    assert done.returncode == 1, done.stderr[-2000:]
    (failed_input,) = tmp_path.glob("*/broken/failed-*")
    assert str(failed_input) in done.stdout
    assert b"!" in failed_input.read_bytes()
    assert "AssertionError" in call(f"replay={failed_input}").stderr
