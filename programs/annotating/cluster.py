"""Ray, started for one job or joined where it runs already."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from corpora import InputError


@contextmanager
def joined(address: str | None, *, cores: int | None = None) -> Iterator[None]:
    """Have a Ray cluster meanwhile. What Ray itself has to say goes to standard error; what its workers print stays with them.

    Args:
        address: Of a running cluster, `auto` for the one that this machine belongs to; None: `RAY_ADDRESS` or, without it, a
            cluster is started on this machine and ended again.
        cores: How many cores one that is started here takes itself to have; None: as many as there are.

    Raises:
        InputError: Ray is not installed, or there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
    except ImportError:
        raise InputError("engine=ray needs Ray", remedy="Install it with: pip install 'clinspan[ray]'") from None
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    settings: dict[str, Any] = {"include_dashboard": False, "num_cpus": cores} if place == "local" else {}
    with redirect_stdout(sys.stderr):
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
