"""A process that imports the doors once and is copied for every call: a door costs a second then, and can be killed.

The copy runs `python -m programs.X` by runpy and ends as a process of its own does. What is to befall it is in `harm`.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """A door that has ended.

    Attributes:
        code: Its exit code; minus the signal's number if one ended it.
        out: What it said on standard output.
        err: And on standard error.
    """

    code: int
    out: str
    err: str

    @property
    def clear(self) -> bool:
        """Whether it went well, or stopped with one message of ours and no traceback."""
        said = self.code == 0 or (self.code > 1 and "clinspan:" in self.err)
        return said and not any(
            bad in self.err for bad in ("Traceback", "Logging error", "Error executing", "its words are left out")
        )


class Running:
    """A door that is under way."""

    def __init__(self, nursery: Nursery, pid: int, said: Path) -> None:
        self.nursery, self.pid, self.said = nursery, pid, said

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait for its end."""
        status, seconds = self.nursery.ask({"wait": self.pid})
        self.nursery.seconds += seconds
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, *(self.said.with_suffix(end).read_text(encoding="utf-8") for end in (".out", ".err")))


class Nursery:
    """The process, and doors that are begun in it.

    Args:
        folder: For what doors say.

    Attributes:
        calls: How many doors there were.
        seconds: Of processor time that they took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.seconds = folder, 0, 0.0
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_"))}
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        env = {**clean, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", "from faults.nursery import serve; serve()"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
        )

    def ask(self, what: dict[str, Any]) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def begin(self, door: str, *words: str, cwd: Path, harm: Sequence[Any] = (), env: dict[str, str] | None = None) -> Running:
        """Begin a door.

        Args:
            door: Its name.
            words: Its overrides.
            cwd: Where it runs.
            harm: Name and arguments of a function of `harm`, called in the process before the door is opened.
            env: Variables that are set besides.
        """
        self.calls += 1
        said = self.folder / f"{self.calls}.said"
        job = {"door": door, "words": words, "cwd": str(cwd), "harm": list(harm), "env": env or {}, "said": str(said)}
        return Running(self, self.ask(job), said)

    def call(self, door: str, *words: str, cwd: Path, harm: Sequence[Any] = (), env: dict[str, str] | None = None) -> Ended:
        """Run a door to its end."""
        return self.begin(door, *words, cwd=cwd, harm=harm, env=env).wait()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def until(found: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def serve() -> None:
    """Import everything that doors need; then a copy for every line of standard input."""
    import chromadb  # noqa: F401
    import dspy.clients.openai  # noqa: F401
    import transformers.models.auto.modeling_auto  # noqa: F401

    import lms.classifier
    import lms.engine
    import lms.remote  # noqa: F401
    import programs.annotate
    import programs.finetune
    import programs.optimize
    import programs.run  # noqa: F401
    import tuning.trainer  # noqa: F401
    from programs.composing import check_words

    check_words("run", ["limit=1"])  # Hydra finds its plugins and makes its parser at the first word
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status, used = os.wait4(job["wait"], 0)
            print(json.dumps([status, used.ru_utime + used.ru_stime]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _run(job)
            return
        print(pid, flush=True)


def _run(job: dict[str, Any]) -> None:
    """The copy's life: what it raises ends it, as in any Python process."""
    from faults import harm

    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = Path(job["said"])
    for number, end in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(said.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.argv = [f"programs.{job['door']}", *job["words"]]
    if job["harm"]:
        name, *given = job["harm"]
        getattr(harm, name)(*given)
    warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)  # as they are to be
    runpy.run_module(f"programs.{job['door']}", run_name="__main__", alter_sys=True)
