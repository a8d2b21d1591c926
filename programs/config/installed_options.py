"""Options of installed packages. Hydra is not imported.

A package offers a folder of options, laid out as `conf/`, by an entry point:

    [project.entry-points."clinspan.options"]
    ours = "our_package.conf"
"""

from __future__ import annotations

import functools
import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

from clinspan.corpora import InputError

GROUP = "clinspan.options"


@functools.cache
def installed_folders() -> tuple[Path, ...]:
    """The folders of options that installed packages offer, in the order of the entry points' names.

    Raises:
        InputError: An entry point names no package; the message names the distribution.
    """
    folders: list[Path] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            spec = importlib.util.find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if not places:
            package = entry.dist.name if entry.dist is not None else "an installed package"
            problem = f"the entry point {entry.name} of {package} ({GROUP}) names {entry.value}, which is not a package"
            raise InputError(problem, remedy=f"Repair or uninstall {package}.")
        folders.append(Path(places[0]))
    return tuple(dict.fromkeys(folders))
