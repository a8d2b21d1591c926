"""Hydra configs: composing them, building what they describe, and messages for errors in them."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from clinspan.conf import CONF
from clinspan.corpora import check_number, Corpus, InputError
from clinspan.corpora.printable import printable
from clinspan.lms import ModelError
from clinspan.programs.config.command_line import quoted
from clinspan.programs.config.overrides import check_option, check_words, ConfigFolder, searching
from clinspan.programs.config.own_modules import find_module, find_modules
from clinspan.programs.config.project_source import ProjectSource, without_project
from clinspan.programs.rundir.errors import RunError
from hydra_plugins.clinspan_cells_sweeper.cells_sweeper import CellsSweeper
from hydra_plugins.clinspan_ray_launcher.ray_launcher import RayLauncher

PLUGINS = (CellsSweeper, RayLauncher, ConfigFolder, ProjectSource)
"""Our Hydra plugins. They are imported before Hydra's plugin search, which would load them outside `sys.modules`."""
USER_ERRORS = (InputError, ModelError, RunError)
_COUNTS = ("dev_limit", "last", "limit", "limit_documents", "repeats", "samples", "stop_after", "train_limit")
_FOLDERS = ". Further folders are searched with --config-dir=DIR or hydra.searchpath=[DIR]"
_HIGHEST_SEED = 2**32 - 2  # the limit of NumPy's generators and of MIPROv2, which adds one


def explain(error: BaseException) -> str:
    """The message for an error: that of the first `USER_ERRORS` in its chain of causes, otherwise Hydra's text on one line."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        if isinstance(current, USER_ERRORS):
            return str(current)
        seen.append(current)
        current = current.__cause__ or current.__context__
    text = str(seen[-1] if isinstance(seen[-1], TypeError) else error)
    refused = re.search(r"unexpected keyword argument '(\w+)'", " ".join(map(str, seen)))
    if refused:
        where = re.search(r"full_key: (\S+)", str(error))
        return f"unknown key {str(where[1]) + '.' if where else ''}{refused[1]}: --cfg job shows the keys of the chosen options"
    return " ".join(re.sub(r"\.?\s*Config search path:.*", _FOLDERS, text, flags=re.S).split())


def check_numbers(config: DictConfig) -> None:
    """Refuse a seed or a count outside its range before anything is loaded or paid for.

    Raises:
        InputError: A number is out of range; the message names the key and its range.
    """
    if "seed" in config:
        check_number("seed", config.seed, 0, most=_HIGHEST_SEED)
    for key in _COUNTS:
        if config.get(key) is not None:
            trains = key == "dev_limit" and "tuning" in config  # a training may run without dev sentences
            check_number(key, config[key], 0 if trains else 1)


def compose(config_name: str, words: Sequence[str]) -> tuple[DictConfig, dict[str, str], frozenset[str]]:
    """Compose the config of a command outside of that command, for use as a library.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        words: Overrides as on the command line.

    Returns:
        The config, the option of each group, and the keys and groups that the words set.

    Raises:
        InputError: A word is not an override, or names an unknown key or option.
    """
    try:
        accepted = check_words(config_name, words)
        with searching():
            composed = hydra.compose(config_name, overrides=accepted, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None
    chosen = options_of(composed.hydra)
    with open_dict(composed):
        del composed["hydra"]
    return composed, chosen, frozenset(keys_of(accepted))


def options_of(own: Any) -> dict[str, str]:
    """The chosen option of each group, from Hydra's own part of a config."""
    return {key: value for key, value in own.runtime.choices.items() if not key.startswith(("hydra/", "_project/")) and value}


def keys_of(overrides: Sequence[str]) -> set[str]:
    """The keys and groups that overrides set."""
    return {word.key_or_group for word in OverridesParser.create().parse_overrides(list(overrides))}


def build(config: Any, **arguments: Any) -> Any:
    """Build the object that a config describes by `_target_`. Lists and dictionaries become plain ones.

    Raises:
        InputError: The config has a key that the class does not take, or lacks one that it needs.
    """
    find_modules(config)
    builder = hydra.utils.instantiate(config, _convert_="all", _partial_=True)
    signature = inspect.signature(builder.func)
    try:
        signature.bind(*builder.args, **{**builder.keywords, **arguments})
    except TypeError as error:
        remedy = f"Its settings: {', '.join(key for key in signature.parameters if key not in arguments)}."
        raise InputError(f"the settings of {builder.func.__name__} do not fit it: {error}", remedy=remedy) from None
    return builder(**arguments)


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """The settings of a config as plain values, as `run.json` has them."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def load_corpus(config: DictConfig) -> Corpus:
    """Load the corpus that the config names. What was not read or may be no entity is reported on standard error."""
    corpus: Corpus = build(config.corpus).load()
    for remark in _remarks(corpus, keeps_triggers=config.corpus.get("triggers") == "keep"):
        print(f"clinspan: corpus {printable(corpus.name)}: {printable(remark)}", file=sys.stderr)
    return corpus


def _remarks(corpus: Corpus, *, keeps_triggers: bool) -> list[str]:
    remarks = []
    if corpus.passed_over:
        remarks.append("not read: " + ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in sorted(corpus.passed_over.items())))
    acts = {act for counts in corpus.conversion.values() for act in counts}
    types = sorted(act.removeprefix("trigger_") for act in acts if act.startswith("trigger_"))
    if types and keeps_triggers:
        remedy = "corpus.triggers=drop leaves these annotations out, corpus.map={TYPE: null} those of one type"
        remarks.append(f"triggers of events are read as entities: {', '.join(types)}. {remedy}")
    return remarks


def is_sweep() -> bool:
    """Whether this is a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def folder_path(value: object) -> Path:
    """The path in a config value. The value may be a number, since Hydra parses a name of digits as one."""
    return Path(str(value)).expanduser()


def object_of(target: str) -> Any:
    """The class or function that a `_target_` of `conf/` names."""
    find_module(target)
    return hydra.utils.get_object(target)


def output_folder() -> Path:
    """The folder that Hydra chose for this job."""
    return Path(HydraConfig.get().runtime.output_dir)


def chosen_options() -> dict[str, str]:
    """The chosen option of each group; empty outside a command."""
    return options_of(HydraConfig.get()) if HydraConfig.initialized() else {}


def overridden_keys() -> set[str]:
    """The keys and groups that the user has set; empty outside a command."""
    return keys_of(HydraConfig.get().overrides.task) if HydraConfig.initialized() else set()


def compose_here(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a command's config from the config folders of the running command or, outside a command, from `conf/` alone.

    The project file has no part in it.

    Raises:
        InputError: An override names an unknown key or option.
    """
    try:
        if GlobalHydra.instance().is_initialized():
            with without_project():
                return hydra.compose(config_name, overrides=[*_search_path(), *overrides])
        with searching():
            return hydra.compose(config_name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None


def _search_path() -> list[str]:
    """The override that lets a config be composed from the same folders as the running command's (`hydra.searchpath`)."""
    folders = HydraConfig.get().searchpath if HydraConfig.initialized() else []
    return [f"hydra.searchpath=[{','.join(map(quoted, folders))}]"] if folders else []


def group_option(group: str, option: str) -> DictConfig:
    """The config of one option of a group, from `conf/` or from the user's folders (`--config-dir`, `hydra.searchpath`).

    Raises:
        InputError: There is no such option.
    """
    loader = GlobalHydra.instance()
    folders = str(loader.config_loader().get_search_path()) if loader.is_initialized() else str(CONF)
    content = OmegaConf.create(_group_option(group, option, (folders, *_search_path())))
    assert isinstance(content, DictConfig)
    return content


@functools.lru_cache(maxsize=256)
def _group_option(group: str, option: str, folders: tuple[str, ...]) -> dict[str, Any]:
    if GlobalHydra.instance().is_initialized():
        names = GlobalHydra.instance().config_loader().get_group_options(group, overrides=list(folders[1:]))
    else:
        with searching() as loader:
            names = loader.get_group_options(group)
    check_option(group, option, names)
    content = OmegaConf.to_container(compose_here("run", [f"{group}={option}"])[group])
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
