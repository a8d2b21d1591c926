"""Batches requests of concurrent threads.

Which requests share a batch can change the last bit of a float and so, once in a long while, a token. So that a
rerun gives the same answers, a caller says with `expect(n)` how many threads take part: then a batch is run when
all of them wait, never by the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_PATIENCE = 2.0
Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Job, Result]):
    job: Job
    future: Future[Result] = field(default_factory=Future)


class Batcher(Generic[Job, Result]):
    """Gathers jobs and hands them to `run` in batches of at most `size`.

    Args:
        run: Does a batch; it calls what it is given beside the jobs with each job's number and result as soon as that
            is there, an exception being the result of a job that failed.
        size: Largest batch.
        order: Sorting key, so that a batch does not depend on which thread came first.
        linger: Seconds to wait for company where nobody said how many take part.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job], Callable[[int, Result | Exception], None]], object],
        *,
        size: int,
        order: Callable[[Job], tuple[int, ...]],
        linger: float = 0.02,
    ) -> None:
        self._run, self._size, self._order, self._linger = run, size, order, linger
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[Job, Result]] = []
        self._expected = 0
        self._worker: threading.Thread | None = None

    @contextmanager
    def expect(self, threads: int) -> Iterator[Callable[[], None]]:
        """Say that so many threads take part; each calls what this yields when it has no more requests."""
        left = threads

        def leave() -> None:
            nonlocal left
            with self._changed:
                if left:  # else they were given up, and are no longer counted
                    left -= 1
                    self._expected -= 1
                    self._changed.notify_all()

        with self._changed:
            self._expected += threads
        try:
            yield leave
        finally:
            with self._changed:
                self._expected -= left
                left = 0
                self._changed.notify_all()

    @contextmanager
    def branch(self, threads: int) -> Iterator[Callable[[], None]]:
        """Say that so many threads take part in place of the calling one; each calls what this yields when it has no more requests.

        The calling thread makes no request meanwhile. It is taken to be among the expected threads if there are any.
        """
        with self._changed:
            counted = self._expected > 0
        with self.expect(threads - counted) as leave:
            yield leave

    def submit(self, job: Job) -> Result:
        """Wait for the job's turn and give its result, or raise what went wrong with it."""
        waiting = _Waiting[Job, Result](job)
        with self._changed:
            self._waiting.append(waiting)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="clinspan-batches", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return waiting.future.result()

    def _work(self) -> None:
        while batches := self._gather():
            for batch in batches:
                self._do(batch)

    def _gather(self) -> list[list[_Waiting[Job, Result]]]:
        """The next batches; none after a while without requests, so that an engine nobody uses can be freed."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._waiting), timeout=_PATIENCE):
                self._worker = None
                return []
            if not self._expected:
                self._changed.wait_for(lambda: len(self._waiting) >= self._size, timeout=self._linger)
            self._changed.wait_for(lambda: len(self._waiting) >= max(self._expected, 1))
            jobs, self._waiting = self._waiting, []
        jobs.sort(key=lambda waiting: self._order(waiting.job))
        return [jobs[i : i + self._size] for i in range(0, len(jobs), self._size)]

    def _do(self, batch: Sequence[_Waiting[Job, Result]]) -> None:
        def done(number: int, result: Result | Exception) -> None:
            if isinstance(result, Exception):
                batch[number].future.set_exception(result)
            else:
                batch[number].future.set_result(result)

        try:
            self._run([waiting.job for waiting in batch], done)
        except Exception as error:  # whoever still waits must hear of it, whatever it is
            for number, waiting in enumerate(batch):
                if not waiting.future.done():
                    done(number, error)
