"""Where Hydra looks for the sweeper of `-m`. Hydra executes this file without registering it as a module, so it defines no
dataclass, and accepts a class only if it is defined here.
"""

from __future__ import annotations

from clinspan.programs.sweeps import grid_sweeper


class GridSweeper(grid_sweeper.GridSweeper):
    """See `programs.sweeps.grid_sweeper`."""
