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
except ImportError:  # not a POSIX system: folders are not locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Lock a folder for one writing process while the enclosed block runs.

    The lock is a `flock` on a file in the folder, so a file that a dead process left behind blocks nobody. On a file system
    without locks the folder is not locked. (filelock also uses flock, but it leaves its file behind. On a file system without
    locks it treats the file itself as the lock, which a killed process would never release.)

    Args:
        folder: An existing folder.

    Raises:
        RunError: Another process holds the lock, or the lock file cannot be created.
    """
    path = folder / LOCK
    with writing(folder):
        file = _taken(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before the lock is released: a process that has opened this file sees that it is gone
        file.close()


def is_locked(folder: Path) -> bool:
    """Whether a process is writing into a folder. On a system or a file system without locks, that is not known: False."""
    if fcntl is None:
        return False
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _taken(path: Path) -> BinaryIO:
    """The open lock file, locked if the file system has locks."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb+", buffering=0)
        if fcntl is None:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise RunError(_refusal(path.parent, file.read(200))) from None
        except OSError:  # the file system has no locks
            return file
        if _is_there(path, file):
            with suppress(OSError):  # a full disk: the file then names no owner
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        file.close()  # its owner removed it in the meantime


def _is_there(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _refusal(folder: Path, owner: bytes) -> str:
    who = owner.decode(errors="replace") or "another process"
    return f"{who} is writing into {folder}: wait until it ends, stop it, or use another folder"
