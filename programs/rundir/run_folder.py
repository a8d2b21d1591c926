"""The run folder: writing and reading of its files.

`run.json` is written first and again at the end; `predictions.jsonl` grows a line a sentence. See `runs/README.md`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.json_text import parse_json
from clinspan.programs.rundir.earlier_names import with_current_names
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.records import Prediction, Record

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
        path: The folder; made with mode 0700 if it is not there.

    Raises:
        RunError: It cannot be made; from the methods that write, that nothing can be written.
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
        """Write a JSON file so that it is written atomically."""
        with writing(self.path):
            write_whole(self.path / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder; classes in it have the names that they have now.

        Raises:
            InputError: It is missing or no JSON object.
        """
        path = self.path / name
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            remedy = "Give a folder that a run left behind."
            raise InputError(f"cannot be read ({type(error).__name__})", path=path, remedy=remedy) from None
        if not isinstance(content, dict):
            raise InputError("is not a JSON object", path=path, remedy="Give a folder that a run left behind.")
        return {key: with_current_names(value) for key, value in content.items()}

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one sentence and hand it to the operating system before returning."""
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with writing(self.path), self.predictions.open("ab") as file:
            file.write(line.encode())

    def load_predictions(self) -> dict[str, dict[str, Any]]:
        """Records by sentence id, the last line of an id counting. What stands behind the last line end is cut off the file:
        a line that was cut short, or the zeros that a power failure can leave.

        Raises:
            InputError: Another line is no record.
        """
        if not self.predictions.exists():
            return {}
        with writing(self.path):
            cut_torn_line(self.predictions)
        return load_records(self.predictions)

    def sort_predictions(self, ids: Sequence[str]) -> None:
        """Rewrite the predictions in this order, one line an id, so that equal runs leave equal files."""
        records = self.load_predictions()
        lines = "".join(json.dumps(records[key], ensure_ascii=False) + "\n" for key in ids)
        with writing(self.path):
            write_whole(self.predictions, lines.encode())


def cut_torn_line(path: Path) -> None:
    """Cut off what stands behind a file's last line end."""
    with path.open("rb+") as file:
        end = kept = file.seek(0, os.SEEK_END)
        while kept:
            start = max(0, kept - _BLOCK)
            file.seek(start)
            found = file.read(kept - start).rfind(b"\n")
            kept = start if found < 0 else start + found + 1
            if found >= 0:
                break
        if kept < end:
            file.truncate(kept)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file by another name, which this gives, and put it in its place when it is whole.

    It is on the disk before that: else a power failure could leave an empty file by the right name. Lines that are added to a
    file are not forced out, as their readers cope with a lost end.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()  # it may be what fills the disk
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is written atomically."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


def note_corpus(record: dict[str, Any], corpus: Corpus, split: str, folder: RunFolder) -> None:
    """Say in a run's record which corpus it is over.

    Raises:
        InputError: The run began with another, or the corpus has no label.
    """
    if record.get("corpus", {}).get("sha256", corpus.sha256) != corpus.sha256:
        remedy = "Give the corpus as it was, or start a new run."
        raise InputError("the corpus is not the one that this run began with", path=folder.path, remedy=remedy)
    if not corpus.labels:
        remedy = "Name what is to be found: corpus.labels=[...]"
        raise InputError(f"corpus {corpus.name} has no entity and corpus.labels names none", remedy=remedy)
    record["corpus"] = {"name": corpus.name, "sha256": corpus.sha256, "phi": corpus.phi, "split": split}


@contextmanager
def recorded(folder: RunFolder, record: dict[str, Any], log: logging.Logger) -> Iterator[None]:
    """Add the time that is spent to a run's record and, if it stops, say so there: the kind of error, never its words."""
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        record |= {"status": "failed", "error": type(error).__name__, "ended": now()}
        log.info("stopped: %s", type(error).__name__)
        raise
    finally:
        record["seconds"] = record.get("seconds", 0.0) + time.monotonic() - began
        if "corpus" in record or "input" in record:
            with suppress(RunError) if record["status"] == "failed" else nullcontext():  # what went wrong first is told
                folder.write("run.json", record)


def load_records(path: Path, kind: type[Record] = Prediction) -> dict[str, dict[str, Any]]:
    """The lines of a `predictions.jsonl` by sentence id, the last line of an id counting.

    Args:
        path: The file.
        kind: What a line has to be.

    Raises:
        InputError: The file cannot be read, or a line is no such record: names the line and the key.
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
            record, problem = {}, "it is no JSON"
        if problem:
            remedy = "Remove the line; resume=FOLDER tags that sentence again."
            raise InputError(f"is no prediction ({problem})", path=path, line=number, remedy=remedy)
        records[record["id"]] = record
    return records


def environment() -> dict[str, Any]:
    """Versions of the packages that decide results, of Python, and the state of the source tree."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "packages": versions, "git": git_state(), "cores": os.cpu_count()}


def git_state() -> dict[str, Any]:
    """Commit and whether the tree differs from it; both None outside a checkout, as where a wheel is installed below another."""
    file = Path(__file__).resolve()

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    ours = ask("ls-files", "--error-unmatch", file.name) is not None
    commit = ask("rev-parse", "HEAD") if ours else None
    changes = ask("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
