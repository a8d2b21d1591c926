"""The Ray engine: shards on disk, and Ray Data workers that each hold an annotator.

Ray passes shard numbers to the workers and counts back. Texts, entities and ids are only on the disk that all machines share.
"""

from __future__ import annotations

import heapq
import json
import logging
import math
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.programs.annotation.annotator import Facts
from clinspan.programs.annotation.job import JobStats
from clinspan.programs.annotation.ray.shards import Shard
from clinspan.programs.annotation.ray.worker import COUNTERS, Job, ShardWorker
from clinspan.programs.annotation.writers import DocumentWriter, join_pieces, TOGETHER
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.run_folder import replacing
from clinspan.programs.sweeps.ray_cluster import joined

_IN_FLIGHT = 2
_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How the work is divided.

    Attributes:
        workers: Number of processes, each with an annotator. None: one if the model is on a server, else one per GPU or, without
            GPUs, one per core.
        shard: Documents per shard.
        address: As for `programs.sweeps.ray_cluster.joined`.
        retries: How often a shard is started again after its worker was lost.
    """

    workers: int | None
    shard: int
    address: str | None
    retries: int

    def __post_init__(self) -> None:
        for key, value, least in (("workers", self.workers, 1), ("shard", self.shard, 1), ("ray.retries", self.retries, 0)):
            if value is not None and (not isinstance(value, int) or value < least):
                raise InputError(f"{key}={value} is not a whole number of at least {least}")


class RayEngine:
    """Runs the workers on all shards and merges their results.

    Args:
        job: Description of the job for the workers.
        scale: How the work is divided.
        shards: Number of shards, which are numbered from 0.
        remote: Whether the model is on a server. A worker then needs no GPU, and one worker is enough.
        log: Logger of the run.
    """

    def __init__(self, job: Job, scale: Scale, *, shards: int, remote: bool, log: logging.Logger) -> None:
        self.job, self.scale, self.shards, self.remote, self.log = job, scale, shards, remote, log
        self.stats = JobStats()
        self.facts: Facts | None = None

    def run(self, started: Callable[[Facts, int], None], progress: Callable[[int, int], None]) -> JobStats:
        """Annotate the shards that are not done yet, then write the formats that have one file for all notes.

        Args:
            started: Called with the annotator's facts and the number of workers, as soon as both are known.
            progress: Called with the number of documents handled, and 0 because sentences are not counted here.

        Raises:
            InputError: There is no such cluster, or it has no room for so many workers.
            RunError: Every further document would fail too, or Ray cannot continue. Finished annotations are on disk.
        """
        try:
            with joined(self.scale.address, cores=self._cores(), home=self.job.home), closing(self._reports()) as reports:
                for report in reports:
                    self._take(report, started)
                    progress(self.stats.documents.total(), 0)
            self._put_together()
        finally:
            home = self.job.home
            with writing(home):
                merge_lines([Shard(home, n).folder / "failed.jsonl" for n in range(self.shards)], home / "failed.jsonl")
                for path in home.glob(f"shards/{self.job.facts_pattern}"):
                    path.unlink()
        return self.stats

    def _cores(self) -> int | None:
        return None if self.scale.workers is None else max(self.scale.workers, os.cpu_count() or 1)

    def _take(self, report: dict[str, Any], started: Callable[[Facts, int], None]) -> None:
        if "problem" in report:
            raise RunError(report["problem"])
        if self.facts is None:
            self.facts = self.job.read_facts()
            started(self.facts, self.workers)
        if report["by"] != self.facts.by:
            raise RunError("the workers' models differ: check that all machines have the same weights and the same clinspan")
        for name in COUNTERS:
            getattr(self.stats, name).update(report[name])
        if report["lost"]:
            self.log.info("shard %d was started %d times because workers were lost", report["shard"], report["lost"] + 1)

    def _reports(self) -> Generator[dict[str, Any]]:
        """Yield the workers' report on each shard, in any order."""
        import ray
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = -1  # a shard takes as long as its model needs
        self.workers, needs = workers_in(ray.cluster_resources(), self.scale.workers, remote=self.remote)
        self.workers = min(self.workers, self.shards) or 1
        self.log.info("%d shards for %d workers", self.shards, self.workers)
        numbers = [{"shard": number} for number in range(self.shards)]
        pool = ray.data.ActorPoolStrategy(size=self.workers, max_tasks_in_flight_per_actor=_IN_FLIGHT)
        rows = ray.data.from_items(numbers, override_num_blocks=max(1, self.shards))
        reports = rows.map_batches(ShardWorker, batch_size=None, compute=pool, fn_constructor_args=[self.job], **needs)
        try:
            for row in reports.iter_rows():
                yield json.loads(row["report"])
        except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
            raise RunError(
                f"Ray stopped ({type(error).__name__}), often for lack of memory. Finished annotations are on disk; resume with "
                f"output={self.job.home}"
            ) from None

    def _put_together(self) -> None:
        assert self.facts is not None
        with writing(self.job.home):
            DocumentWriter(self.job.home, self.job.to, self.facts.labels).open()
            for form in TOGETHER:
                if form in self.job.to and form != "parquet":
                    join_pieces(form, (Shard(self.job.home, n).piece(form) for n in range(self.shards)), self.job.home)


def workers_in(cluster: dict[str, float], wanted: int | None, *, remote: bool) -> tuple[int, dict[str, float]]:
    """Return the number of workers, and the resources of the cluster that each of them needs.

    Args:
        cluster: Ray's resources `CPU` and `GPU`.
        wanted: Number of workers that the user set; None: chosen as `Scale` says.
        remote: Whether the model is on a server.

    Raises:
        InputError: The cluster has no room for so many workers.

    >>> workers_in({"CPU": 64.0, "GPU": 4.0}, None, remote=False)
    (4, {'num_cpus': 1, 'num_gpus': 1})
    >>> workers_in({"CPU": 64.0}, 8, remote=False), workers_in({"CPU": 64.0}, None, remote=True)
    ((8, {'num_cpus': 1}), (1, {'num_cpus': 1}))
    """
    cores, gpus = math.floor(cluster.get("CPU", 0)), 0 if remote else math.floor(cluster.get("GPU", 0))
    room = min(gpus, cores) if gpus else cores
    if room < (wanted or 1):
        kind = "GPUs" if gpus else "cores"
        raise InputError(f"workers={wanted or 1}, but the cluster has {room} {kind} for them", remedy="Use fewer workers.")
    needs: dict[str, float] = {"num_cpus": 1, "num_gpus": 1} if gpus else {"num_cpus": 1}
    return wanted or (1 if remote else room), needs


def merge_lines(paths: Sequence[Path], whole: Path) -> None:
    """Merge files of sorted lines into one sorted file; remove that file if none of `paths` exists.

    At most a few hundred files are open at once, and memory holds one line of each.
    """
    existing = [path for path in paths if path.is_file()]
    if not existing:
        whole.unlink(missing_ok=True)
        return
    with replacing(whole) as scratch:
        parts = [scratch.with_suffix(f".{n}") for n in range(0, len(existing), _FILES)]
        for n, part in enumerate(parts):
            _merge(existing[n * _FILES : (n + 1) * _FILES], part)
        _merge(parts, scratch)
        for part in parts:
            part.unlink()


def _merge(paths: Sequence[Path], whole: Path) -> None:
    with ExitStack() as files, whole.open("wb") as file:
        file.writelines(heapq.merge(*(files.enter_context(path.open("rb")) for path in paths)))
