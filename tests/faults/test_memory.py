"""A local model out of memory: fewer rows at once give the same answers, and a sentence that is too large fails alone."""

from __future__ import annotations

import pytest

from faults.bench import Bench, rows


@pytest.mark.parametrize(
    ("kind", "most", "says"),
    [
        ("local", 1, "torch"),
        ("classifier", 1, "cpu"),
        pytest.param("local", 2, "cpu", marks=pytest.mark.long),
        pytest.param("local", 3, "memory", marks=pytest.mark.long),
        pytest.param("classifier", 3, "memory", marks=pytest.mark.long),
    ],
)
def test_fewer_rows_give_the_same_answers(bench: Bench, kind: str, most: int, says: str) -> None:
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words(kind), f"hydra.run.dir={folder}", fault=["little_memory", most, says])
    assert ended.code == 0, ended.err
    bench.note(
        f"run, {kind}", f"out of memory with more than {most} of 4 rows ({says})", "goes on by itself", bench.lost(folder, kind)
    )


@pytest.mark.parametrize("kind", ["local", "classifier"])
def test_a_sentence_that_is_too_large_alone_fails_and_is_retried_by_resume(bench: Bench, kind: str) -> None:
    whole = {row["id"]: row for row in rows(bench.whole(kind))}
    usage = "prompt_tokens" if kind == "local" else "pieces"
    most = sorted(row["usage"][usage] for row in whole.values())[-3]
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words(kind), f"hydra.run.dir={folder}", fault=["no_memory_for", most])
    assert ended.code == 0, ended.err
    failed = [row["id"] for row in rows(folder) if row["error"] == "out_of_memory"]
    assert failed == [name for name, row in whole.items() if row["usage"][usage] > most]
    assert all(row["error"] is None for row in rows(folder) if row["id"] not in failed)
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    bench.note(
        f"run, {kind}",
        f"out of memory with {len(failed)} sentences alone",
        "they fail, resume= gets them",
        bench.lost(folder, kind),
    )
