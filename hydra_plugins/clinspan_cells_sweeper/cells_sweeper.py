"""Where Hydra looks for `hydra/sweeper=cells`. Hydra executes this file without registering it as a module, so it defines no
dataclass, and accepts a class only if it is defined here.
"""

from __future__ import annotations

from clinspan.programs.sweeps import cells_sweeper


class CellsSweeper(cells_sweeper.CellsSweeper):
    """See `programs.sweeps.cells_sweeper`."""
