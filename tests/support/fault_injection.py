"""Faults within a command's own process: signals and errors at chosen file operations, limits, and exhausted memory.

Python calls an audit hook before it opens, renames, removes or creates a file. A fault can therefore strike at an exact moment
("when scores.json is renamed into place"), and no code of the command is replaced.
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
    """Call `act` with number, event and path before each file operation that changes something below a folder."""
    prefix, count = f"{Path(folder).absolute()}{os.sep}", 0
    busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count, busy
        if busy or event not in WATCHED or not isinstance(arguments[0], (str, os.PathLike)):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        path = Path(arguments[0]).absolute()
        if not str(path).startswith(prefix):
            return
        count += 1
        busy = True
        try:
            act(count, event, path)
        finally:
            busy = False

    sys.addaudithook(hook)


def trace(folder: str, file: str) -> None:
    """Log every file operation below a folder to a file."""

    def log(number: int, event: str, path: Path) -> None:
        with Path(file).open("a") as out:
            print(number, event, path, file=out)

    watch(folder, log)


def at(folder: str, event: str, name: str, times: int, what: str, number: int) -> None:  # noqa: PLR0917
    """Inject a fault at a given occurrence of an event on a file with a given name.

    Args:
        folder: The folder that contains the file, at any depth.
        event: The name of Python's audit event; `any` matches every event.
        name: The file's name; an empty name matches every file.
        times: The number of the occurrence, from 1. `error` also fails all later occurrences.
        what: `signal`; `tear`, which writes half a line before the signal; or `error`.
        number: The number of the signal or of the error.
    """
    matches = 0

    def act(count: int, seen_event: str, path: Path) -> None:
        nonlocal matches
        if event not in ("any", seen_event) or name not in ("", path.name):
            return
        matches += 1
        if matches < times or (matches > times and what != "error"):
            return
        if what == "error":
            raise OSError(number, os.strerror(number), str(path))
        if what == "tear":
            with path.open("ab") as file:
                file.write(b'{"id": "torn')
        os.kill(os.getpid(), number)

    watch(folder, act)


def short_files(size: int) -> None:
    """Limit the size of every file in bytes, as a quota does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def full_disk(folder: str, times: int) -> None:
    """Fail every file operation from number `times` on: no space left."""
    at(folder, "any", "", times, "error", errno.ENOSPC)


def little_memory(rows: int, kind: str) -> None:
    """Make a local model run out of memory when more than `rows` rows are in progress, with one of three exceptions."""
    from clinspan.lms.classifiers import token_classification
    from clinspan.lms.local import decoding

    full_pass, score = decoding.Decoder._pass, token_classification.score_pieces

    def limited_pass(self: Any, states: Any, sequences: Any) -> Any:
        if len(sequences) > rows:
            raise _exhausted(kind)
        return full_pass(self, states, sequences)

    def limited_score(model: Any, ids: Any, seen: Any) -> Any:
        if len(ids) > rows:
            raise _exhausted(kind)
        return score(model, ids, seen)

    decoding.Decoder._pass, token_classification.score_pieces = limited_pass, limited_score  # type: ignore[method-assign, assignment]


def no_memory_for(length: int) -> None:
    """Make a local model run out of memory at a prompt of more than `length` tokens, or a sentence of more than `length` pieces."""
    from clinspan.lms.classifiers import token_classification
    from clinspan.lms.local import decoding

    sequence, score = decoding.Decoder.sequence, token_classification.score_pieces

    def limited_sequence(self: Any, prompt: Any, shared: int) -> Any:
        if len(prompt.ids) > length:
            raise _exhausted("torch")
        return sequence(self, prompt, shared)

    def limited_score(model: Any, ids: Any, seen: Any) -> Any:
        if ids.shape[1] > length:
            raise _exhausted("torch")
        return score(model, ids, seen)

    decoding.Decoder.sequence, token_classification.score_pieces = limited_sequence, limited_score  # type: ignore[method-assign, assignment]


def slow_model(seconds: float) -> None:
    """Delay each pass of a local model."""
    from clinspan.lms.local import decoding

    full_pass = decoding.Decoder._pass

    def slow_pass(self: Any, states: Any, sequences: Any) -> Any:
        time.sleep(seconds)
        return full_pass(self, states, sequences)

    decoding.Decoder._pass = slow_pass  # type: ignore[method-assign]


def _exhausted(kind: str) -> Exception:
    import torch

    if kind == "torch":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if kind == "cpu":
        return RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
    return MemoryError()
