"""Failed jobs of a sweep: collected from the jobs' folders, since launchers may run jobs in other processes or machines.

Cells of an experiment preset may use models that are not available everywhere. A cell without its model is not a failure: the
sweep continues, and at its end lists the cells that ran, the cells that did not, and how to get their models.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.lms import UnavailableError
from clinspan.programs.rundir.printed_commands import command, setting
from clinspan.programs.rundir.run_folder import environment, now, RunFolder
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.sweeps.shared_settings import check_shared, preset_lines
from clinspan.reports.paper.paper_cells import cell_lines, CellRun
from clinspan.reports.terminal.console import display_of
from clinspan.retrievers.embedders import EmbedderUnavailableError

_MARK = ".failed"
_CELLS = ("cells", "params", "search_space")
"""The keys in which sweepers have what they sweep over."""
_UNAVAILABLE = (UnavailableError, EmbedderUnavailableError)


class Sweeps(Callback):
    """Hydra callback in the process that started the sweep: before the first job and after the last, and before a single job.

    Attributes:
        failed: The jobs that failed, each with the class of its error.
        absent: The cells of a preset whose model was not available.
        ran: How many cells of a preset have scores.
        creates: Whether a single job's folder was made for it.
        folder: The folder of the sweep; None before its first job and for a single job.
    """

    failed: ClassVar[list[str]] = []
    absent: ClassVar[list[str]] = []
    ran: ClassVar[int] = 0
    creates: ClassVar[bool] = False
    folder: ClassVar[Path | None] = None

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        Sweeps.creates = not Path(config.hydra.run.dir).exists()
        _say(preset_lines(config, sweep=False))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            check_shared(config)
        except InputError as error:
            _say([str(error)])
            sys.exit(2)  # Hydra would only warn of another exception in a callback
        _say(preset_lines(config, sweep=True))
        Sweeps.folder = Path(config.hydra.sweep.dir)
        for mark in _marks(config):
            mark.unlink()  # of an earlier sweep in this folder

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        reasons = {}
        for mark in _marks(config):
            failure = json.loads(mark.read_text(encoding="utf-8"))
            reasons[mark.parent] = failure["reason"]
            (Sweeps.failed if failure["reason"] is None else Sweeps.absent).append(f"{mark.parent} ({failure['error']})")
            mark.unlink()
        if name := config.hydra.runtime.choices.get("experiment"):
            sweep = Path(config.hydra.sweep.dir)
            cells = [_cell(path, reasons.get(path)) for path in (job_folders(sweep) if sweep.is_dir() else [])]
            Sweeps.ran = sum(cell.scores is not None for cell in cells)
            lines = [] if display_of(sys.stdout) == "none" else cell_lines(str(name), cells)
            print("\n".join([*lines, str(sweep)]))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"clinspan: {printable(line)}", file=sys.stderr)


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs, which are named by their numbers, in order."""
    return sorted((path for path in sweep.iterdir() if path.is_dir() and path.name.isdigit()), key=lambda path: int(path.name))


def check_experiment() -> None:
    """Refuse an experiment of several cells outside a sweep.

    Raises:
        InputError: It is run as a single job, which would use the settings of none of its cells.
    """
    chosen = HydraConfig.get()
    swept = any(chosen.sweeper.get(key) for key in _CELLS)
    if (name := chosen.runtime.choices.get("experiment")) and swept and chosen.mode == RunMode.RUN:
        raise InputError(f"experiment={name} is a sweep over several cells", remedy="Add -m.")


def missing_part(error: BaseException, choices: dict[str, str]) -> str | None:
    """Why the model of a preset's cell is not available and how to get it; None for any other error or without a preset.

    Only the messages of these known errors are returned, since other messages may quote texts.
    """
    name = choices.get("experiment")
    if not name:
        return None
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, _UNAVAILABLE):
            return str(current)
        if isinstance(current, (InterpolationToMissingValueError, MissingMandatoryValue)) and "tuned." in str(current):
            model = choices.get("model")
            training = command("finetune", setting("model", model))
            trained = f"{training}, with the settings that conf/experiment/{name}.yaml names"
            return f"its fine-tuned model is not given: {trained}, then tuned.{model}=FOLDER/model"
        current = current.__cause__ or current.__context__
    return None


def note_failure(path: Path, config: DictConfig, choices: dict[str, str], error: BaseException, reason: str | None = None) -> None:
    """Mark a job as failed for `Sweeps`, and write a `run.json` that says so if the job has not written one.

    Args:
        path: The job's folder.
        config: The job's config.
        choices: The option of each group.
        error: The error. Only its class is written, since its message may quote texts.
        reason: The result of `missing_part` for the error.
    """
    folder, name = RunFolder(path), type(error).__name__
    (path / _MARK).write_text(json.dumps({"error": name, "reason": reason}), encoding="utf-8")
    why = {} if reason is None else {"reason": reason}
    if (path / "run.json").exists():
        record = folder.read("run.json")
        if why and record.get("status") == "failed":
            folder.write("run.json", {**record, **why})
        return
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # this may be why the job failed
        plain = OmegaConf.to_container(config)
    about: dict[str, Any] = {"config": plain, "choices": choices, "seed": config.get("seed")}
    failed = RunRecord(status="failed", error=name, ended=now(), **about).plus(environment())
    folder.write("run.json", {**failed.content(), **why})


def _cell(path: Path, reason: str | None) -> CellRun:
    """A job for the summary at the end of the sweep. A job without a record has failed."""
    folder = RunFolder(path)
    try:
        record = folder.read("run.json")
        scores = folder.read("scores.json") if record.get("status") == "finished" else None
    except InputError:
        return CellRun(str(path), {}, None, reason)
    return CellRun(str(path), record, scores, reason)


def _marks(config: DictConfig) -> list[Path]:
    sweep = Path(config.hydra.sweep.dir)
    return [path / _MARK for path in job_folders(sweep) if (path / _MARK).is_file()] if sweep.is_dir() else []
