"""A Hydra sweeper over cells that are listed, each a row of overrides; Hydra accepts sweepers from `hydra_plugins` alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


@dataclass
class CellsSweeperConf:
    """
    Attributes:
        cells: Overrides as on the command line, separated by spaces; one with commas stands for several cells.
        params: Further parameters, as Hydra's own sweeper has them: each value with each cell.
        max_batch_size: How many jobs are checked and launched together.
    """

    _target_: str = "hydra_plugins.clinspan_cells_sweeper.cells_sweeper.CellsSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None
    cells: list[str] = field(default_factory=list)


class CellsSweeper(BasicSweeper):
    """See `CellsSweeperConf`. What the command line says goes before a cell's own words; cells that are then alike are one."""

    def __init__(self, *, max_batch_size: int | None, params: dict[str, str] | None, cells: Sequence[str]) -> None:
        super().__init__(max_batch_size, params)
        self.cells = list(cells)

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The jobs' overrides in batches: Hydra's own way, cell by cell."""
        parser = OverridesParser.create()
        given = {override.get_key_element().lstrip("+~") for override in overrides}
        jobs: list[list[str]] = []
        for cell in self.cells:
            words = [word for word in parser.parse_overrides(cell.split()) if not replaced(word.get_key_element(), given)]
            (found,) = BasicSweeper.split_arguments([*words, *overrides], None)
            jobs += [job for job in found if job not in jobs]
        return list(BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size))


def replaced(key: str, given: Collection[str]) -> bool:
    """Whether the user has set a key, or chosen another option of the group that it belongs to.

    >>> replaced("model", {"model"}), replaced("model.adapter", {"model"}), replaced("strategy", {"model", "strategy.k"})
    (True, True, False)
    """
    return key in given or key.partition(".")[0] in given


ConfigStore.instance().store(group="hydra/sweeper", name="cells", node=CellsSweeperConf, provider="clinspan")
