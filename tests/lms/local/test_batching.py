"""Requests of threads in batches: fixed by who takes part, never by the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from clinspan.lms.local.batching import Batcher

Done = Callable[[int, int | Exception], None]


def build(seen: list[list[int]], size: int = 4) -> Batcher[int, int]:
    def run(jobs: Sequence[int], done: Done) -> None:
        seen.append(list(jobs))
        for number, job in enumerate(jobs):
            done(number, ValueError("thirteen") if job == 13 else job * 10)

    return Batcher(run, size=size, order=lambda job: (job,))


def test_threads_that_take_part_are_waited_for_and_sorted() -> None:
    seen: list[list[int]] = []
    batcher = build(seen)
    with ThreadPoolExecutor(6) as pool, batcher.expect(6) as leave:

        def work(job: int) -> int:
            try:
                return batcher.submit(job)
            finally:
                leave()

        results = list(pool.map(work, [5, 3, 1, 6, 2, 4]))
    assert results == [50, 30, 10, 60, 20, 40]
    assert seen == [[1, 2, 3, 4], [5, 6]]


def test_one_that_leaves_early_does_not_hold_up_the_rest() -> None:
    seen: list[list[int]] = []
    batcher = build(seen)
    with ThreadPoolExecutor(3) as pool, batcher.expect(3) as leave:

        def work(job: int) -> int:
            try:
                return batcher.submit(job) if job else 0
            finally:
                leave()

        assert list(pool.map(work, [0, 1, 2])) == [0, 10, 20]
    assert seen == [[1, 2]]


def test_a_bad_job_harms_only_itself() -> None:
    batcher = build([])
    with ThreadPoolExecutor(2) as pool, batcher.expect(2) as leave:

        def work(job: int) -> int:
            try:
                return batcher.submit(job)
            finally:
                leave()

        good, bad = pool.submit(work, 1), pool.submit(work, 13)
        assert good.result() == 10
        with pytest.raises(ValueError, match="thirteen"):
            bad.result()


def test_an_error_of_the_whole_batch_reaches_all_who_wait() -> None:
    def run(jobs: Sequence[int], done: Done) -> None:
        raise RuntimeError("broken")

    batcher: Batcher[int, int] = Batcher(run, size=2, order=lambda job: (job,))
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(1)
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(2)


def test_without_expectations_a_lone_request_is_answered() -> None:
    batcher = build([])
    done = threading.Event()
    results: list[int] = []

    def work() -> None:
        results.append(batcher.submit(7))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(5)
    assert results == [70]


def test_threads_that_were_given_up_are_not_counted_twice() -> None:
    batcher = build([])
    with batcher.expect(2) as leave:
        leave()
    leave()
    assert batcher._expected == 0
