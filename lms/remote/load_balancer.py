"""A DSPy engine over one server, or over several with load balancing and failover."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from dspy import lm15
from dspy.clients.engines import LM15Engine
from dspy.lm15 import RouterConfig

from clinspan.lms.errors import UnavailableError
from clinspan.lms.remote.endpoint_pool import Endpoint, EndpointPool
from clinspan.lms.remote.request_settings import RequestSettings, Route

_PASSING = (lm15.TransportError, lm15.TimeoutError, lm15.ServerError, lm15.RateLimitError)
_SILENT = (lm15.TransportError,)
_GLANCE = 0.1


class ServedEngine:
    """Answers requests by servers. With one server each request is one attempt, as DSPy repeats what fails by itself.

    With several, a request that a server refuses, drops, answers with 408, 429 or 5xx or not in time goes to the next, and after
    all of them again when the first has rested.

    Args:
        endpoints: The servers.
        patience: Seconds for which a request is tried again, where there are several.
        ring: Chooses among them; None: the usual one.
        settings: What every request carries.

    Raises:
        UnavailableError: There are several and none is there; names them.
    """

    wire = True
    """Takes what a server's protocol knows and no more."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        patience: float = 0.0,
        ring: EndpointPool | None = None,
        settings: RequestSettings | None = None,
    ) -> None:
        self.ring, self.patience, self.settings = ring or EndpointPool(endpoints), patience, settings or RequestSettings()
        if len(endpoints) > 1:
            for one in endpoints:
                if (health_error := one.health_error()) is not None:
                    self.ring.failed(one, health_error, dead=True)
            if all(one.dead for one in endpoints):
                raise self._nobody()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: optimizers copy programs with their models all the time, and there is one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        """
        Raises:
            lm15.LM15Error: As the last server said it.
            UnavailableError: No server answered in all that time; names them.
        """
        request = self.settings.applied(request)
        if len(self.ring.endpoints) == 1:
            response: lm15.Response = self.ring.endpoints[0].engine.complete(request)
            return response
        last: Exception | None = None
        deadline = self.ring.clock() + self.patience
        while True:
            found, error = self._round(request)
            if found is not None:
                return found
            last = error or last
            pause = max(_GLANCE, self.ring.until_next())  # another thread may be asking a server whether it is there
            if self.ring.clock() + pause > deadline:
                break
            time.sleep(pause)
        if last is None or all(one.dead for one in self.ring.endpoints):
            raise self._nobody()
        raise last

    def _round(self, request: lm15.Request) -> tuple[lm15.Response | None, Exception | None]:
        """Try each server that is well; the answer, or what the last one said."""
        tried: list[Endpoint] = []
        last: Exception | None = None
        while (endpoint := self.ring.take(tried)) is not None:
            tried.append(endpoint)
            try:
                return endpoint.engine.complete(request), None
            except _PASSING as error:
                last = error
                status = getattr(error, "status", None)
                said = f"{error}" if isinstance(error, _SILENT) else f"{type(error).__name__}{f' {status}' if status else ''}"
                pause = getattr(error, "retry_after", None)
                self.ring.failed(endpoint, said, dead=isinstance(error, _SILENT), pause=pause)
            finally:
                self.ring.release(endpoint)
        return None, last

    def _nobody(self) -> UnavailableError:
        return UnavailableError(f"none of the model's servers answers: {self.ring.told()}. Start one, or fix model.api_base")

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Close the connections."""
        for one in self.ring.endpoints:
            one.engine.close()


def native_engine(model: str, address: str, key: str, transport: Any, *, route: Route = "chat") -> LM15Engine:
    """DSPy's client for a model, over a transport of ours."""
    provider = LM15Engine(model_type=route).resolve(model).provider
    config = RouterConfig(api_keys={provider: key}, base_urls={provider: address}, transport=transport)
    return LM15Engine(config, model_type=route)
