"""A Hydra launcher that runs each job of a sweep as a Ray task.

Hydra accepts launchers only from the package `hydra_plugins`. The published launcher for Ray requires a version of cloudpickle
that DSPy does not work with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from clinspan.corpora import InputError
from clinspan.programs.sweeps.ray_cluster import keep_private, ray_folder


@dataclass
class RayLauncherConf:
    """The settings of `RayLauncher`.

    Attributes:
        address: The address of a running cluster; `auto`: the cluster of this machine; None: Ray is started here for the sweep.
        cpus_per_job: Cores that a job waits for. The sum over running jobs never exceeds the cores of the cluster.
        gpus_per_job: The same for GPUs. A fraction lets jobs share a GPU.
        retries: How often a job is restarted after its worker or machine was lost. It resumes from the contents of its folder.
    """

    _target_: str = "hydra_plugins.clinspan_ray_launcher.ray_launcher.RayLauncher"
    address: str | None = None
    cpus_per_job: float = 1
    gpus_per_job: float = 0
    retries: int = 2


class RayLauncher(Launcher):
    """Launches jobs as Ray tasks; see `RayLauncherConf`. All machines must see the job folders under the same path."""

    def __init__(self, *, address: str | None, cpus_per_job: float, gpus_per_job: float, retries: int) -> None:
        self.address, self.cpus, self.gpus, self.retries = address, cpus_per_job, gpus_per_job, retries

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, as many at once as the resources allow, and wait for all of them.

        Raises:
            InputError: Ray is not installed, or a job's process died on every try. The other jobs have run.
        """
        if not self.address:
            keep_private()
        try:
            import ray
        except ImportError:
            raise InputError("hydra/launcher=ray needs Ray", remedy="Install it with: pip install 'clinspan[ray]'") from None
        setup_globals()
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        started_here = not ray.is_initialized()
        stack = ExitStack()
        if started_here:
            settings: dict[str, Any] = {}
            if not self.address:
                place = stack.enter_context(ray_folder(Path(str(self.config.hydra.sweep.dir)).absolute()))
                settings = {"include_dashboard": False, "_temp_dir": place}
            ray.init(address=self.address or "local", log_to_driver=True, logging_level="ERROR", **settings)
        try:
            task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, retry_exceptions=True)(_apart)
            shared = {"context": self.context, "config": self.config, "task": self.task}
            shared |= {"state": Singleton.get_state(), "working_folder": Path.cwd()}
            numbered = enumerate(job_overrides, initial_job_idx)
            jobs = [task.remote(number=n, words=list(words), **shared) for n, words in numbered]
            ray.wait(jobs, num_returns=len(jobs))  # a lost job does not end the others
            return self._results(jobs)
        finally:
            if started_here:
                ray.shutdown()
            stack.close()

    def _results(self, jobs: Sequence[Any]) -> list[JobReturn]:
        import ray
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        try:
            return list(ray.get(list(jobs)))
        except (TerminatedWorkerError, ray.exceptions.RayError) as error:
            if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, TerminatedWorkerError):
                raise
            folder = self.config.hydra.sweep.dir
            remedy = f"Find the cause, often lack of memory, and start the sweep again with hydra.sweep.dir={folder}."
            raise InputError(f"a job's process died on each of {self.retries + 1} tries", remedy=remedy) from None


def _apart(**job: Any) -> JobReturn:
    """Run one job in a child process of the Ray worker. Models and Hydra's globals end with it, and a crash spares the worker."""
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as pool:
        result: JobReturn = pool.submit(_job, **job).result()
    return result


def _job(
    *,
    number: int,
    words: list[str],
    context: HydraContext,
    config: DictConfig,
    task: TaskFunction,
    state: dict[Any, Any],
    working_folder: Path,
) -> JobReturn:
    """Run a job as Hydra's own launcher does, in the working folder of the sweep."""
    os.chdir(working_folder)
    setup_globals()
    Singleton.set_state(state)
    sweep = context.config_loader.load_sweep_config(config, words)
    with open_dict(sweep):
        sweep.hydra.job.id, sweep.hydra.job.num = number, number
    HydraConfig.instance().set_config(sweep)
    return run_job(
        hydra_context=context, task_function=task, config=sweep, job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir"
    )


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="clinspan")
