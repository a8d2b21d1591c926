"""A worker of `engine=ray`: holds an annotator and processes one shard after the other."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from omegaconf import OmegaConf

from clinspan.corpora import InputError
from clinspan.corpora.readers.notes import Note
from clinspan.lms import ModelError
from clinspan.lms.remote.audit import audit_to
from clinspan.programs.annotation.annotator import Annotator, Facts, Outcome, TagAll
from clinspan.programs.annotation.build_annotator import build_annotator
from clinspan.programs.annotation.job import AnnotationJob
from clinspan.programs.annotation.ray.shards import Attempt, Shard
from clinspan.programs.annotation.state import Entry
from clinspan.programs.annotation.writers import DocumentWriter, TOGETHER
from clinspan.programs.app.hydra_app import prepare_process
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.run_folder import write_whole
from clinspan.programs.rundir.run_record import RunFacts

COUNTERS = ("documents", "counts", "entities", "repairs", "used")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Description of the job that each worker gets.

    Attributes:
        config: Config of the command, with the settings of its program.
        choices: Selected option of each config group.
        given: Keys that the user has set.
        to: Output formats.
        home: Absolute path of the output folder.
        here: Folder in which the job was started; relative paths are resolved against it.
        run: Id that tells this run's tries from those of earlier runs.
        retries: How often a shard is started again after its worker was lost.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    given: frozenset[str]
    to: tuple[str, ...]
    home: Path
    here: Path
    run: str
    retries: int

    @property
    def facts_pattern(self) -> str:
        """Pattern, below `shards/`, for the files of annotator facts that workers of this run write."""
        return f".annotator-{self.run}-*.json"

    def write_facts(self, facts: Facts) -> None:
        """Write the facts of a worker's annotator."""
        name = self.facts_pattern.replace("*", uuid4().hex)
        write_whole(self.home / "shards" / name, json.dumps({**asdict(facts), "record": facts.record.content()}).encode())

    def read_facts(self) -> Facts:
        """Read the facts that one of the workers wrote."""
        facts = json.loads(next((self.home / "shards").glob(self.facts_pattern)).read_bytes())
        price, record = facts["price"], RunFacts.model_validate(facts["record"])
        return Facts(**{**facts, "labels": tuple(facts["labels"]), "price": price and tuple(price), "record": record})


class ShardWorker:
    """Annotates the shards whose numbers Ray Data passes.

    It raises no error to Ray, because Ray's logs would quote the message. Instead, the report names the problem in our own words
    or by the error type alone.

    Args:
        job: Description of the job.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.in_row = job, 0
        self.annotator: Annotator | None = None
        self.problem = _problem_of(self._load)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """Return a report, as JSON, on each shard number in the column `shard`."""
        return {"report": [json.dumps(self.report(int(number))) for number in batch["shard"]]}

    def report(self, number: int) -> dict[str, Any]:
        """Annotate a shard and return its counts, or the `problem` that ends the run."""
        report: dict[str, Any] = {"shard": number}
        problem = self.problem or _problem_of(lambda: report.update(self._work(Shard(self.job.home, number))))
        return report if problem is None else {"shard": number, "problem": problem}

    def _load(self) -> None:
        os.chdir(self.job.here)
        prepare_process()
        audit_to(self.job.home)
        overrides = Overrides(self.job.choices, self.job.given)
        self.annotator = build_annotator(OmegaConf.create(self.job.config), overrides)
        with writing(self.job.home):
            self.job.write_facts(self.annotator.facts)

    def _work(self, shard: Shard) -> dict[str, Any]:
        assert self.annotator is not None
        facts = self.annotator.facts
        with writing(self.job.home):
            done = shard.done()
            if done is not None and done.get("run") == self.job.run:  # its worker was lost before it could report
                return {"by": done["by"], "lost": 0, **done["tally"]}
            together = [form for form in self.job.to if form in TOGETHER]
            if done is not None and len(together) == len(self.job.to) and shard.is_made(done, by=facts.by, together=together):
                return {"by": facts.by, "lost": 0, **_kept(done["tally"])}
            attempt = shard.begin(self.job.run)
            stats = self._annotate(shard, attempt)
            about = {"sha256": shard.digest(), "by": facts.by, "to": self.job.to, "run": self.job.run, "tally": stats}
            shard.publish(attempt, about)
        return {"by": facts.by, "lost": attempt.lost, **stats}

    def _annotate(self, shard: Shard, attempt: Attempt) -> dict[str, dict[str, int]]:
        assert self.annotator is not None
        annotator = _Nobody(self.annotator) if attempt.lost > self.job.retries else self.annotator
        writer = DocumentWriter(self.job.home, self.job.to, annotator.facts.labels, pieces=attempt.folder)
        session = ShardJob(annotator, writer, attempt, stop_after=self.job.config["stop_after"], in_row=self.in_row)
        try:
            stats = session.run(shard.notes)
        except RunError:
            shard.publish(attempt, None)
            raise
        self.in_row = session.in_row
        return {name: dict(getattr(stats, name)) for name in COUNTERS}


class ShardJob(AnnotationJob):
    """Annotates the notes of one shard.

    Args:
        annotator: Finds entities.
        writer: Writes annotated notes.
        attempt: The try; documents annotated by earlier tries of the same run count as annotated now.
        stop_after: As for `AnnotationJob`.
        in_row: Number of consecutive notes before this shard that failed because of the model.
    """

    def __init__(self, annotator: Annotator, writer: DocumentWriter, attempt: Attempt, *, stop_after: int, in_row: int) -> None:
        super().__init__(annotator, writer, attempt.folder, stop_after=stop_after, progress=lambda done, sentences: None)
        self.in_row, self._recovered = in_row, attempt.recovered

    def _done(self, status: str, entry: Entry) -> None:
        if status == "kept" and entry.id in self._recovered:
            status = "annotated"
        super()._done(status, entry)


class _Nobody(Annotator):
    """Replaces the annotator for notes that too many workers were lost on."""

    def __init__(self, other: Annotator) -> None:
        super().__init__(other.tagger, other.facts, other.segmenter)

    def annotate(self, notes: Sequence[Note], *, tag_all: TagAll | None = None) -> list[Outcome]:
        """Return a failed outcome for every note."""
        return [Outcome(note.id, None, "worker_lost") for note in notes]


def _kept(stats: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return the counts of a finished shard, with all its annotated documents counted as kept."""
    before = stats["documents"]
    documents = {"kept": before.get("annotated", 0) + before.get("kept", 0)}
    return {**{name: dict(stats[name]) for name in COUNTERS}, "documents": documents}


def _problem_of(act: Callable[[], None]) -> str | None:
    """Call `act`. Return the message of an error, without any text of notes, or None if there was no error."""
    try:
        act()
    except (InputError, ModelError, RunError) as error:
        return str(error)
    except Exception as error:  # its message could quote a note
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in a worker at {Path(place.filename).name}:{place.lineno}; this is a bug in clinspan"
    return None
