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
        address: For messages.
        engine: Answers a request by it, in one attempt.
        trouble: Asks whether it is there: None, or what is wrong.
        under_way: Requests that it has now.
        failures: In a row; 0 if it is well.
        rests_until: When it may be asked again, by the monotonic clock.
        said: What was wrong last.
        dead: Whether it did not even answer.
    """

    address: str
    engine: Any
    health_error: Callable[[], str | None]
    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0
    said: str = ""
    dead: bool = False
    checking: bool = False


class EndpointPool:
    """Chooses among servers; threads may share it.

    Args:
        endpoints: The servers.
        first: Seconds that a server is left alone after its first failure; twice as long after each further one, up to a minute.
        clock: Gives the time.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], *, first: float = _FIRST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoints, self.first, self.clock = list(endpoints), first, clock
        self._lock = threading.Lock()
        self._turn = 0

    def take(self, but: Collection[Endpoint]) -> Endpoint | None:
        """The server with the fewest requests in progress, in turn where several have as few; None if none is healthy.

        One whose pause is over is asked whether it is there before a request is risked on it.

        Args:
            but: Servers that are not wanted.
        """
        while (resting := self._due(but)) is not None:
            try:
                health_error = resting.health_error()
            except Exception as error:  # whatever it is, the endpoint is asked again after its pause
                health_error = type(error).__name__
            finally:
                resting.checking = False
            if health_error is None:
                self._well(resting)
            else:
                self.failed(resting, health_error, dead=True)
        with self._lock:
            well = [one for one in self.endpoints if not one.failures and one not in but]
            if not well:
                return None
            self._turn += 1
            n = len(self.endpoints)
            chosen = min(well, key=lambda one: (one.under_way, (self.endpoints.index(one) - self._turn) % n))
            chosen.under_way += 1
            return chosen

    def _due(self, but: Collection[Endpoint]) -> Endpoint | None:
        with self._lock:
            for one in self.endpoints:
                if one.failures and not one.checking and one not in but and one.rests_until <= self.clock():
                    one.checking = True
                    return one
        return None

    def release(self, endpoint: Endpoint) -> None:
        """The server is done with a request."""
        with self._lock:
            endpoint.under_way -= 1

    def _well(self, endpoint: Endpoint) -> None:
        with self._lock:
            endpoint.failures, endpoint.dead = 0, False

    def failed(self, endpoint: Endpoint, said: str, *, dead: bool, pause: float | None = None) -> None:
        """Leave a server alone; what fails while it rests already makes its pause no longer.

        Args:
            said: What is wrong.
            dead: Whether it did not answer at all.
            pause: Seconds, where it says itself for how long.
        """
        with self._lock:
            endpoint.said, endpoint.dead = said, dead
            if endpoint.failures and endpoint.rests_until > self.clock():
                return
            grown = min(_LONGEST, self.first * 2**endpoint.failures)
            endpoint.failures += 1
            endpoint.rests_until = self.clock() + max(grown, min(pause or 0.0, _LONGEST))

    def until_next(self) -> float:
        """Seconds until some server may be asked again."""
        with self._lock:
            return max(0.0, min(one.rests_until for one in self.endpoints) - self.clock())

    def told(self) -> str:
        """Each server and what is wrong with it."""
        return ", ".join(f"{one.address} ({one.said})" for one in self.endpoints)
