"""A pool of endpoints of one model: least-loaded healthy endpoint first, unhealthy ones retried with exponential backoff."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

_FIRST, _LONGEST = 1.0, 60.0


@dataclass(eq=False)
class Endpoint:
    """One server.

    Attributes:
        address: The server's address, for messages.
        engine: Sends a request to the server, in one attempt.
        health_error: Checks the server; returns None or what is wrong.
        under_way: Number of requests in progress.
        failures: Number of failures in a row; 0 if it is healthy.
        rests_until: Time of the pool's clock from which it may be tried again.
        last_error: What was wrong in words; empty: nothing yet.
        dead: Whether it did not answer at all.
        checking: Whether a thread is checking it now.
    """

    address: str
    engine: Any
    health_error: Callable[[], str | None]
    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0
    last_error: str = ""
    dead: bool = False
    checking: bool = False


class EndpointPool:
    """Chooses among endpoints. Threads may share it.

    Args:
        endpoints: The endpoints.
        first: Seconds of an endpoint's pause after its first failure; doubled after each further one, up to a minute.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], *, first: float = _FIRST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoints, self.first, self.clock = list(endpoints), first, clock
        self._lock = threading.Lock()
        self._turn = 0

    def take(self, but: Collection[Endpoint]) -> Endpoint | None:
        """Take the healthy endpoint with the fewest requests in progress; None if none is healthy.

        Endpoints with equally few requests take turns. An endpoint whose pause is over is checked before it gets a request.

        Args:
            but: Endpoints to exclude.
        """
        while (resting := self._due(but)) is not None:
            try:
                health_error = resting.health_error()
            except Exception as error:  # whatever the error is, the endpoint is checked again after its pause
                health_error = type(error).__name__
            finally:
                resting.checking = False
            if health_error is None:
                self._well(resting)
            else:
                self.failed(resting, health_error, dead=True)
        with self._lock:
            healthy = [endpoint for endpoint in self.endpoints if not endpoint.failures and endpoint not in but]
            if not healthy:
                return None
            self._turn += 1
            count = len(self.endpoints)
            chosen = min(healthy, key=lambda endpoint: (endpoint.under_way, (self.endpoints.index(endpoint) - self._turn) % count))
            chosen.under_way += 1
            return chosen

    def _due(self, but: Collection[Endpoint]) -> Endpoint | None:
        with self._lock:
            for endpoint in self.endpoints:
                if endpoint.failures and not endpoint.checking and endpoint not in but and endpoint.rests_until <= self.clock():
                    endpoint.checking = True
                    return endpoint
        return None

    def release(self, endpoint: Endpoint) -> None:
        """Record that an endpoint has finished a request."""
        with self._lock:
            endpoint.under_way -= 1

    def _well(self, endpoint: Endpoint) -> None:
        with self._lock:
            endpoint.failures, endpoint.dead = 0, False

    def failed(self, endpoint: Endpoint, error: str, *, dead: bool, pause: float | None = None) -> None:
        """Start an endpoint's pause after a failure; a failure during the pause does not extend it.

        Args:
            endpoint: The endpoint.
            error: What is wrong.
            dead: Whether it did not answer at all.
            pause: Seconds that the server itself asks for, if any.
        """
        with self._lock:
            endpoint.last_error, endpoint.dead = error, dead
            if endpoint.failures and endpoint.rests_until > self.clock():
                return
            grown = min(_LONGEST, self.first * 2**endpoint.failures)
            endpoint.failures += 1
            endpoint.rests_until = self.clock() + max(grown, min(pause or 0.0, _LONGEST))

    def until_next(self) -> float:
        """Seconds until the next endpoint may be tried again."""
        with self._lock:
            return max(0.0, min(endpoint.rests_until for endpoint in self.endpoints) - self.clock())

    def errors(self) -> str:
        """List each endpoint with its last error, for messages."""
        return ", ".join(f"{endpoint.address} ({endpoint.last_error})" for endpoint in self.endpoints)
