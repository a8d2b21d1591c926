"""A sample of mutants, of which tests have to kill 90 %, and the runner's report of those that survive."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

pytest.importorskip("mutmut")
RUNNER = ROOT / "tests" / "mutants" / "run.py"


def session(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=1700, cwd=ROOT, check=False)


def killed_of(output: str) -> dict[str, tuple[int, int]]:
    """Killed and tested mutants by module."""
    return {name: (int(killed), int(tested)) for name, killed, tested in re.findall(r"^(\S+) +(\d+) +(\d+) ", output, re.MULTILINE)}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_tests_kill_nine_of_ten_mutants() -> None:
    """Each part K/N of the long tests draws other mutants; so few that only a share clearly below 90 % is a failure."""
    from scipy.stats import binomtest

    seed = os.environ.get("CLINSPAN_LONG", "").partition("/")[0]
    done = session(sys.executable, str(RUNNER), "total=60", "least=0", f"seed={seed if seed.isdigit() else 0}")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    killed, tested = killed_of(done.stdout)["all"]
    assert tested > 40 and binomtest(killed, tested, 0.9, alternative="less").pvalue > 0.001


@pytest.mark.long
def test_mutants_that_no_test_notices_are_named() -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "import mutants.run as run\nfrom mutants.targets import Group\n"
        "tests = 'tests/metrics/test_scores.py::test_macro_is_the_mean_over_labels_with_gold_found_or_not'\n"
        "run.groups = lambda: {'weak': Group(('metrics/scores.py',), (tests,))}\n"
        "sys.exit(run.main(sys.argv[1:]))\n"
    )
    done = session(sys.executable, "-c", script, "sample=12", "seed=1", "least=99")
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    killed, tested = killed_of(done.stdout)["metrics/scores.py"]
    assert tested == 12 and 0 < killed < tested
    survivors = re.findall(r"survived metrics/scores.py:(\d+)\n    - .+\n    \+ .+", done.stdout)
    assert len(survivors) == tested - killed
    lines = (ROOT / "metrics" / "scores.py").read_text(encoding="utf-8").splitlines()
    assert any(lines[int(number) - 1].strip() for number in survivors)


@pytest.mark.long
def test_each_mutant_listed_as_equivalent_is_one() -> None:
    """Entries that no longer match a mutant are removed from the list."""
    from mutants.mutate import mutants
    from mutants.targets import equivalent, groups

    entries = equivalent()
    assert all(reason for reason in entries.values())
    modules = {path for group in groups().values() for path in group.modules}
    for path in {path for path, _, _ in entries}:
        assert path in modules
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        wanted = {(before, after) for file, before, after in entries if file == path}
        found = set()
        for mutant in mutants(ROOT, path):
            near = " ".join(line.strip() for line in lines[mutant.lines.start - 1 : mutant.lines.stop])
            if any(before in near or near in before for before, _ in wanted):
                found.add(mutant.change)
        assert wanted <= found, wanted - found
