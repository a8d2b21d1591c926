"""Runs of `programs.run` within the test's own process, which saves the seconds that starting a command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clinspan.programs.app.observability import observed
from clinspan.programs.config.composition import compose
from clinspan.programs.run import execute
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_folder import environment, now, RunFolder
from clinspan.programs.rundir.run_record import RunRecord


def run_here(folder: Path, *words: str, record: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run with these overrides in a folder, and return the run's record. The record of an earlier run resumes that run."""
    config, chosen, given = compose("run", words)
    plain = OmegaConf.to_container(config, resolve=True)
    about = {"config": plain, "choices": chosen, "given": sorted(given), "seed": config.seed}
    begun = {"status": "started", "started": now(), **about, **environment().content()} if record is None else record
    run = OpenRun(RunFolder(folder), RunRecord.model_validate(begun))
    with observed(config, run, command="run"):
        execute(run, config)
    return run.record.content()
