"""Client of the Batch API of OpenAI and Azure: uploads, polling, downloads."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import openai

from clinspan.lms.errors import ModelError, UnavailableError
from clinspan.lms.remote.audit import audited
from clinspan.lms.remote.batch.files import BatchFiles, Part

_FINAL = ("completed", "failed", "expired", "cancelled")
_PASSING = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)
_LONGEST_PAUSE = 60.0
_log = logging.getLogger("clinspan")
Found = TypeVar("Found")


class BatchService:
    """Submits batches and downloads their answers.

    Args:
        client: Client of the service; its own retries are used for everything except the creation of a batch.
        model: The model's name, for the audit.
        route: Route of a single request, as the service names it.
        poll_seconds: Seconds between two polls of a batch.
        retries: Retries of the creation of a batch after a transient error.
    """

    def __init__(self, client: openai.OpenAI, *, model: str, route: str, poll_seconds: float, retries: int) -> None:
        logging.getLogger("openai").setLevel(logging.ERROR)  # with OPENAI_LOG=debug it would log the requests' text
        self.client, self.model, self.route = client, model, route
        self.poll_seconds, self.retries = poll_seconds, retries

    def fetch(self, files: BatchFiles) -> None:
        """Submit the collected requests, wait for all batches in progress, and download their answers.

        Raises:
            ModelError: The service cannot be used, or a batch was sent to another endpoint. Submitted batches are resumed later.
        """
        for part in files.outstanding():
            if part.address != files.address:
                raise ModelError(f"{files.folder}: batch {part.name} was sent to {part.address}: give that endpoint again")
            self._submit(files, part)
        while waiting := [part for part in files.outstanding() if self._pending(files, part)]:
            _log.info("waiting for %d batches", len(waiting))
            time.sleep(self.poll_seconds)

    def _submit(self, files: BatchFiles, part: Part) -> None:
        """Submit a batch from whatever step an interruption left it at; nothing is submitted twice."""
        if part.step == "created":
            return
        if part.step == "creating" and (batch_id := self._made_of(part.file)):
            files.note(part, "created", batch=batch_id)
            return
        if part.step != "closed":  # an upload may exist; it holds text and cannot be used
            self._delete([part.file, *self._uploads(part.digest)])
            files.drop(part)
            return
        path = files.path(part, "requests")
        subject: dict[str, Any] = {"documents": tuple(part.documents), "sentences": part.sentences}
        with audited(files.address, model=self.model, size=path.stat().st_size, **subject) as note:
            files.note(part, "uploading")
            with path.open("rb") as content:
                name = f"{part.digest}.jsonl"
                uploaded = self._asked(lambda: self.client.files.create(file=(name, content), purpose="batch"))
            files.note(part, "uploaded", file=uploaded.id)
            self._until_read(uploaded.id)
            files.note(part, "creating")
            files.note(part, "created", batch=self._create(part))
            note.outcome = "submitted"
        _log.info("batch %s: %d requests submitted", part.name, part.requests)

    def _until_read(self, file: str) -> None:
        """Wait until the service has processed an uploaded file: Azure does so before the file can be used."""
        while (status := str(self._asked(lambda: self.client.files.retrieve(file)).status)) in ("pending", "running"):
            time.sleep(min(self.poll_seconds, 5.0))
        if status in ("error", "deleted", "deleting"):
            raise ModelError(f"the service cannot use the batch file ({status}): start again with resume")

    def _create(self, part: Part) -> str:
        """Create the batch. Each retry first checks whether the previous attempt created it after all."""
        client = self.client.with_options(max_retries=0)
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(2.0 ** (attempt - 1), _LONGEST_PAUSE))
                if batch_id := self._made_of(part.file):
                    return batch_id
            try:
                route: Any = self.route
                return client.batches.create(input_file_id=part.file, endpoint=route, completion_window="24h").id
            except _PASSING as error:
                last_error: openai.OpenAIError = error
            except openai.OpenAIError as error:
                raise self._explained(error) from None
        raise self._explained(last_error)

    def _made_of(self, file: str) -> str | None:
        """The id of the batch that was created from a file, or None."""
        return self._asked(
            lambda: next((batch.id for batch in self.client.batches.list(limit=100) if batch.input_file_id == file), None)
        )

    def _uploads(self, digest: str) -> list[str]:
        name = f"{digest}.jsonl"
        return self._asked(lambda: [file.id for file in self.client.files.list(purpose="batch") if file.filename == name])

    def _pending(self, files: BatchFiles, part: Part) -> bool:
        """Poll a batch, and store its answers if it is finished. Returns whether it is still in progress."""
        batch = self._asked(lambda: self.client.batches.retrieve(part.batch))
        if batch.status not in _FINAL:
            return True
        for kind, file in (("answers", batch.output_file_id), ("errors", batch.error_file_id)):
            path = files.path(part, kind)
            if file and not path.exists():
                content = self._asked(partial(self._content, file))
                scratch = path.with_suffix(".part")
                scratch.write_bytes(content if content.endswith(b"\n") or not content else content + b"\n")
                scratch.replace(path)
        self._delete([part.file, batch.output_file_id, batch.error_file_id])
        code = next((str(error.code) for error in (batch.errors.data or [] if batch.errors else []) if error.code), "")
        code = f" {code}" if re.fullmatch(r"\w{1,40}", code) else ""
        answered = files.settle(part, f"batch_{batch.status}{code}" if batch.status != "completed" else "batch_no_answer")
        _log.info("batch %s: %s%s, %d of %d requests answered", part.name, batch.status, code, answered, part.requests)
        return False

    def _content(self, file: str) -> bytes:
        content: bytes = self.client.files.content(file).read()
        return content

    def _delete(self, names: Sequence[str | None]) -> None:
        """Delete files at the service; a failure is logged and ignored."""
        for name in filter(None, names):
            try:
                self._asked(partial(self.client.files.delete, name))
            except ModelError:
                _log.warning("the file %s could not be deleted at the service: delete it there", name)

    def _asked(self, call: Callable[[], Found]) -> Found:
        try:
            return call()
        except openai.NotFoundError:
            raise ModelError("the service has no such file or batch, or no Batch API: leave model.batch out") from None
        except openai.OpenAIError as error:
            raise self._explained(error) from None

    def _explained(self, error: openai.OpenAIError) -> ModelError:
        """The error to raise, without any text from the service."""
        if isinstance(error.__cause__, ModelError):
            return error.__cause__
        if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
            return ModelError("the batch service refused the key: check AZURE_OPENAI_API_KEY or OPENAI_API_KEY")
        status = getattr(error, "status_code", None)
        kind = f"{type(error).__name__}{f' {status}' if status else ''}"
        return UnavailableError(f"the batch service failed ({kind}): sent requests are kept; run the same command again later")
