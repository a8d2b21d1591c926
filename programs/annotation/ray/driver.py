"""Driver of `programs.annotate engine=ray`: splits the input into shards and merges their results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from omegaconf import DictConfig, OmegaConf

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
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.run_folder import RunFolder

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
        folder: The output folder.
        record: Content of its `run.json`.
        log: Logger of its `run.log`.
    """

    config: DictConfig
    overrides: Overrides
    to: list[str]
    folder: RunFolder
    record: dict[str, Any]
    log: logging.Logger

    def started(self, facts: Facts) -> None:
        """Record the annotator in `run.json`, `program.json` and the log."""
        self.record.update(facts.record)
        self.record["annotator"] = {"model": facts.model, "program": facts.program, "by": facts.by}
        self.folder.write("run.json", self.record)
        self.folder.write("program.json", facts.content)
        self.log.info("annotating %d documents with %s", self.record["input"]["documents"], facts.model)


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
    home = work.folder.path.resolve()
    with writing(home), SeenIds() as seen:
        shards, total = cut_input(notes(first=seen.first), home, scale.shard)
    work.record["input"]["documents"] = total
    work.record["shards"] = shards
    job = Job(
        config=_plain(work.config),
        choices=dict(work.overrides.choices),
        given=frozenset(work.overrides.keys),
        to=tuple(work.to),
        home=home,
        here=Path.cwd(),
        run=uuid4().hex[:12],
        retries=scale.retries,
    )

    def started(facts: Facts, workers: int) -> None:
        work.record["workers"] = workers
        work.started(facts)

    engine = RayEngine(job, scale, shards=shards, remote=remote, log=work.log)
    with progress_bar(total) as progress:
        stats = engine.run(started, progress)
    assert engine.facts is not None
    return engine.facts, stats


def _plain(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
