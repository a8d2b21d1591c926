"""What befalls a command from within its own process: signals and errors at chosen file operations, limits, memory that runs out.

Python tells an audit hook of each file that is opened, renamed, removed or made, before it is done: so a moment can be named
("when scores.json is put in its place") and met exactly, with nothing of the command replaced.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")


def watch(folder: str, act: Callable[[int, str, Path], None]) -> None:
    """Call with number, event and path before each file operation that changes something below a folder."""
    inside, count = f"{Path(folder).absolute()}{os.sep}", 0
    busy = False

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count, busy
        if busy or event not in WATCHED or not isinstance(given[0], (str, os.PathLike)):
            return
        if event == "open" and not (given[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        path = Path(given[0]).absolute()
        if not str(path).startswith(inside):
            return
        count += 1
        busy = True
        try:
            act(count, event, path)
        finally:
            busy = False

    sys.addaudithook(hook)


def trace(folder: str, file: str) -> None:
    """Write down every file operation below a folder."""

    def note(number: int, event: str, path: Path) -> None:
        with Path(file).open("a") as out:
            print(number, event, path, file=out)

    watch(folder, note)


def at(folder: str, event: str, name: str, times: int, what: str, number: int) -> None:  # noqa: PLR0917
    """Do something at the so many-th time that an event comes to a file of that name.

    Args:
        folder: Where the file is, at any depth.
        event: As Python calls it; `any`: the so many-th event of all.
        name: The file's; empty: whatever.
        times: Which time, from 1.
        what: `signal`; `tear`, half a line and then a signal; or `error`.
        number: The signal's, or the error's.
    """
    met = 0

    def act(count: int, found: str, path: Path) -> None:
        nonlocal met
        if event not in ("any", found) or name not in ("", path.name):
            return
        met += 1
        if met < times or (met > times and what != "error"):
            return
        if what == "error":
            raise OSError(number, os.strerror(number), str(path))
        if what == "tear":
            with path.open("ab") as file:
                file.write(b'{"id": "torn')
        os.kill(os.getpid(), number)

    watch(folder, act)


def short_files(size: int) -> None:
    """No file can grow beyond so many bytes: what a quota does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def full_disk(folder: str, times: int) -> None:
    """From the so many-th file operation on nothing can be opened for writing: no space left."""
    at(folder, "any", "", times, "error", errno.ENOSPC)


def little_memory(rows: int, kind: str) -> None:
    """A local model that runs out of memory when more than so many rows are in progress, and says so in one of three ways."""
    from clinspan.lms.classifiers import token_classification
    from clinspan.lms.local import decoding

    whole, score = decoding.Decoder._pass, token_classification.score_pieces

    def narrow(self: Any, states: Any, sequences: Any) -> Any:
        if len(sequences) > rows:
            raise _exhausted(kind)
        return whole(self, states, sequences)

    def few(model: Any, ids: Any, seen: Any) -> Any:
        if len(ids) > rows:
            raise _exhausted(kind)
        return score(model, ids, seen)

    decoding.Decoder._pass, token_classification.score_pieces = narrow, few  # type: ignore[method-assign, assignment]


def no_memory_for(length: int) -> None:
    """A local model that runs out of memory at any prompt of more than so many tokens, and at such a sentence of pieces."""
    from clinspan.lms.classifiers import token_classification
    from clinspan.lms.local import decoding

    sequence, score = decoding.Decoder.sequence, token_classification.score_pieces

    def refuse(self: Any, prompt: Any, shared: int) -> Any:
        if len(prompt.ids) > length:
            raise _exhausted("torch")
        return sequence(self, prompt, shared)

    def few(model: Any, ids: Any, seen: Any) -> Any:
        if ids.shape[1] > length:
            raise _exhausted("torch")
        return score(model, ids, seen)

    decoding.Decoder.sequence, token_classification.score_pieces = refuse, few  # type: ignore[method-assign, assignment]


def slow_model(seconds: float) -> None:
    """A local model that takes so long for a pass."""
    from clinspan.lms.local import decoding

    whole = decoding.Decoder._pass

    def wait(self: Any, states: Any, sequences: Any) -> Any:
        time.sleep(seconds)
        return whole(self, states, sequences)

    decoding.Decoder._pass = wait  # type: ignore[method-assign]


def _exhausted(kind: str) -> Exception:
    import torch

    if kind == "torch":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if kind == "cpu":
        return RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
    return MemoryError()
