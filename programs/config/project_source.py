"""Gives the settings of the project file to Hydra, below experiments and the command line in precedence, and says them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.experimental.callback import Callback
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.config.command_line import PROJECT_FILE
from clinspan.programs.config.project_file import groups_of, Setting

_SOURCES = ("path", "name", "config", "revision", "knowledge", "url")
"""Keys that say which texts a group is about."""


class ProjectConfigs(metaclass=Singleton):
    """The configs that the project file adds. Hydra's launchers copy singletons into the processes of jobs.

    Attributes:
        files: Configs by their path, without their suffix.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, Any]] = {}

    @staticmethod
    def instance() -> ProjectConfigs:
        """The only instance."""
        found = Singleton.instance(ProjectConfigs)
        assert isinstance(found, ProjectConfigs)
        return found


@contextmanager
def without_project() -> Iterator[None]:
    """Compose configs without the project file: those that a saved program or run describes."""
    configs = ProjectConfigs.instance()
    files, configs.files = configs.files, {}
    try:
        yield
    finally:
        configs.files = files


class ProjectSource(ConfigSource):
    """A place of configs in Hydra's search path: those of `ProjectConfigs`."""

    @staticmethod
    def scheme() -> str:
        return "project"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        return config_path.removesuffix(".yaml") in ProjectConfigs.instance().files

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        content = ProjectConfigs.instance().files[config_path.removesuffix(".yaml")]
        header: dict[str, str | None] = {"package": None}
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(content), header)


class ProjectSettings(Callback):
    """Hydra callback in the process that was started: says once which settings of the project file apply."""

    def __init__(self, command: str, settings: Sequence[Mapping[str, Any]]) -> None:
        del command, settings  # they are read from the config, as in the processes of jobs

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        self._say(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        self._say(config)

    def _say(self, config: DictConfig) -> None:
        brought = _brought(config)
        words = [setting.word for setting in _applied(config, config.hydra) if setting.key.partition(".")[0] not in brought]
        if words:
            print(printable(f"clinspan: settings of {PROJECT_FILE}: {' '.join(words)}"), file=sys.stderr)


def _brought(config: DictConfig) -> tuple[str, ...]:
    """Keys and groups whose values a program brings, if the config names one."""
    if config.get("program") is None:
        return ()
    from clinspan.programs.tagging.saved_program import GROUPS, PLAIN, RETRIEVER

    return (*GROUPS, RETRIEVER, "prompt", *PLAIN)


def project_settings(config: DictConfig) -> list[Setting]:
    """The settings of the project file that apply to this job; none outside a command."""
    return _applied(config, HydraConfig.get()) if HydraConfig.initialized() else []


def project_record(config: DictConfig) -> dict[str, Any]:
    """The entry `project` of a run's record: the settings of the project file that apply."""
    brought = _brought(config)
    return {one.key: one.value for one in project_settings(config) if one.key.partition(".")[0] not in brought}


def _applied(config: DictConfig, own: Any) -> list[Setting]:
    """The settings that neither the command line nor an experiment replaces.

    Args:
        config: The config of a job.
        own: Hydra's own part of it.
    """
    callback: Any = own.callbacks.get("project")
    if callback is None:
        return []
    callback = OmegaConf.to_container(callback)
    settings = [Setting(**one) for one in callback["settings"]]
    words = OverridesParser.create().parse_overrides(list(own.overrides.task))
    given = {word.key_or_group for word in words}
    groups, choices = groups_of(callback["command"]), own.runtime.choices
    chosen = {**groups, **{setting.key: setting.value for setting in settings if setting.key in groups}}
    found = []
    for setting in settings:
        group = setting.key.partition(".")[0]
        replaced = setting.key in given or (group in groups and choices.get(group) != chosen[group])
        if setting.key in groups or (not replaced and OmegaConf.select(config, setting.key) == setting.value):
            found += [] if replaced else [setting]
    return found


@contextmanager
def placed(config: DictConfig) -> Iterator[None]:
    """Add file and line to the message about a value that comes from the project file.

    Raises:
        InputError: The enclosed check has refused a value.
    """
    try:
        yield
    except InputError as error:
        for setting in project_settings(config):
            if error.path is None and str(error).startswith(f"{setting.key}="):
                raise InputError(str(error), path=PROJECT_FILE, line=setting.line) from None
        raise


def check_protection(config: DictConfig, option: Any) -> None:
    """Refuse `phi: false` of the project file for other texts than those that the file names.

    Args:
        config: The config of a job.
        option: Gives the config of a group's option, by the names of both.

    Raises:
        InputError: The command names other texts; the message says how to go on.
    """
    settings = {setting.key: setting for setting in project_settings(config)}
    for key, setting in settings.items():
        group, _, name = key.rpartition(".")
        if name != "phi" or setting.value is not False or group not in HydraConfig.get().runtime.choices:
            continue
        plain = option(group, HydraConfig.get().runtime.choices[group])
        for source in _SOURCES:
            expected = settings[f"{group}.{source}"].value if f"{group}.{source}" in settings else plain.get(source)
            if source in plain and config[group].get(source) != expected:
                problem = f"{key}=false is said of other texts than {group}.{source}={config[group].get(source)}"
                remedy = f"Say {key}=false or {key}=true on the command line too."
                raise InputError(problem, path=Path(PROJECT_FILE), line=setting.line, remedy=remedy)
