"""Runs tests on a mutant, in a forked process that imports the mutant in the module's place.

The parent process has imported all third-party packages, so a run begins within a second. A first run on the unchanged modules
records which tests execute which lines, and how long they take. A mutant gets the tests of its lines, the fastest first.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("clinspan", "conftest", "support", "benchmarks")
_QUIET = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
_MEMORY = 8 << 30
_LOG = 20_000


@dataclass
class Coverage:
    """What a run on the unchanged modules recorded.

    Attributes:
        seconds: The duration of each test, by its id.
        tests: The tests that execute a line, by the module's path and the line's number; all tests where the line is executed
            when the module is imported.
    """

    seconds: dict[str, float]
    tests: dict[str, dict[int, list[str]]]

    def of(self, path: str, lines: range) -> list[str]:
        """The tests to run for a change in these lines of a module, the fastest first."""
        chosen = {test for line in lines for test in self.tests[path].get(line, ())}
        return sorted(chosen, key=lambda test: (self.seconds[test], test))


class Runner:
    """Runs the tests of some modules. Creating one imports what they need.

    Args:
        paths: The modules' files, relative to the root of the checkout.
        words: Their tests as pytest's arguments.

    Raises:
        RuntimeError: The tests fail on the unchanged modules.
    """

    def __init__(self, paths: Sequence[str], words: Sequence[str]) -> None:
        self.paths, self.words = list(paths), list(words)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            pytest.main(["--collect-only", *_QUIET, *words])
        for name in [name for name, module in sys.modules.items() if _is_ours(name, module)]:
            del sys.modules[name]
        gc.collect()
        gc.freeze()
        code, said = _forked(self._measure, 600)
        if code:
            raise RuntimeError(f"{' '.join(words)} fail on the unchanged modules:\n{said[-_LOG:]}")
        found = json.loads(said.rpartition("\n")[2])
        tests = {path: {int(n): names for n, names in lines.items()} for path, lines in found["tests"].items()}
        self.coverage = Coverage(found["seconds"], tests)

    def killed(self, path: str, lines: range, source: str) -> bool:
        """Whether a test fails with this source of a module, which differs in these lines. Too long a run is a failure too."""
        chosen = self.coverage.of(path, lines)
        limit = 20 + 5 * sum(self.coverage.seconds[test] for test in chosen)
        return bool(chosen) and _forked(lambda: self._try(path, source, chosen), limit)[0] != 0

    def _try(self, path: str, source: str, chosen: list[str]) -> int:
        sys.meta_path.insert(0, _Finder(_module(path), ROOT / path, source))
        return int(pytest.main([*_QUIET, *chosen], plugins=[_InOrder(chosen)]))

    def _measure(self) -> int:
        import coverage

        recorder = coverage.Coverage(data_file=None, include=[str(ROOT / path) for path in self.paths])
        plugin = _Recording(recorder)
        recorder.start()
        code = int(pytest.main([*_QUIET, *self.words], plugins=[plugin]))
        recorder.stop()
        if not code:
            print(
                json.dumps({"seconds": plugin.seconds, "tests": {path: plugin.tests(ROOT / path) for path in self.paths}}), end=""
            )
        return code


class _InOrder:
    """Sorts tests as given."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.places = {test: n for n, test in enumerate(ids)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.places.get(item.nodeid, 0))


class _Recording:
    """Records durations, and the executed lines by test; what sets up a test counts for all tests of its file."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.recorder.switch_context(f"file {item.nodeid.partition('::')[0]}")
        begin = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - begin

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self.recorder.switch_context(item.nodeid)
        return (yield)

    def tests(self, file: Path) -> dict[int, list[str]]:
        """The tests by line of a module."""
        by_line = self.recorder.get_data().contexts_by_lineno(str(file))
        return {line: [test for test in self.seconds if self._runs(test, set(contexts))] for line, contexts in by_line.items()}

    def _runs(self, test: str, contexts: set[str]) -> bool:
        return not contexts.isdisjoint({"", test, f"file {test.partition('::')[0]}"})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from a source that is not in its file."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, str(self.path), "exec", dont_inherit=True)


def _module(path: str) -> str:
    return "clinspan." + path.removesuffix(".py").replace("/", ".")


def _is_ours(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    return name.partition(".")[0] in _OURS or (
        file.startswith(f"{ROOT / 'tests'}/") and not file.startswith(f"{Path(__file__).parent}/")
    )


def _forked(work: Callable[[], int], limit: float) -> tuple[int, str]:
    """The exit code of a function in a forked process, and the end of its output.

    The code is 1 if a signal or the time limit ended it. Whatever the process started ends with it.
    """
    with open(os.memfd_create("output"), "w+b") as output:  # noqa: PTH123
        child = os.fork()
        if not child:
            _run(work, output.fileno())
        end = time.monotonic() + limit
        while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status = done[1] if done[0] else os.waitpid(child, 0)[1]
        output.seek(0)
        said = output.read().decode(errors="replace")
    return (os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1), said


def _run(work: Callable[[], int], output: int) -> None:
    """End this process with the code that a function gives; hypothesis tries the same examples each time."""
    code = 70
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        os.environ.pop("CLINSPAN_LONG", None)
        import hypothesis

        hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
        hypothesis.settings.load_profile("mutants")
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
