"""Runs the commands of the list of results, each in a folder of its own, and knows which of them are done."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.result_list import Figure, Key, Step
from clinspan.corpora import InputError
from clinspan.programs.config.command_line import quoted
from clinspan.programs.rundir.run_folder import git_state, now, RunFolder

ROOT = Path(__file__).resolve().parent.parent
RECORD, OUTPUT = "made.json", "output.txt"
_IN_BENCHMARKS = ("bench", "coverage")
_WITHOUT_FOLDER = ("coverage", "score", "stats")
_BUSY = 0.1
"""Share of the wall time of one core from which on the work of other programs makes times upper bounds."""


def module(command: str) -> str:
    """The module of a command.

    >>> module("run"), module("bench")
    ('programs.run', 'benchmarks.bench')
    """
    return f"{'benchmarks' if command in _IN_BENCHMARKS else 'programs'}.{command}"


def shown_command(command: str, words: Iterable[str]) -> str:
    """A command as a user writes it.

    >>> shown_command("run", ["limit=4"]), shown_command("bench", [])
    ('clinspan run limit=4', 'python -m benchmarks.bench')
    """
    name = f"python -m {module(command)}" if command in _IN_BENCHMARKS else f"clinspan {command}"
    return " ".join([name, *words])


@dataclass(frozen=True)
class Store:
    """The folder of the results, `runs/results`: each step has the folder `RESULT/STEP`.

    Attributes:
        path: The folder.
        given: What `data=` and `server=` were given.
    """

    path: Path
    given: Mapping[str, str]

    def folder(self, key: Key) -> Path:
        """The folder of a step."""
        return self.path / key[0] / key[1]

    def record(self, step: Step) -> dict[str, Any] | None:
        """The record of a step; None if it was never started, or was started with other settings."""
        file = self.folder(step.key) / RECORD
        if not file.is_file():
            return None
        record = RunFolder(file.parent).read(RECORD)
        return record if record.get("words") == [step.command, *step.words] else None

    def made(self, step: Step, steps: Mapping[Key, Step]) -> dict[str, Any] | None:
        """The record of a finished step; None if it is not finished, or if a step that it uses was made again since."""
        record = self.record(step)
        if record is None or record["status"] != "finished":
            return None
        for key in step.uses:
            used = self.made(steps[key], steps)
            if used is None or used["ended"] != record["uses"].get("/".join(key)):
                return None
        return record

    def lacks(self, step: Step, steps: Mapping[Key, Step]) -> list[str]:
        """The settings that are missing to run a step and those that it uses."""
        names = [name for name in step.needs if name not in self.given]
        return list(dict.fromkeys(names + [name for key in step.uses for name in self.lacks(steps[key], steps)]))

    def run(self, step: Step, steps: Mapping[Key, Step]) -> bool:
        """Run a step, or resume it. Return whether it succeeded.

        A folder of the same step with other settings is kept under another name.
        """
        folder = self._free(step, steps)
        uses = {"/".join(key): self._ended(steps[key], steps) for key in step.uses}
        record = self.record(step) or {"words": [step.command, *step.words], "commits": [], "seconds": 0.0, "cpu_seconds": 0.0}
        record |= {"status": "started", "uses": uses, "machine": machine()}
        record["command"] = shown_command(step.command, self._words(step))
        record.setdefault("others_seconds", 0.0)
        record.setdefault("started", now())
        if (commit := git_state().content()) not in record["commits"]:
            record["commits"].append(commit)
        folder.write(RECORD, record)
        words = [*self._words(step), *_own_folder(step, folder.path)]
        done: subprocess.CompletedProcess[bytes] | None = None
        try:
            with _timed(record), (folder.path / OUTPUT).open("wb") as output:
                command = [sys.executable, "-m", module(step.command), *words]
                done = subprocess.run(command, cwd=ROOT, stdout=output, stdin=subprocess.DEVNULL, check=False)
        finally:
            succeeded = done is not None and not done.returncode
            record |= {"status": "finished" if succeeded else "failed", "ended": now()}
            folder.write(RECORD, record)
        return succeeded

    def value(self, step: Step, file: str, key: str) -> Any:
        """The value under a key in a file of a step's folder. What was read is kept in the step's record.

        Raises:
            InputError: The file or the key is missing; the message names both.
        """
        folder = RunFolder(self.folder(step.key))
        record = folder.read(RECORD)
        place = f"{file}:{key}"
        if place not in record.get("figures", {}):
            content = record if file == "made" else folder.read(file)
            record.setdefault("figures", {})[place] = _under(content, key, folder.path / (RECORD if file == "made" else file))
            folder.write(RECORD, record)
        return record["figures"][place]

    def keep(self, step: Step, figures: list[Figure]) -> None:
        """Read figures of a finished step into its record."""
        for figure in figures:
            for file, key in figure.places():
                self.value(step, file, key)

    def _words(self, step: Step) -> list[str]:
        return step.filled({key: str(self.folder(key).absolute()) for key in step.uses}, self.given)

    def _ended(self, step: Step, steps: Mapping[Key, Step]) -> str:
        record = self.made(step, steps)
        if record is None:
            raise InputError(f"{'/'.join(step.key)} is not finished", remedy="Make it first.")
        return str(record["ended"])

    def _free(self, step: Step, steps: Mapping[Key, Step]) -> RunFolder:
        path = self.folder(step.key)
        if (path / RECORD).is_file():
            record = RunFolder(path).read(RECORD)
            uses = {"/".join(key): self._ended(steps[key], steps) for key in step.uses}
            if record.get("words") != [step.command, *step.words] or record.get("uses") != uses:
                path.rename(path.with_name(f"{path.name}.until-{now().replace(':', '-')}"))
        return RunFolder(path)


def machine() -> dict[str, Any]:
    """The number of cores, the threads that a command may use, and the processor."""
    cores = os.cpu_count() or 1
    return {"cores": cores, "threads": int(os.environ.get("OMP_NUM_THREADS") or cores), "cpu": _processor()}


def _processor() -> str:
    with contextlib.suppress(OSError):  # only Linux has the file
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def is_busy(record: Mapping[str, Any]) -> bool:
    """Whether other programs worked while a step ran, so that its times are only bounds."""
    return bool(record.get("others_seconds", 0.0) > _BUSY * record.get("seconds", 0.0))


@contextlib.contextmanager
def _timed(record: dict[str, Any]) -> Iterator[None]:
    """Add the seconds of the enclosed block, the processor time of its processes and that of all other programs to a record."""
    began, own, every = time.monotonic(), _own_seconds(), _all_seconds()
    try:
        yield
    finally:
        mine = _own_seconds() - own
        record["seconds"] += time.monotonic() - began
        record["cpu_seconds"] += mine
        record["others_seconds"] += max(0.0, _all_seconds() - every - mine)


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _all_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _own_folder(step: Step, path: Path) -> list[str]:
    return [] if step.command in _WITHOUT_FOLDER else [f"hydra.run.dir={quoted(str(path.absolute()))}"]


def _under(content: Any, key: str, path: Path) -> Any:
    found = content
    for part in key.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise InputError(f"has no {key}", path=path, remedy="Correct the key in benchmarks/results.yaml.") from None
    return found
