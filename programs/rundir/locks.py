"""Locks a folder for one writing process; the operating system releases the lock when the process dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clinspan.programs.rundir.errors import RunError, writing

try:
    import fcntl
except ImportError:  # not a POSIX system: there a folder is not locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder meanwhile.

    The lock is flock's on a file in it, so one that a dead process left behind holds nobody up. Where a file system has no
    locks there is none. (filelock does the same, but leaves its file behind, and takes a file system without locks for one
    where the file alone is the lock, which a killed process would never give back.)

    Args:
        folder: It is there.

    Raises:
        RunError: Another process has the folder, or no file can be made in it.
    """
    path = folder / LOCK
    with writing(folder):
        file = _taken(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before the lock is given back: whoever opened this file sees that it is gone
        file.close()


def _taken(path: Path) -> BinaryIO:
    """The lock's file, open and locked as far as the file system can."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb+", buffering=0)
        if fcntl is None:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise RunError(_refusal(path.parent, file.read(200))) from None
        except OSError:  # no locks here
            return file
        if _is_there(path, file):
            with suppress(OSError):  # a full disk: then nobody is named
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        file.close()  # its owner took it away in between


def _is_there(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _refusal(folder: Path, owner: bytes) -> str:
    who = owner.decode(errors="replace") or "another process"
    return f"{who} is writing into {folder}: wait until it has ended, or stop it, or name another folder"
