"""A Hydra sweeper over listed cells, each a row of overrides; Hydra accepts sweepers from `hydra_plugins` only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

Job = list[str]
_REFERENCE = re.compile(r"\{([\w.]+)\}")


@dataclass
class CellsSweeperConf:
    """The settings of `CellsSweeper`.

    Attributes:
        cells: Overrides as on the command line, separated by spaces. An override with commas expands to several cells. `{key}`
            stands for the value of another key in the job's config: `${key}` would be resolved before there are jobs.
        max_batch_size: How many jobs are checked and launched together; None: all.
    """

    _target_: str = "hydra_plugins.clinspan_cells_sweeper.cells_sweeper.CellsSweeper"
    cells: list[str] = field(default_factory=list)
    max_batch_size: int | None = None


class CellsSweeper(Sweeper):
    """Sweeps over cells; see `CellsSweeperConf`.

    Overrides on the command line take precedence over those of a cell. Cells that are then equal run once. Cells that are then
    empty are dropped; if all are empty, one job runs.
    """

    def __init__(self, *, cells: Sequence[str], max_batch_size: int | None) -> None:
        self.cells, self.size = list(cells), max_batch_size

        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        plugins = Plugins.instance()
        self.launcher = plugins.instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Check and launch the jobs, batch by batch. The first error that a job did not catch is raised here."""
        assert self.config is not None and self.launcher is not None
        from clinspan.programs.sweeps.seeds import without_repetitions

        jobs = without_repetitions(self.jobs(self._parser().parse_overrides(arguments)), self._composed)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        returns = []
        for start in range(0, len(jobs), self.size or len(jobs)):
            batch = jobs[start : start + (self.size or len(jobs))]
            self.validate_batch_is_legal(batch)
            results = self.launcher.launch(batch, initial_job_idx=start)
            for result in results:
                _ = result.return_value  # raises what the job raised
            returns.append(results)
        return returns

    def jobs(self, overrides: list[Override]) -> list[Job]:
        """The overrides of each job: those of a cell and of the command line, with commas expanded."""
        parser = self._parser()
        given = {override.get_key_element().lstrip("+~") for override in overrides}
        rows = [parser.parse_overrides([_REFERENCE.sub(r"${\1}", word) for word in cell.split()]) for cell in self.cells]
        remaining = [[word for word in row if not replaced(word.get_key_element(), given)] for row in rows]
        jobs: list[Job] = []
        for words in [row for row in remaining if row] or [[]]:
            jobs += [job for job in combinations([*words, *overrides]) if job not in jobs]
        return jobs

    def _composed(self, job: Sequence[str]) -> DictConfig:
        assert self.hydra_context is not None and self.config is not None
        composed: DictConfig = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        return composed

    def _parser(self) -> OverridesParser:
        """A parser that knows the options that a pattern such as `glob(gpt*)` matches."""
        return OverridesParser.create(config_loader=self.hydra_context.config_loader if self.hydra_context else None)


def combinations(overrides: Iterable[Override]) -> list[Job]:
    """All combinations of the values that overrides sweep over, as Hydra's own sweeper makes them, the last override fastest.

    Raises:
        HydraException: An override sweeps over an interval, whose values cannot be listed.
    """
    choices: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values = [override.get_value_element_as_str()]
        elif override.is_discrete_sweep():
            values = list(override.sweep_string_iterator())
        else:
            raise HydraException(f"{override.input_line} has no list of values: a sweep needs one")
        choices[key] = [f"{key}={value}" for value in values]
    return [list(job) for job in itertools.product(*choices.values())]


def replaced(key: str, given: Collection[str]) -> bool:
    """Whether the user has set a key, or chosen another option of the group that it belongs to.

    >>> replaced("model", {"model"}), replaced("model.adapter", {"model"}), replaced("strategy", {"model", "strategy.k"})
    (True, True, False)
    """
    return key in given or key.partition(".")[0] in given


ConfigStore.instance().store(group="hydra/sweeper", name="cells", node=CellsSweeperConf, provider="clinspan")
