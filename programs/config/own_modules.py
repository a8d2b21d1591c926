"""Modules of the user's own: a `_target_` may name one in the current folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def find_modules(config: Any) -> None:
    """Let the modules that a config names be found, also those in parts of it. See `find_module`."""
    if isinstance(config, Mapping):
        if isinstance(target := config.get("_target_"), str):
            find_module(target)
        for key in config:
            find_modules(config[key])


def find_module(target: str) -> None:
    """Add the current folder to the end of `sys.path` if it holds the module of a `_target_` and no other folder does.

    Args:
        target: The dotted name of a class or function.
    """
    name = target.partition(".")[0]
    here = Path.cwd()
    if name in sys.modules or str(here) in sys.path or not name.isidentifier() or importlib.util.find_spec(name) is not None:
        return
    if (here / f"{name}.py").is_file() or (here / name).is_dir():
        sys.path.append(str(here))
