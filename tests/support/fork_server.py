"""A process that imports everything commands need once and forks for every command, so a command starts in milliseconds.

The child runs `python -m programs.X` through runpy and exits like a separate process. It can therefore be killed, and its exit
code, output and files are those of a real command. The faults to inject are the functions of `fault_injection`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_CHANGED_BY_IMPORTS = ("KMP_", "OMP_NUM_THREADS", "LITELLM", "TOKENIZERS_")


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit code; minus the signal's number if a signal ended it.
        out: Its standard output.
        err: Its standard error.
    """

    code: int
    out: str
    err: str

    @property
    def clear(self) -> bool:
        """Whether it succeeded, or stopped with a `clinspan:` message and no traceback."""
        handled = self.code == 0 or (self.code > 1 and "clinspan:" in self.err)
        return handled and not any(
            bad in self.err for bad in ("Traceback", "Logging error", "Error executing", "its message is left out")
        )


class Running:
    """A command that is running.

    Args:
        server: The fork server.
        pid: The command's process.
        files: Path of its output files, without their suffixes.
    """

    def __init__(self, server: ForkServer, pid: int, files: Path) -> None:
        self.server, self.pid, self.files = server, pid, files

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        status = self.files.with_suffix(".status")
        return json.loads(status.read_text())[0] if status.exists() else None

    def wait(self, timeout: float = 600) -> Ended:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It took longer; it was killed.
        """
        status, deadline = self.files.with_suffix(".status"), time.monotonic() + timeout
        while not status.exists():
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            if self.server.process.poll() is not None:
                raise RuntimeError("the fork server is gone")
            time.sleep(0.005)
        code, seconds = json.loads(status.read_text())
        self.server.seconds += seconds
        return Ended(code, *(self.files.with_suffix(end).read_text(encoding="utf-8") for end in (".out", ".err")))


class ForkServer:
    """The server process and the commands started in it; threads may share it.

    Args:
        folder: The folder for the commands' output.

    Attributes:
        calls: The number of commands so far.
        seconds: The processor time of the finished commands.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.seconds = folder, 0, 0.0
        self._lock = threading.Lock()
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        env = {**clean_environment(), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", "from support.fork_server import serve; serve()"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
        )

    def begin(self, command: str, *words: str, cwd: Path, fault: Sequence[Any] = (), env: dict[str, str] | None = None) -> Running:
        """Start a command.

        Args:
            command: Its name.
            words: Its overrides.
            cwd: Its working directory.
            fault: Name and arguments of a function of `fault_injection`, called in the process before the command starts.
            env: Variables besides those of this process.
        """
        with self._lock:
            self.calls += 1
            files = self.folder / f"{self.calls}.said"
            job = {"command": command, "words": words, "cwd": str(cwd), "fault": list(fault), "said": str(files)}
            job["env"] = {**clean_environment(), **(env or {})}
            assert self.process.stdin is not None and self.process.stdout is not None
            print(json.dumps(job), file=self.process.stdin, flush=True)
            return Running(self, json.loads(self.process.stdout.readline()), files)

    def call(
        self,
        command: str,
        *words: str,
        cwd: Path,
        fault: Sequence[Any] = (),
        env: dict[str, str] | None = None,
        timeout: float = 600,
    ) -> Ended:
        """Run a command to its end."""
        return self.begin(command, *words, cwd=cwd, fault=fault, env=env).wait(timeout)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def clean_environment() -> dict[str, str]:
    """The environment of this process without servers' keys, and with the hub offline."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_"))}
    return {**clean, "HF_HUB_OFFLINE": "1"}


def until(found: Callable[[], object], seconds: float = 120) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)


def serve() -> None:
    """Import everything that commands need, then fork for each line of standard input until it is closed.

    No thread may run before a fork, or the child could hang on a lock that the thread held.
    """
    import chromadb  # noqa: F401
    import dspy.clients.openai  # noqa: F401
    import seqeval.metrics  # noqa: F401
    import transformers.models.auto.modeling_auto  # noqa: F401

    import clinspan.lms.classifiers.classifier
    import clinspan.lms.local.engine
    import clinspan.lms.remote.build
    import clinspan.programs.annotate
    import clinspan.programs.compare
    import clinspan.programs.finetune
    import clinspan.programs.optimize
    import clinspan.programs.report
    import clinspan.programs.run
    import clinspan.tuning.trainer  # noqa: F401
    from clinspan.programs.config.overrides import check_words

    check_words("run", ["limit=1"])  # Hydra looks for its plugins and builds its parser at the first override
    gc.freeze()  # otherwise the child's first collection copies all shared pages
    children: dict[int, Path] = {}
    while True:
        if select.select([0], [], [], 0.01)[0]:
            line = _read_line()
            if not line:
                return
            job = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _run(job)
                return
            children[pid] = Path(job["said"]).with_suffix(".status")
            os.write(1, b"%d\n" % pid)
        while children and (ended := os.wait4(-1, os.WNOHANG))[0]:
            pid, status, usage = ended
            file = children.pop(pid)
            scratch = file.with_suffix(".part")
            scratch.write_text(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime]))
            scratch.replace(file)


def _read_line() -> bytes:
    """Read one line of standard input without a buffer, because select does not see buffered data."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            return b""
        line += part
    return line


def _run(job: dict[str, Any]) -> None:
    """Run the command in the child; an exception ends it, as in any Python process."""
    from support import fault_injection

    signal.signal(signal.SIGINT, signal.default_int_handler)
    files = Path(job["said"])
    for number, end in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(files.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    preserved = {key: value for key, value in os.environ.items() if key.startswith(_CHANGED_BY_IMPORTS) or key == "PYTHONPATH"}
    os.environ.clear()
    os.environ.update({**job["env"], **preserved})
    os.chdir(job["cwd"])
    module = "benchmarks.bench" if job["command"] == "bench" else f"programs.{job['command']}"
    sys.argv = [module, *job["words"]]
    if job["fault"]:
        name, *arguments = job["fault"]
        getattr(fault_injection, name)(*arguments)
    warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)  # preloaded on purpose
    code: int = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # interpreter shutdown would copy all pages shared with the server, for over a second
