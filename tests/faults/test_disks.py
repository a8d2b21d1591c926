"""Full disks, files that cannot grow, read-only folders: one message, nothing lost, and the run can be resumed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.bench import annotated, Bench, NOTES
from support.scripted_server import Behaviour, Handler


@contextlib.contextmanager
def mounted(place: Path, *, size: str) -> Iterator[Path]:
    """Mount a small file system; skip the test where mounting is not permitted."""
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fills(place: Path) -> Behaviour:
    """A behaviour that fills a file system before it answers."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"\1" * 4096)
        handler.answer(body, handler.server.reply(body["messages"]))

    return behave


def test_a_run_on_a_full_disk_stops_and_resumes_when_there_is_space(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    with mounted(bench.fresh("disk"), size="512k") as disk:
        folder = disk / "run"
        bench.server.behaviours = {5: fills(disk)}
        ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}")
        assert (ended.code, ended.clear) == (2, True), ended.err
        assert "No space left on device" in ended.err
        assert 0 < (completed := (folder / "predictions.jsonl").read_bytes().count(b"\n")) < 12
        (disk / "filler").unlink()
        bench.server.heal()
        again = bench.resumed(folder, "remote")
        assert again.code == 0, again.err
        assert len(bench.server.requests) == 12 - completed
        bench.note("run", "disk full (a tmpfs) after some sentences", "stops with 2, goes on", bench.lost(folder, "remote"))


@pytest.mark.parametrize("times", [25, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 3, 32))])
def test_a_run_without_space_from_some_file_operation_on_stops_and_resumes(bench: Bench, times: int) -> None:
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=["full_disk", str(folder), times])
    assert (ended.code, ended.clear) == (2, True), ended.err
    assert "No space left on device" in ended.err
    again = bench.resumed(folder, "remote")
    assert again.code == 0, again.err
    bench.note("run", f"no space from file operation {times} on", "stops with 2, goes on", bench.lost(folder, "remote"))


def test_a_limit_of_file_size_stops_a_run_which_resumes(bench: Bench) -> None:
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", fault=["short_files", 8_192])
    assert (ended.code, ended.clear) == (2, True), ended.err
    assert "File too large" in ended.err
    again = bench.resumed(folder, "remote")
    assert again.code == 0, again.err
    bench.note("run", "files may not grow beyond 8 KiB (quota)", "stops with 2, goes on", bench.lost(folder, "remote"))


@pytest.mark.parametrize("command", ["run", "annotate"])
def test_a_read_only_folder_is_reported(bench: Bench, command: str) -> None:
    with mounted(bench.fresh("disk"), size="64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        words = (
            [*bench.notes(), f"output={disk / 'out'}"]
            if command == "annotate"
            else [*bench.words("remote"), f"hydra.run.dir={disk / 'out'}"]
        )
        ended = bench.run(*words, command=command)
    assert (ended.code, ended.clear) == (2, True), ended.err
    assert "Read-only file system" in ended.err
    bench.note(command, "the output folder is read-only", "stops with 2 before it asks", len(bench.server.requests))


def test_an_annotation_on_a_full_disk_stops_and_resumes_when_there_is_space(bench: Bench) -> None:
    whole = bench.annotated_whole()
    bench.server.heal()
    with mounted(bench.fresh("disk"), size="512k") as disk:
        folder = disk / "out"
        bench.server.behaviours = {2 * 17: fills(disk)}  # notes are written in groups of 16
        ended = bench.run(*bench.notes(), f"output={folder}", command="annotate")
        assert (ended.code, ended.clear) == (2, True), ended.err
        assert "No space left on device" in ended.err
        completed = (folder / "state.jsonl").read_bytes().count(b"\n")
        assert 0 < completed < NOTES
        (disk / "filler").unlink()
        again = bench.run(*bench.notes(), f"output={folder}", command="annotate")
        assert again.code == 0, again.err
        assert f"{NOTES - completed} documents annotated, {completed} kept" in again.out
        ours = annotated(folder)
        bench.note(
            "annotate",
            "disk full (a tmpfs) after some notes",
            "stops with 2, goes on",
            sum(ours.get(n) != b for n, b in whole.items()),
        )


def test_a_torn_last_line_is_cut_off_in_place(tmp_path: Path) -> None:
    from clinspan.programs.rundir.run_folder import cut_torn_line

    file = tmp_path / "lines"
    for whole, end in ((b"", b"x" * 200_000), (b"a\n" * 70_000, b"\0" * 90_000), (b"a\nb\n", b""), (b"a\n", b"b")):
        file.write_bytes(whole + end)
        cut_torn_line(file)
        assert file.read_bytes() == whole
