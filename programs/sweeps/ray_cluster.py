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

_SOCKETS = 66  # characters of a socket's path below Ray's folder
_LONGEST_PATH = 107  # characters of a whole socket path that a system accepts


def keep_private() -> None:
    """Make a Ray that is started here listen only on the loopback interface and require a token from every client.

    Call this before Ray is imported. By default Ray assumes that a node belongs to a cluster, and listens on all interfaces. The
    first variable below disables clusters. It was made for macOS and Windows, and also works on Linux.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def ray_folder(home: Path | None) -> Iterator[str]:
    """A folder for Ray's own files, which only the owner can read. It is removed at the end.

    It is in the output folder `home`. If there is none, or its path is too long for sockets, it is in the temporary folder of the
    system.
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
    """Use a Ray cluster in the enclosed block. Ray's own output goes to standard error; the output of workers is not forwarded.

    Args:
        address: The address of a running cluster; `auto`: the cluster of this machine; None: `RAY_ADDRESS` or, if that is not
            set, a cluster that is started on this machine and stopped at the end.
        cores: The number of cores that a cluster started here uses; None: all.
        home: The output folder, for the files of a cluster that is started here.

    Raises:
        InputError: Ray is not installed, did not start, or there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
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
        except Exception as error:  # Ray has no error class for this
            kind = type(error).__name__
            if place == "local":
                remedy = "Check for free memory and space in /tmp, and start again: finished annotations are on disk."
                raise InputError(f"Ray did not start on this machine ({kind})", remedy=remedy) from None
            remedy = (
                "Start one with: ray start --head, and name its address as HOST:PORT, or leave ray.address out. "
                "A cluster that requires a token needs RAY_AUTH_MODE=token."
            )
            raise InputError(f"there is no Ray cluster at {place} ({kind})", remedy=remedy) from None
        try:
            yield
        finally:
            ray.shutdown()


def _check_port(place: str) -> None:
    """Fail at once if nothing listens at an address: Ray itself retries for minutes.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = place.rpartition(":")
    if port.isdigit() and "://" not in place:
        socket.create_connection((host, int(port)), timeout=10).close()
