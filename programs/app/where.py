"""`--where GROUP=OPTION`: the file and line of an option, and of the classes and functions that it names."""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.programs.app.command_help import command_settings
from clinspan.programs.config.command_line import CommandLine
from clinspan.programs.config.installed_options import installed_folders

_TARGET = re.compile(r"^\s*_target_\s*:\s*[\"']?([\w.]+)")


def where(config_name: str, line: CommandLine) -> list[str]:
    """The lines `what  FILE:LINE` about an option: its file, the files that it is based on, and what `_target_` names in them.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        line: The command line with `--where`, and perhaps `--config-dir`.

    Raises:
        InputError: There is no such group or option, or a class cannot be found.
    """
    group, mark, option = str(line.where).partition("=")
    groups = command_settings(config_name)[1]
    if not mark or group not in groups:
        remedy = f"Write --where GROUP=OPTION with a group of {config_name}: {', '.join(groups)}." if groups else ""
        raise InputError(f"--where {line.where} names no option of {config_name}", remedy=remedy)
    folders = [*([] if line.config_dir is None else [line.config_dir]), *reversed(installed_folders()), CONF]
    rows: list[tuple[str, str]] = []
    for file in _files(group, option, folders):
        rows.append((f"{group}={file.stem}", _place(file, 1)))
        rows += [(target, _source(target)) for target in _targets(file)]
    rows = list(dict.fromkeys(rows))
    width = max(len(what) for what, _ in rows)
    return [f"{what:{width}}  {place}" for what, place in rows]


def _files(group: str, option: str, folders: Sequence[Path]) -> Iterator[Path]:
    """The file of an option, and those that its defaults name in the same group."""
    found = next((path for folder in folders if (path := folder / group / f"{option}.yaml").is_file()), None)
    if found is None:
        known = sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
        near = difflib.get_close_matches(option, known, n=1)
        remedy = f"Did you mean {group}={near[0]}?" if near else f"Options: {', '.join(known)}."
        raise InputError(f"there is no {group}={option}", remedy=remedy)
    yield found
    try:
        content = yaml.safe_load(found.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise InputError("is not YAML", path=found, remedy="Repair the file.") from None
    for name in (content or {}).get("defaults") or [] if isinstance(content, dict) else []:
        if isinstance(name, str) and name not in ("_self_", option):
            yield from _files(group, name, folders)


def _targets(file: Path) -> Iterator[str]:
    for row in file.read_text(encoding="utf-8").splitlines():
        if found := _TARGET.match(row):
            yield found[1]


def _source(target: str) -> str:
    """File and line of the class or function that a `_target_` names."""
    from clinspan.programs.config.composition import object_of

    try:
        named = object_of(target)
        file = inspect.getsourcefile(named)
        number = inspect.getsourcelines(named)[1]
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"_target_ {target} cannot be found ({type(error).__name__})", remedy="Check its module.") from None
    return _place(Path(str(file)), number)


def _place(file: Path, line: int) -> str:
    """`FILE:LINE`, relative to the current folder if the file is below it, without the links of `clinspan/`."""
    path = file.resolve()
    here = Path.cwd()
    return f"{os.path.relpath(path, here) if path.is_relative_to(here) else path}:{line}"
