"""A DSPy engine over one server, or over several with load balancing and failover."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from clinspan.lms import lm15
from clinspan.lms.errors import UnavailableError
from clinspan.lms.lm15 import LM15Engine, RouterConfig
from clinspan.lms.remote.endpoint_pool import Endpoint, EndpointPool
from clinspan.lms.remote.request_settings import RequestSettings, Route

_PASSING = (lm15.TransportError, lm15.TimeoutError, lm15.ServerError, lm15.RateLimitError)
_SILENT = (lm15.TransportError,)
_GLANCE = 0.1


class ServedEngine:
    """Sends requests to servers. With one server, each request is one attempt, because DSPy retries by itself.

    With several, a request goes to the next server if one refuses it, drops it, answers 408, 429 or 5xx, or times out. After the
    last server it is retried as soon as the first pause is over.

    Args:
        endpoints: The servers.
        patience: Seconds for which a request is retried, with several servers.
        ring: Chooses among the endpoints; None: a default pool.
        settings: Settings of every request.

    Raises:
        UnavailableError: None of several servers answers; the message names them.
    """

    wire = True
    """A request holds only what a server's protocol defines."""

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
            for endpoint in endpoints:
                if (health_error := endpoint.health_error()) is not None:
                    self.ring.failed(endpoint, health_error, dead=True)
            if all(endpoint.dead for endpoint in endpoints):
                raise self._nobody()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return self: optimizers copy programs often, and all copies share one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer a request, with failover and retries.

        Raises:
            lm15.LM15Error: The error of the last server.
            UnavailableError: No server answered within `patience`; the message names them.
        """
        request = self.settings.applied(request)
        if len(self.ring.endpoints) == 1:
            response: lm15.Response = self.ring.endpoints[0].engine.complete(request)
            return response
        last_error: Exception | None = None
        deadline = self.ring.clock() + self.patience
        while True:
            answer, error = self._round(request)
            if answer is not None:
                return answer
            last_error = error or last_error
            pause = max(_GLANCE, self.ring.until_next())  # another thread may be checking a server
            if self.ring.clock() + pause > deadline:
                break
            time.sleep(pause)
        if last_error is None or all(endpoint.dead for endpoint in self.ring.endpoints):
            raise self._nobody()
        raise last_error

    def _round(self, request: lm15.Request) -> tuple[lm15.Response | None, Exception | None]:
        """Try each healthy server once; returns the answer, or the last error."""
        tried: list[Endpoint] = []
        last_error: Exception | None = None
        while (endpoint := self.ring.take(tried)) is not None:
            tried.append(endpoint)
            try:
                return endpoint.engine.complete(request), None
            except _PASSING as error:
                last_error = error
                status = getattr(error, "status", None)
                message = f"{error}" if isinstance(error, _SILENT) else f"{type(error).__name__}{f' {status}' if status else ''}"
                pause = getattr(error, "retry_after", None)
                self.ring.failed(endpoint, message, dead=isinstance(error, _SILENT), pause=pause)
            finally:
                self.ring.release(endpoint)
        return None, last_error

    def _nobody(self) -> UnavailableError:
        return UnavailableError(
            f"none of the model's servers answers: {self.ring.errors()}. Start one, or fix model.api_base (model=openai) or "
            "AZURE_OPENAI_ENDPOINT (model=azure)"
        )

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self.ring.endpoints:
            endpoint.engine.close()


def native_engine(model: str, address: str, key: str, transport: Any, *, route: Route = "chat") -> LM15Engine:
    """DSPy's client for a model, over one of our transports."""
    provider = LM15Engine(model_type=route).resolve(model).provider
    config = RouterConfig(api_keys={provider: key}, base_urls={provider: address}, transport=transport)
    return LM15Engine(config, model_type=route)
