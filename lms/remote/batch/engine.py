"""A DSPy engine over the Batch API: it answers from finished batches and collects all other requests.

    complete(request)   return the answer if a batch brought it; else put the request into the next batch, raise `DeferredError`
    collect(requests)   the same for several independent requests of one sentence
    fetch()             send the collected requests, wait and read the answers; deferred requests can then be repeated

A request is identified by the hash of its body, which is its `custom_id`. A repeated request is answered from the run's folder,
even after an interruption, so nothing is paid twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Self

from clinspan.lms import lm15
from clinspan.lms.errors import DeferredError
from clinspan.lms.lm15 import Engine
from clinspan.lms.remote.audit import asked_about, demonstrated
from clinspan.lms.remote.batch.files import BatchFiles
from clinspan.lms.remote.batch.service import BatchService
from clinspan.lms.remote.request_settings import RequestSettings
from clinspan.lms.remote.transport import Reply


class BatchTransport:
    """A transport without a connection: it reads answers from the batch files and writes requests into them.

    Args:
        files: The batch files.
        route: Route of a single request, as the service names it.
    """

    def __init__(self, files: BatchFiles, route: str) -> None:
        self.files, self.route = files, route

    def stream(self, request: Any) -> Reply:
        """Return the answer to a request, or put the request into the next batch.

        Raises:
            DeferredError: The answer is not available yet.
            BatchError: The batch finished without an answer.
        """
        body = json.loads(request.body)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:48]
        reply = self.files.find(key)
        if reply is not None:
            return reply
        entry = {"custom_id": key, "method": "POST", "url": self.route, "body": body}
        raise DeferredError(new=self.files.want(key, entry, (*asked_about(), *demonstrated())))

    def close(self) -> None:
        """Nothing is held open."""


class BatchEngine:
    """Answers requests from batches. They arrive late and together, so collect as many sentences as possible before `fetch`.

    Args:
        inner: DSPy's client over a `BatchTransport`.
        files: The run's batches.
        service: Submits the batches and downloads their answers.
        settings: Settings of every request.
    """

    wire = True
    """A request holds only what the service's protocol defines."""

    def __init__(self, inner: Engine, files: BatchFiles, service: BatchService, settings: RequestSettings | None = None) -> None:
        self.inner, self.files, self.service, self.settings = inner, files, service, settings or RequestSettings()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return self: optimizers copy programs often, and all copies share one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer a request from a finished batch.

        Raises:
            DeferredError: The request waits for the next batch.
            BatchError: Its batch finished without an answer.
            lm15.LM15Error: The service answered with an error.
        """
        response: lm15.Response = self.inner.complete(self.settings.applied(request))
        return response

    def collect(self, requests: Sequence[lm15.Request]) -> None:
        """Put the requests of one sentence into the next batch.

        Raises:
            DeferredError: At least one of them waits for an answer.
        """
        deferred: list[DeferredError] = []
        for request in requests:
            try:
                self.inner.complete(self.settings.applied(request))
            except DeferredError as error:
                deferred.append(error)
            except Exception:
                continue  # `complete` raises it again, and the caller reports it then
        if any(error.new for error in deferred):
            self.files.count_sentence()
        if deferred:
            raise deferred[0]

    def fetch(self) -> None:
        """Send the collected requests and wait for their answers, up to a day.

        Raises:
            ModelError: The service cannot be used.
        """
        self.files.close()
        self.service.fetch(self.files)

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        self.inner.close()
