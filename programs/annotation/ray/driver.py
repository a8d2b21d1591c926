"""Driver of `programs.annotate engine=ray`: splits the input into shards and merges their results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.readers.notes import Note, Unreadable
from clinspan.corpora.seen_ids import SeenIds
from clinspan.programs.annotation.annotator import Facts
from clinspan.programs.annotation.build_annotator import check_settings
from clinspan.programs.annotation.job import JobStats
from clinspan.programs.annotation.ray.engine import RayEngine, Scale
from clinspan.programs.annotation.ray.shards import cut_input
from clinspan.programs.annotation.ray.worker import Job
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.config.composition import plain_settings
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.run_record import AnnotatorRecord, InputRecord, RunFacts

ENGINES = ("local", "ray")
_OURS = ("workers", "shard", "ray")
Progress = Callable[[int], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Description of a job, independent of the engine.

    Attributes:
        config: Config of the command, with the settings of its program.
        overrides: Overrides of the user.
        to: Output formats.
        run: The output folder and its record.
        log: Logger of its `run.log`.
    """

    config: DictConfig
    overrides: Overrides
    to: list[str]
    run: OpenRun
    log: logging.Logger

    def started(self, facts: Facts, documents: int) -> None:
        """Record the annotator and the number of documents in `run.json`, `program.json` and the log."""
        annotator = AnnotatorRecord(model=facts.model, program=facts.program, by=facts.by)
        self.run.write(facts.record.plus(RunFacts(annotator=annotator, input=input_record(self.config, documents))))
        self.run.folder.write("program.json", facts.content)
        self.log.info("annotating %d documents with %s", documents, facts.model)


def input_record(config: DictConfig, documents: int | None) -> InputRecord:
    """The entry `input` of the record of an annotation, with the number of documents as far as it is known."""
    return InputRecord(path=str(config.input), documents=documents, encoding=config.encoding, phi=config.phi)


def scale_of(config: DictConfig, given: Collection[str], folder: RunFolder) -> Scale | None:
    """Return how `engine=ray` divides the work; None for `engine=local`.

    Raises:
        InputError: The engine is not known, a setting belongs to the other engine, or the folder was begun with the other engine
            or with another shard size.
    """
    if config.engine not in ENGINES:
        raise InputError(f"engine={config.engine} is not known", remedy=f"Use {' or '.join(ENGINES)}.")
    ray_keys = sorted(key for key in given if key.split(".")[0] in _OURS)
    if config.engine == "local" and ray_keys:
        raise InputError(f"{ray_keys[0]} is for engine=ray", remedy="Leave it out, or add engine=ray.")
    record = folder.read("run.json") if (folder.path / "run.json").is_file() else {}
    engine, shard = record.get("engine", "local" if record else config.engine), record.get("config", {}).get("shard", config.shard)
    if engine != config.engine:
        raise InputError(
            f"holds results of engine={engine}", path=folder.path, remedy="Use the same engine, or another output folder."
        )
    if config.engine == "local":
        return None
    if config.model.get("batch"):
        raise InputError(
            "model.batch=true is for engine=local", remedy="Batch requests are sent by one process: leave engine= out."
        )
    if config.get("budget") is not None:
        raise InputError("budget is for engine=local", remedy="Leave it out: workers do not know what the others spend.")
    if shard != config.shard:
        remedy = f"Use shard={shard}, or another output folder."
        raise InputError(f"holds results of shard={shard}", path=folder.path, remedy=remedy)
    return Scale(workers=config.workers, shard=config.shard, address=config.ray.address, retries=config.ray.retries)


def annotate_on_ray(
    work: Work, notes: Callable[..., Iterable[Note | Unreadable]], scale: Scale, progress_bar: Progress
) -> tuple[Facts, JobStats]:
    """Annotate with several processes.

    Args:
        work: The job.
        notes: Returns the notes; takes `first` as `corpora.readers.notes.read_notes` does.
        scale: How the work is divided.
        progress_bar: Shows how many of the documents are handled; called with their number.

    Raises:
        InputError, ModelError, RunError: As with one process, or there is no such cluster.
    """
    remote = check_settings(work.config, work.overrides)
    home = work.run.folder.path.resolve()
    with writing(home), SeenIds() as seen:
        shards, total = cut_input(notes(first=seen.first), home, scale.shard)
    work.run.add(RunFacts(input=input_record(work.config, total), shards=shards))
    job = Job(
        config=plain_settings(work.config),
        choices=dict(work.overrides.choices),
        given=frozenset(work.overrides.keys),
        to=tuple(work.to),
        home=home,
        here=Path.cwd(),
        run=uuid4().hex[:12],
        retries=scale.retries,
    )

    def started(facts: Facts, workers: int) -> None:
        work.run.add(RunFacts(workers=workers))
        work.started(facts, total)

    engine = RayEngine(job, scale, shards=shards, remote=remote, log=work.log)
    with progress_bar(total) as progress:
        stats = engine.run(started, progress)
    assert engine.facts is not None
    return engine.facts, stats
