"""Failed jobs of a sweep: a launcher may run jobs in other processes or on other machines, so a job's folder is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from programs.records import environment, now, RunFolder

_MARK = ".failed"


class Sweeps(Callback):
    """Hydra calls it where the sweep was begun, before the first job and after the last."""

    failed: ClassVar[list[str]] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        for mark in _marks(config):
            mark.unlink()  # of an earlier sweep in this folder

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        for mark in _marks(config):
            Sweeps.failed.append(f"{mark.parent} ({mark.read_text(encoding='utf-8')})")
            mark.unlink()


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs, which are named by their numbers, in order."""
    return sorted((path for path in sweep.iterdir() if path.is_dir() and path.name.isdigit()), key=lambda path: int(path.name))


def note_failure(path: Path, config: DictConfig, choices: dict[str, str], error: BaseException) -> None:
    """Mark a job as failed for `Sweeps`, and leave a `run.json` that says so if the job stopped before it wrote one.

    Args:
        path: The job's folder.
        config: The job's config.
        choices: The option of each group.
        error: Only its class is written: a message may hold what was read.
    """
    folder, name = RunFolder(path), type(error).__name__
    (path / _MARK).write_text(name, encoding="utf-8")
    if (path / "run.json").exists():
        return
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # which may be why it failed
        plain = OmegaConf.to_container(config)
    what = {"status": "failed", "error": name, "ended": now(), "config": plain, "choices": choices, "seed": config.get("seed")}
    folder.write("run.json", {**what, **environment()})


def _marks(config: DictConfig) -> list[Path]:
    sweep = Path(config.hydra.sweep.dir)
    return [path / _MARK for path in job_folders(sweep) if (path / _MARK).is_file()] if sweep.is_dir() else []
