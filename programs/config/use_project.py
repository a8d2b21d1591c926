"""Reads the project file of the current folder for a command, and checks its settings before Hydra composes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.programs.config.command_line import CommandLine, PROJECT_COMMANDS, PROJECT_FILE
from clinspan.programs.config.overrides import check_key, check_option, keys_of, searching
from clinspan.programs.config.project_file import (
    FREE,
    groups_of,
    project_configs,
    read_project,
    Setting,
)
from clinspan.programs.config.project_source import ProjectConfigs

_OFF = "CLINSPAN_PROJECT_OFF"
"""The variable that tells the commands which a command starts, such as the runs of a comparison, of `project=null`."""


def use_project(config_name: str, line: CommandLine) -> list[str]:
    """Let Hydra compose the command's config with the project file, if the current folder has one.

    It is left out by `project=null`, and where a run is resumed, because that run has its settings.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        line: The command line.

    Returns:
        The words without `project=null`.

    Raises:
        InputError: A setting of the file is not valid; the message names its line. Or `project` has another value.
    """
    given = [word for word in line.words if word.startswith("project=")]
    if other := next((word for word in given if word != "project=null"), None):
        problem = f"{other}: the project file is always {PROJECT_FILE} of the current folder"
        raise InputError(problem, remedy="project=null leaves it out.")
    words, path = [word for word in line.words if word not in given], Path(PROJECT_FILE)
    if given:
        os.environ[_OFF] = "1"
    if _OFF in os.environ or config_name not in PROJECT_COMMANDS or line.config_path or line.rerun or not path.is_file():
        return words
    if any(word.startswith("resume=") and word != "resume=null" for word in words):
        print(f"clinspan: {PROJECT_FILE} is not read: a resumed run keeps its settings", file=sys.stderr)
        return words
    places = [word for word in words if word.startswith("hydra.searchpath=")]
    with searching(line.config_dir) as loader:
        settings = _FileCheck(path, config_name, places, loader).settings()
    if settings:
        ProjectConfigs.instance().files = project_configs(config_name, settings)
    return words


class _FileCheck:
    """Checks the settings of a file against the commands. Configs of other commands are composed only for keys that need it."""

    def __init__(self, path: Path, config_name: str, places: Sequence[str], loader: Any) -> None:
        self.path, self.places, self.loader = path, list(places), loader
        self.read = read_project(path)
        self.commands = [config_name, *(name for name in PROJECT_COMMANDS if name != config_name)]
        self.keys: dict[str, dict[str, bool]] = {}

    def settings(self) -> list[Setting]:
        """The settings that the command has.

        Raises:
            InputError: No command has one of the settings, or a group has no such option.
        """
        found = []
        for setting in self.read:
            with self._placed(setting):
                command = next((name for name in self.commands if self._has(name, setting)), None)
                if command is None:
                    check_key(setting.key, sorted(set().union(*self.keys.values())))
                    raise InputError(f"{setting.key} has further settings", remedy=f"Write {setting.key}.KEY: value.")
                found += [setting] if command == self.commands[0] else []
        return found

    def _has(self, command: str, setting: Setting) -> bool:
        """Whether a command has the setting. A key that holds further keys takes no plain value."""
        groups = groups_of(command)
        if setting.key in groups:
            self._check_option(command, setting)
            return True
        if command not in self.keys:
            chosen = [one for one in self.read if one.key in groups and one.value is not None]
            for one in chosen:
                with self._placed(one):
                    self._check_option(command, one)
            self.keys[command] = keys_of(command, [*self.places, *(f"{one.key}={one.value}" for one in chosen)])
        known, parent = self.keys[command], setting.key.rpartition(".")[0]
        if parent.rpartition(".")[2] in FREE:
            return parent in known
        return setting.key in known and (not known[setting.key] or isinstance(setting.value, dict))

    def _check_option(self, command: str, setting: Setting) -> None:
        names = self.loader.get_group_options(setting.key, config_name=command, overrides=self.places)
        if not isinstance(setting.value, str) and not (setting.value is None and groups_of(command)[setting.key] is None):
            problem = f"{setting.key} is no option" if setting.value is not None else f"{setting.key}: null chooses nothing"
            raise InputError(problem, remedy=f"Options: {', '.join(names)}.")
        if setting.value is not None:
            check_option(setting.key, setting.value, names)

    @contextmanager
    def _placed(self, setting: Setting) -> Iterator[None]:
        """Add file and line to the message about a setting."""
        try:
            yield
        except InputError as error:
            raise error if error.path is not None else InputError(str(error), path=self.path, line=setting.line) from None
