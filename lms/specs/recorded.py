"""The specification of recorded answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReplayModel:
    """Recorded answers instead of a model.

    Attributes:
        path: A JSON lines file of `{"id": ..., "output": ...}`; without ids the n-th line answers the n-th request.
    """

    name: str = "replay"
    path: str | None = None
    concurrency: int = 1

    @property
    def endpoints(self) -> tuple[str, ...]:
        return ()

    @property
    def remote_host(self) -> None:
        return None

    @property
    def price(self) -> None:
        return None
