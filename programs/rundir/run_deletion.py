"""Deletes folders of runs: only what a command wrote, only below one folder, and never through a link."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clinspan.corpora import InputError
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.printed_commands import command
from clinspan.programs.rundir.run_list import is_run_name, LOG, read_entry, RECORD, run_folders, RunEntry, UNREADABLE

_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
_SWEEP = "multirun.yaml"


def runs_to_delete(path: Path, root: Path) -> list[RunEntry]:
    """The runs of a folder: the run itself or, for a sweep, its jobs.

    Args:
        path: The folder.
        root: The folder below which runs may be deleted.

    Raises:
        InputError: It is not below `root`, is a link, holds no run or something else than runs, or a process is writing into it.
    """
    if path.is_symlink() or not path.is_dir():
        raise InputError("is not a folder", path=path, remedy=f"Give a folder that {command('runs')} lists.")
    check_below(path, root)
    found = run_folders(path)
    if found != [path] and (not is_run_name(path) or not found or any(one.parent != path for one in found)):
        raise InputError("is neither a run nor a sweep", path=path, remedy=f"Give a folder that {command('runs')} lists.")
    entries = [read_entry(one) for one in found]
    for entry in entries:
        check_deletable(entry, root)
    return entries


def check_below(path: Path, root: Path) -> None:
    """Refuse a folder that is not below another one once links are followed.

    Raises:
        InputError: It is not.
    """
    if path.resolve() == root.resolve() or not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"is not below {root}", path=path, remedy="Name the folder of its runs: folder=FOLDER.")


def check_deletable(entry: RunEntry, root: Path) -> None:
    """Refuse a run that may not be deleted.

    Raises:
        InputError: A process is writing into it, its files are not those of a run, or it is not below `root`.
    """
    check_below(entry.path, root)
    if entry.state == "running":
        raise InputError("is being written", path=entry.path, remedy="Wait until the run ends, or stop it.")
    has_record = (entry.path / RECORD).is_file() and entry.state != UNREADABLE
    if not has_record and not _has_log(entry.path) and any(_others(entry.path)):
        raise InputError("holds neither run.json nor run.log of a run", path=entry.path, remedy="Delete it by other means.")


def _others(path: Path) -> list[Path]:
    return [one for one in path.iterdir() if not one.name.startswith(".")]


def _has_log(path: Path) -> bool:
    """Whether a folder has a log that a run may have written. It is empty if the run stopped early."""
    try:
        with (path / LOG).open("rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    return not first or _LINE.match(first) is not None


def delete_runs(entries: Sequence[RunEntry]) -> None:
    """Delete the folders of runs, and the folders of sweeps that are then empty.

    Raises:
        InputError: A folder cannot be deleted; those before it are gone.
        RunError: A process is writing into a folder.
    """
    for entry in entries:
        with one_writer(entry.path):
            try:
                shutil.rmtree(entry.path)
            except OSError as error:
                raise InputError(
                    f"cannot be deleted ({error.strerror})", path=entry.path, remedy="Check its permissions."
                ) from None
        sweep = entry.path.parent
        if entry.path.name.isdecimal() and is_run_name(sweep):
            _remove_empty(sweep)


def _remove_empty(sweep: Path) -> None:
    """Remove the folder of a sweep without jobs."""
    with suppress(OSError):
        if {path.name for path in sweep.iterdir()} <= {_SWEEP}:
            (sweep / _SWEEP).unlink(missing_ok=True)
            sweep.rmdir()
