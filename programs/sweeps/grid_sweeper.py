"""The sweeper of `-m`: all combinations of values, without jobs that differ from another one only in a seed without effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from clinspan.programs.sweeps.cells_sweeper import CellsSweeper


class GridSweeper(CellsSweeper):
    """A sweep without cells. It takes the settings of Hydra's own sweeper, and records the sweep in `multirun.yaml` as that does.

    Args:
        max_batch_size: How many jobs are checked and launched together; None: all.
        params: Values by key, as on the command line, which takes precedence.
    """

    def __init__(self, *, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        super().__init__(cells=[], max_batch_size=max_batch_size)
        self.params = dict(params or {})

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Check and launch the jobs."""
        assert self.config is not None
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return super().sweep([*(f"{key}={value}" for key, value in self.params.items()), *arguments])


def use() -> None:
    """Make this sweeper Hydra's default one. Hydra's own plugins must have been found already, as they register theirs."""
    node = {"_target_": "hydra_plugins.clinspan_cells_sweeper.grid_sweeper.GridSweeper", "max_batch_size": None, "params": None}
    ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=node, provider="clinspan")
