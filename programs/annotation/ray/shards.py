"""Shards of the input of `engine=ray` on disk, and their state.

Shard k holds the input documents from number k * size on, finished or not, so its paths are the same in each run. Each try at a
shard works in a folder of its own. The finished files are then moved into place, `done.json` last. So a worker that is lost, or
that is wrongly taken for lost, leaves no partial and no duplicate results.

    shards/00000/
        notes.parquet       its slice of the input, until the shard is done
        state.jsonl         the annotations so far, without text: the resume state
        failed.jsonl        documents that failed, if any
        annotations.jsonl   its piece of `to=jsonl`; annotations.conll likewise
        done.json           digest of its input, fingerprint of the annotator, and its counts
        .try-<run>-<random>-<process>/   a try that is in progress, or was lost
    annotations/part-00000.parquet   its piece of `to=parquet`
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from clinspan.corpora.readers.notes import Note, Unreadable
from clinspan.corpora.readers.shards import read_shard, shard_digest, write_shard
from clinspan.programs.annotation.journal import ANSWERS, SPENT, spent_in
from clinspan.programs.annotation.state import digest_of
from clinspan.programs.annotation.writers import TOGETHER
from clinspan.programs.rundir.run_folder import replacing, write_whole


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try at a shard.

    Attributes:
        folder: Folder of this try; its `state.jsonl` begins with the annotations of earlier tries.
        earlier: Folders of the earlier tries.
        recovered: Ids of documents that lost tries of the same run annotated.
        lost: Number of lost tries of the same run.
    """

    folder: Path
    earlier: tuple[Path, ...]
    recovered: frozenset[str]
    lost: int


class Shard:
    """One shard of an output folder.

    Args:
        home: The output folder.
        number: Number of the shard, from 0.
    """

    def __init__(self, home: Path, number: int) -> None:
        self.home, self.number = home, number
        self.folder = home / "shards" / f"{number:05}"

    def put(self, notes: Sequence[Note | Unreadable]) -> None:
        """Write its slice of the input, unless the same slice is there already."""
        digest = _digest(notes)
        path = self.folder / "notes.parquet"
        if shard_digest(path) == digest:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            write_shard(notes, scratch, digest)

    def notes(self) -> Iterator[Note | Unreadable]:
        """Return its slice of the input."""
        return read_shard(self.folder / "notes.parquet")

    def digest(self) -> str | None:
        """Return the digest of its slice of the input; None if there is no slice."""
        return shard_digest(self.folder / "notes.parquet")

    def piece(self, form: str) -> Path:
        """Return the path of its piece of a format that has one file for all notes, or one file per shard."""
        if form == "parquet":
            return self.home / "annotations" / f"part-{self.number:05}.parquet"
        return self.folder / TOGETHER[form][0]

    def done(self) -> dict[str, Any] | None:
        """Return the content of `done.json`; None if it is missing or cannot be read."""
        try:
            content = json.loads((self.folder / "done.json").read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def is_made(self, done: dict[str, Any], *, by: str, together: Sequence[str]) -> bool:
        """Whether `done` is for the current slice and this annotator, no document failed, and the pieces of these formats exist."""
        same = (done.get("sha256"), done.get("by")) == (self.digest(), by)
        whole = set(together) <= set(done.get("to", ())) and all(self.piece(form).is_file() for form in together)
        return same and whole and not (self.folder / "failed.jsonl").exists()

    def begin(self, run: str) -> Attempt:
        """Begin a new try with the annotations and answers of all earlier ones."""
        tries = sorted(self.folder.glob(".try-*"))
        lost = [path for path in tries if path.name.startswith(f".try-{run}-")]
        before = [line for place in (self.folder, *tries) if place not in lost for line in _whole_lines(place)]
        since = [line for place in lost for line in _whole_lines(place)]
        folder = self.folder / f".try-{run}-{uuid4().hex[:12]}-{os.getpid()}"
        folder.mkdir()
        (folder / "state.jsonl").write_bytes(b"".join(dict.fromkeys([*before, *since])))
        answers = [line for place in tries for line in _whole_lines(place, ANSWERS)]
        (folder / ANSWERS).write_bytes(b"".join(dict.fromkeys(answers)))
        spent = max((spent_in(place) for place in (self.folder, *tries)), key=Counter.total)
        (folder / SPENT).write_bytes(json.dumps(dict(spent)).encode())
        recovered = frozenset(str(json.loads(line)["id"]) for line in set(since) - set(before))
        return Attempt(folder, tuple(tries), recovered, len(lost))

    def publish(self, attempt: Attempt, done: dict[str, Any] | None) -> None:
        """Move the results of a try into place.

        Args:
            attempt: The try; its folder and those of earlier tries are removed.
            done: Content of `done.json`. None: the try was stopped, so keep only its resume state, failures and token counts.
        """
        (self.folder / "failed.jsonl").unlink(missing_ok=True)
        if done is not None:
            (self.folder / "done.json").unlink(missing_ok=True)  # it describes the results that are replaced now
            for form, (file, *_) in TOGETHER.items():
                if (attempt.folder / file).is_file():
                    self.piece(form).parent.mkdir(exist_ok=True)
                    (attempt.folder / file).replace(self.piece(form))
        for name in ("state.jsonl", "failed.jsonl", SPENT):
            if (attempt.folder / name).is_file():
                (attempt.folder / name).replace(self.folder / name)
        if done is not None:
            write_whole(self.folder / "done.json", json.dumps(done).encode())
            (self.folder / "notes.parquet").unlink(missing_ok=True)
        for place in (*attempt.earlier, attempt.folder):
            shutil.rmtree(place, ignore_errors=True)


def cut_input(notes: Iterable[Note | Unreadable], home: Path, size: int) -> tuple[int, int]:
    """Split the input into shards, with one shard in memory at a time; remove shards that a longer input left behind.

    Args:
        notes: The input.
        home: The output folder.
        size: Documents per shard.

    Returns:
        The number of shards and the number of documents.
    """
    rest, number, total = iter(notes), 0, 0
    while shard_notes := list(islice(rest, size)):
        Shard(home, number).put(shard_notes)
        number, total = number + 1, total + len(shard_notes)
    for folder in (home / "shards").glob("*"):
        if folder.name.isdigit() and int(folder.name) >= number:
            Shard(home, int(folder.name)).piece("parquet").unlink(missing_ok=True)
            shutil.rmtree(folder)
    return number, total


def _digest(notes: Sequence[Note | Unreadable]) -> str:
    """Return the digest of the notes in order: the id and the annotated content of each, or its reading error."""
    sha256 = hashlib.sha256()
    for note in notes:
        about = [note.id, digest_of(note)] if isinstance(note, Note) else [note.id, note.error, note.at]
        sha256.update(json.dumps(about).encode() + b"\n")
    return sha256.hexdigest()


def _whole_lines(folder: Path, name: str = "state.jsonl") -> list[bytes]:
    """Return the lines of a file of a try, without a truncated last one; none if the file cannot be read."""
    try:
        with (folder / name).open("rb") as file:
            return [line for line in file if line.endswith(b"\n")]
    except OSError:
        return []
