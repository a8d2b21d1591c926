"""Starts Ray for one job, or connects to a running cluster."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError

_SOCKETS = 66  # characters of a socket's path below Ray's folder; of the whole a system takes 107
_LONGEST_PATH = 107


def keep_private() -> None:
    """Have a Ray that is started here listen on the loopback interface alone and ask everybody for a token.

    It has to be called before Ray is imported. Ray takes a node for a part of a cluster, and so listens on all interfaces, unless
    the variable below says that there is none; it was made for macOS and Windows and holds on Linux too.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def ray_folder(home: Path | None) -> Iterator[str]:
    """A folder for Ray's own files, which only their owner can read: in the output folder or, if its path is too long for sockets
    in it, in the system's folder for temporary files. It is removed at the end.
    """
    inside = None if home is None else home / ".ray"
    if inside is not None and len(str(inside)) + _SOCKETS < _LONGEST_PATH:
        inside.mkdir(mode=0o700, exist_ok=True)
        place = str(inside)
    else:
        place = tempfile.mkdtemp(prefix="clinspan-")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def joined(address: str | None, *, cores: int | None = None, home: Path | None = None) -> Iterator[None]:
    """Have a Ray cluster meanwhile. What Ray itself has to say goes to standard error; what its workers print stays with them.

    Args:
        address: Of a running cluster, `auto` for the one that this machine belongs to; None: `RAY_ADDRESS` or, without it, a
            cluster is started on this machine and ended again.
        cores: How many cores one that is started here takes itself to have; None: as many as there are.
        home: The output folder, for the files of a cluster that is started here.

    Raises:
        InputError: Ray is not installed, or there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    if place == "local":
        keep_private()
    try:
        import ray
    except ImportError:
        raise InputError("engine=ray needs Ray", remedy="Install it with: pip install 'clinspan[ray]'") from None
    with ExitStack() as stack:
        settings: dict[str, Any] = {}
        if place == "local":
            settings = {"include_dashboard": False, "num_cpus": cores, "_temp_dir": stack.enter_context(ray_folder(home))}
        stack.enter_context(redirect_stdout(sys.stderr))
        try:
            _check_port(place)
            ray.init(address=place, log_to_driver=False, logging_level="ERROR", **settings)
        except Exception as error:  # Ray has none of its own for this
            kind = type(error).__name__
            if place == "local":
                remedy = "See that there is memory and room in /tmp, and start again: what was annotated is on disk."
                raise InputError(f"Ray did not start on this machine ({kind})", remedy=remedy) from None
            remedy = (
                "Start one with: ray start --head, and name its address as HOST:PORT, or leave ray.address out. "
                "One that asks for a token needs RAY_AUTH_MODE=token."
            )
            raise InputError(f"there is no Ray cluster at {place} ({kind})", remedy=remedy) from None
        try:
            yield
        finally:
            ray.shutdown()


def _check_port(place: str) -> None:
    """Find out at once that nobody listens at an address: Ray itself asks for minutes.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = place.rpartition(":")
    if port.isdigit() and "://" not in place:
        socket.create_connection((host, int(port)), timeout=10).close()
