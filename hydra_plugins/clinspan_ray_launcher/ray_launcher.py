"""Where Hydra looks for `hydra/launcher=ray`. Hydra executes this file without registering it as a module, so it defines no
dataclass, and accepts a class only if it is defined here.
"""

from __future__ import annotations

from clinspan.programs.sweeps import ray_launcher


class RayLauncher(ray_launcher.RayLauncher):
    """See `programs.sweeps.ray_launcher`."""
