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
    """Sends batches and fetches them.

    Args:
        client: The service; its own repeats of what fails are used for all but the making of a batch.
        model: What is asked, for the audit.
        route: Of a single request, as the service calls it.
        poll_seconds: How often a batch is polled.
        retries: Repeats of a step that met something passing.
    """

    def __init__(self, client: openai.OpenAI, *, model: str, route: str, poll_seconds: float, retries: int) -> None:
        logging.getLogger("openai").setLevel(logging.ERROR)  # with OPENAI_LOG=debug it would print what is sent
        self.client, self.model, self.route = client, model, route
        self.poll_seconds, self.retries = poll_seconds, retries

    def fetch(self, files: BatchFiles) -> None:
        """Send what was gathered, wait for all batches in progress, and take their answers.

        Raises:
            ModelError: The service cannot be used, or another one has the batches; what was sent is found again later.
        """
        for part in files.outstanding():
            if part.address != files.address:
                raise ModelError(f"{files.folder}: batch {part.name} was sent to {part.address}: give that endpoint again")
            self._submit(files, part)
        while waiting := [part for part in files.outstanding() if self._pending(files, part)]:
            _log.info("waiting for %d batches", len(waiting))
            time.sleep(self.poll_seconds)

    def _submit(self, files: BatchFiles, part: Part) -> None:
        """Bring a batch to where it is waited for, wherever an interruption left it; nothing is submitted twice."""
        if part.step == "created":
            return
        if part.step == "creating" and (made := self._made_of(part.file)):
            files.note(part, "created", batch=made)
            return
        if part.step != "closed":  # it may be there or not: what is there holds text and is of no use
            self._delete([part.file, *self._uploads(part.digest)])
            files.drop(part)
            return
        path = files.path(part, "requests")
        about: dict[str, Any] = {"documents": tuple(part.documents), "sentences": part.sentences}
        with audited(files.address, model=self.model, size=path.stat().st_size, **about) as note:
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
        """Azure reads a file before it can be used."""
        while (status := str(self._asked(lambda: self.client.files.retrieve(file)).status)) in ("pending", "running"):
            time.sleep(min(self.poll_seconds, 5.0))
        if status in ("error", "deleted", "deleting"):
            raise ModelError(f"the service cannot use the batch file ({status}): start again with resume")

    def _create(self, part: Part) -> str:
        """Make the batch. Each further try asks first whether the one before has made it after all."""
        once = self.client.with_options(max_retries=0)
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(2.0 ** (attempt - 1), _LONGEST_PAUSE))
                if made := self._made_of(part.file):
                    return made
            try:
                route: Any = self.route
                return once.batches.create(input_file_id=part.file, endpoint=route, completion_window="24h").id
            except _PASSING as error:
                last: openai.OpenAIError = error
            except openai.OpenAIError as error:
                raise self._explained(error) from None
        raise self._explained(last)

    def _made_of(self, file: str) -> str | None:
        """The batch that was made of a file."""
        return self._asked(lambda: next((one.id for one in self.client.batches.list(limit=100) if one.input_file_id == file), None))

    def _uploads(self, digest: str) -> list[str]:
        name = f"{digest}.jsonl"
        return self._asked(lambda: [one.id for one in self.client.files.list(purpose="batch") if one.filename == name])

    def _pending(self, files: BatchFiles, part: Part) -> bool:
        """Look after a batch; its answers are taken if it is done."""
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
        code = next((str(one.code) for one in (batch.errors.data or [] if batch.errors else []) if one.code), "")
        code = f" {code}" if re.fullmatch(r"\w{1,40}", code) else ""
        answered = files.settle(part, f"batch_{batch.status}{code}" if batch.status != "completed" else "batch_no_answer")
        _log.info("batch %s: %s%s, %d of %d requests answered", part.name, batch.status, code, answered, part.requests)
        return False

    def _content(self, file: str) -> bytes:
        content: bytes = self.client.files.content(file).read()
        return content

    def _delete(self, names: Sequence[str | None]) -> None:
        """Delete files at the service; one that is gone is gone."""
        for name in filter(None, names):
            try:
                self._asked(partial(self.client.files.delete, name))
            except ModelError:
                _log.warning("the file %s could not be deleted at the service: delete it there", name)

    def _asked(self, ask: Callable[[], Found]) -> Found:
        try:
            return ask()
        except openai.NotFoundError:
            raise ModelError("the service has no such file or batch, or no Batch API: leave model.batch out") from None
        except openai.OpenAIError as error:
            raise self._explained(error) from None

    def _explained(self, error: openai.OpenAIError) -> ModelError:
        """What is wrong, without a word of the service's."""
        if isinstance(error.__cause__, ModelError):
            return error.__cause__
        if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
            return ModelError("the batch service refused the key: check AZURE_OPENAI_API_KEY or OPENAI_API_KEY")
        status = getattr(error, "status_code", None)
        kind = f"{type(error).__name__}{f' {status}' if status else ''}"
        return UnavailableError(
            f"the batch service did not do its part ({kind}): what was sent is kept; start again later the same way"
        )
