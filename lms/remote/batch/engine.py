"""A DSPy engine over the Batch API: it answers from finished batches and collects all other requests.

    complete(request)   the answer, if a batch brought it; else the request is put into the next batch and `DeferredError` raised
    collect(requests)   the same for several requests at once that do not depend on one another
    fetch()             send what was gathered, wait, take the answers: what was deferred can then be asked again

A request is known by the hash of its body, which is its `custom_id`: whoever asks the same again is answered from the run's
folder, after an interruption too. Nothing is paid twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Self

from dspy import lm15
from dspy.clients.engines import Engine

from clinspan.lms.errors import DeferredError
from clinspan.lms.remote.audit import asked_about, demonstrated
from clinspan.lms.remote.batch.files import BatchFiles
from clinspan.lms.remote.batch.service import BatchService
from clinspan.lms.remote.request_settings import RequestSettings
from clinspan.lms.remote.transport import Reply


class BatchTransport:
    """Instead of a line to a server: gives answers from files and takes requests into them.

    Args:
        files: Those files.
        route: Of a single request, as the service calls it.
    """

    def __init__(self, files: BatchFiles, route: str) -> None:
        self.files, self.route = files, route

    def stream(self, request: Any) -> Reply:
        """
        Raises:
            DeferredError: The answer is not there yet.
            BatchError: It will not come.
        """
        body = json.loads(request.body)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:48]
        found = self.files.find(key)
        if found is not None:
            return found
        asked = {"custom_id": key, "method": "POST", "url": self.route, "body": body}
        raise DeferredError(new=self.files.want(key, asked, (*asked_about(), *demonstrated())))

    def close(self) -> None:
        """Nothing is held open."""


class BatchEngine:
    """The engine.

    Args:
        inner: DSPy's client over a `BatchTransport`.
        files: The run's batches.
        service: Sends and fetches them.
        settings: What every request carries.
    """

    wire = True
    """Answers come together and late: as many sentences as there are should be asked about at once."""

    def __init__(self, inner: Engine, files: BatchFiles, service: BatchService, settings: RequestSettings | None = None) -> None:
        self.inner, self.files, self.service, self.settings = inner, files, service, settings or RequestSettings()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: optimizers copy programs with their models all the time, and there is one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        """
        Raises:
            DeferredError: The request waits for the next batch.
            BatchError: Its batch came back without an answer.
            lm15.LM15Error: The service answered with an error.
        """
        response: lm15.Response = self.inner.complete(self.settings.applied(request))
        return response

    def collect(self, requests: Sequence[lm15.Request]) -> None:
        """Gather the requests of one sentence.

        Raises:
            DeferredError: One of them waits for an answer.
        """
        deferred: list[DeferredError] = []
        for request in requests:
            try:
                self.inner.complete(self.settings.applied(request))
            except DeferredError as error:
                deferred.append(error)
            except Exception:
                continue  # it is met again, and named, when the request is asked
        if any(one.new for one in deferred):
            self.files.count_sentence()
        if deferred:
            raise deferred[0]

    def fetch(self) -> None:
        """Have the gathered requests answered; takes up to a day.

        Raises:
            ModelError: The service cannot be used.
        """
        self.files.close()
        self.service.fetch(self.files)

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        self.inner.close()
