"""The run folder: writing and reading of its files.

`run.json` is written first and again at the end; `predictions.jsonl` grows by one line per sentence. See `runs/README.md`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.corpora.json_text import parse_json
from clinspan.programs.rundir.earlier_names import with_current_names
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.records import Prediction
from clinspan.programs.rundir.run_record import GitRecord, RunFacts, RunRecord
from clinspan.programs.rundir.typed_json import Record

PACKAGES = (
    "dspy",
    "transformers",
    "torch",
    "peft",
    "accelerate",
    "openai",
    "chromadb",
    "sentence-transformers",
    "seqeval",
    "hydra-core",
    "numpy",
)
_BLOCK = 1 << 16


class RunFolder:
    """The files of one run.

    Args:
        path: The folder. It is created if it does not exist, and gets mode 0700.

    Raises:
        RunError: The folder cannot be created. Methods that write raise it if writing fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.stat().st_mode & 0o777 != 0o700:
                path.chmod(0o700)

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.jsonl"

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        with writing(self.path):
            write_whole(self.path / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder. Earlier class names in it are replaced by the current ones.

        Raises:
            InputError: The file is missing or is not a JSON object.
        """
        return read_object(self.path / name)

    def append(self, record: Mapping[str, Any]) -> None:
        """Append the record of one sentence and hand it to the operating system before returning."""
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with writing(self.path), self.predictions.open("ab") as file:
            file.write(line.encode())

    def load_predictions(self) -> dict[str, dict[str, Any]]:
        """Read the records by sentence id. If an id has several lines, the last one counts.

        Data after the last line end is removed from the file: an incomplete line, or the zeros that a power failure can leave.

        Raises:
            InputError: Another line is not a valid record.
        """
        if not self.predictions.exists():
            return {}
        with writing(self.path):
            cut_torn_line(self.predictions)
        return load_records(self.predictions)

    def sort_predictions(self, ids: Sequence[str]) -> None:
        """Rewrite the predictions in this order, one line per id, so that equal runs leave equal files."""
        records = self.load_predictions()
        lines = "".join(json.dumps(records[key], ensure_ascii=False) + "\n" for key in ids)
        with writing(self.path):
            write_whole(self.predictions, lines.encode())


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run's folder, of which nothing is changed. Earlier class names in it are replaced by the current ones.

    Raises:
        InputError: The file is missing or is not a JSON object.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "Give the folder of a run."
        raise InputError(f"cannot be read ({type(error).__name__})", path=path, remedy=remedy) from None
    if not isinstance(content, dict):
        raise InputError("is not a JSON object", path=path, remedy="Give the folder of a run.")
    return {key: with_current_names(value) for key, value in content.items()}


def read_record(path: Path) -> RunRecord:
    """Read a `run.json`.

    Raises:
        InputError: The file is missing, is not a JSON object, or an entry has another type.
    """
    return RunRecord.checked(read_object(path), path, "Give the folder of a run.")


def cut_torn_line(path: Path) -> None:
    """Remove the data after the last line end of a file."""
    with path.open("rb+") as file:
        end = length = file.seek(0, os.SEEK_END)
        while length:
            start = max(0, length - _BLOCK)
            file.seek(start)
            line_end = file.read(length - start).rfind(b"\n")
            length = start if line_end < 0 else start + line_end + 1
            if line_end >= 0:
                break
        if length < end:
            file.truncate(length)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename that file to its final name when it is complete.

    The file is flushed to disk before the rename. Otherwise a power failure could leave an empty file with the final name. Lines
    that are appended to a file are not flushed to disk, because their readers tolerate a lost end.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()  # it may be the file that fills the disk
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


def remove_unused(path: Path) -> None:
    """Remove the folder of a command that stopped before it recorded anything: one with no file but an empty `run.log`."""
    log = path / "run.log"
    with suppress(OSError):
        if all(found == log and log.is_file() and not log.stat().st_size for found in path.iterdir()):
            log.unlink(missing_ok=True)
            path.rmdir()


def load_records(path: Path, kind: type[Record] = Prediction) -> dict[str, dict[str, Any]]:
    """Read the records of a `predictions.jsonl` by sentence id. If an id has several lines, the last one counts.

    Args:
        path: The file.
        kind: The record type of a line.

    Raises:
        InputError: The file cannot be read, or a line is no such record. The message names the line and the key.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="Check the path and its permissions.") from None
    records = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = parse_json(line.decode())
            problem = kind.problem(record)
        except ValueError:
            record, problem = {}, "it is not JSON"
        if problem:
            remedy = "Remove the line; resume=FOLDER tags that sentence again."
            raise InputError(f"is not a valid prediction ({problem})", path=path, line=number, remedy=remedy)
        records[record["id"]] = record
    return records


def environment() -> RunFacts:
    """Versions of Python and of the packages that affect results, the state of the source tree, and the number of cores."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return RunFacts(python=platform.python_version(), packages=versions, git=git_state(), cores=os.cpu_count())


def git_state() -> GitRecord:
    """The commit and whether the tree differs from it. Both are None outside a checkout, also for a wheel inside another one."""
    file = Path(__file__).resolve()

    def git_output(*words: str) -> str | None:
        try:
            process = subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return process.stdout.strip()

    ours = git_output("ls-files", "--error-unmatch", file.name) is not None
    commit = git_output("rev-parse", "HEAD") if ours else None
    changes = git_output("status", "--porcelain", "--untracked-files=no") if commit else None
    return GitRecord(commit=commit, dirty=None if changes is None else bool(changes))


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
