"""Checks overrides before Hydra composes them. Messages name the nearest key or option of all folders that Hydra searches."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hydra
import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.programs.config.command_line import PROJECT_FILE, quoted
from clinspan.programs.config.installed_options import installed_folders
from clinspan.programs.config.privacy import refuse_secret
from clinspan.programs.config.project_source import ProjectConfigs, ProjectSource

_FREE_KEYS = (
    "corpus.definitions.",
    "corpus.map.",
    "corpus.rules.",
    "model.parameters.",
    "model.chat_options.",
    "reflection_model.parameters.",
)
"""Prefixes below which users choose the names of keys."""
_OPTIONAL = ("experiment", "reflection_model")
"""Groups without which the commands work."""
_MOST = 30  # names in a message


class ConfigFolder(SearchPathPlugin):
    """Adds a folder to the search path where Hydra does, for configs that are composed outside of `hydra.main`.

    The folders of installed packages are always added, before it. What the project file sets comes before all other folders.

    Attributes:
        folder: The folder of `--config-dir`; None: no other folder.
    """

    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if ProjectConfigs.instance().files:
            search_path.prepend(provider="project", path=f"{ProjectSource.scheme()}://{PROJECT_FILE}")
        for folder in installed_folders():
            search_path.append(provider="installed", path=f"file://{folder}")
        if self.folder is not None:
            search_path.append(provider="command-line", path=f"file://{self.folder.absolute()}")


@contextmanager
def searching(folder: Path | None = None) -> Iterator[ConfigLoader]:
    """Hydra, initialized for `conf/` and another folder.

    Raises:
        InputError: The other folder does not exist, or a config that is read meanwhile is not valid YAML or refused by Hydra with
            another error than its own. Only for code that reads no texts, since the message of that error is repeated.
    """
    if folder is not None and not folder.is_dir():
        raise InputError("is not a folder", path=folder, remedy="Give --config-dir a folder of configs.")
    Plugins.instance().register(ConfigFolder)
    Plugins.instance().register(ProjectSource)
    ConfigFolder.folder = folder
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"), plain_errors():
            yield GlobalHydra.instance().config_loader()
    finally:
        ConfigFolder.folder = None


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the errors of Hydra that are no `HydraException` into an `InputError` with the same message on one line."""
    try:
        yield
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = {} if mark is None else {"path": mark.name, "line": mark.line + 1}
        raise InputError(f"is not valid YAML ({error.problem})", **where) from None
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from None


def check_words(config_name: str, words: Sequence[str], folder: Path | None = None) -> list[str]:
    """Refuse an override whose key or option does not exist.

    Args:
        config_name: The primary config.
        words: The overrides.
        folder: The folder of `--config-dir`.

    Returns:
        The overrides for Hydra: it does not accept `experiment=null` but `experiment=[]`, and records no choice for `model=[name]`.

    Raises:
        HydraException: Hydra cannot compose the chosen options.
        InputError: There is such an override; the message names the nearest valid name, if one is close.
    """
    for word in words:
        refuse_secret(word)
        _check_readable(word)
    with searching(folder) as loader:
        places = [word for word in words if word.startswith("hydra.searchpath=")]
        own, chosen, keys = [], [], []
        for override in OverridesParser.create().parse_overrides(list(words)):
            group = override.key_or_group
            names = loader.get_group_options(group, config_name=config_name, overrides=places)
            if not names or override.is_delete() or isinstance(override.value(), dict):
                own.append(str(override.input_line))
                keys += [] if override.is_delete() or re.match(r"hydra\b", group) else [group]
                continue
            for option in (options := _options(override, names)):
                check_option(group, option, _beside(loader, group, option, config_name, places) if "/" in option else names)
            own.append(_accepted(override, options))
            chosen += [f"{override.get_key_element()}={options[0]}"] if options and not group.startswith("hydra/") else []
        composed = hydra.compose(config_name, overrides=[*places, *chosen], return_hydra_config=True)
    known = _keys(OmegaConf.to_container(composed, resolve=False)) | set(composed.hydra.runtime.choices)
    for key in keys:
        check_key(key, sorted(name for name in known if not re.match(r"(hydra|_project)\b", name)))
    return own


def keys_of(config_name: str, choices: Sequence[str]) -> dict[str, bool]:
    """The dotted keys of a command's config, each with whether it holds further keys. Call it within `searching`."""
    keys = _keys(OmegaConf.to_container(hydra.compose(config_name, overrides=list(choices)), resolve=False))
    parents = {key.rpartition(".")[0] for key in keys}
    return {key: key in parents for key in keys}


def _check_readable(word: str) -> None:
    """Refuse an override that Hydra cannot parse.

    Raises:
        InputError: Hydra cannot parse it; the message says how to quote the value.
    """
    if "=" not in word and not word.startswith("~"):
        raise InputError(f"{word!r} is not an override", remedy="Write overrides as key=value.")
    why, remedy = "it is not of the form key=value", "Write overrides as key=value."
    try:
        if not OverridesParser.create().parse_override(word).key_or_group:
            raise InputError(f"{word!r} cannot be read: it has no key", remedy=remedy)
    except HydraException as error:
        key, _, value = word.partition("=")
        if "while evaluating" in str(error) and "Unknown function" not in str(error):  # of a function such as choice()
            why, remedy = " ".join(str(error).split()), ""
        elif marks := "".join(dict.fromkeys(mark for mark in value if mark in "=()[]{}:,\\'\"$*@! ")):
            why = f"its value has characters that Hydra interprets ({marks})"
            remedy = f"Put the value in quotation marks that the shell keeps: '{key}={quoted(value.strip(chr(34) + chr(39)))}'"
        raise InputError(f"{word!r} cannot be read: {why}", remedy=remedy) from None


def _options(override: Override, names: Sequence[str]) -> list[str]:
    """The options that an override of a group chooses, or that a sweep chooses from. Those of an interpolation are not known.

    Raises:
        InputError: None match the pattern of a sweep, or the group is to have no option, although the commands need one.
    """
    group, value = override.key_or_group, override.value()
    if isinstance(value, Glob):
        if not (found := value.filter(list(names))):
            raise InputError(f"no option matches {override.input_line}", remedy=_listed("Known", names))
        return found
    if override.is_sweep_override() and not override.is_discrete_sweep():
        return []  # the sweeper refuses it or knows what it means
    texts = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.get_value_element_as_str()]
    if "null" in texts and group not in _OPTIONAL:
        problem = f"{group}=null chooses nothing: Config group override must be a string or a list. Got NoneType"
        raise InputError(problem, remedy=_listed("Options", names))
    parts = [part.strip("'\" ") for text in texts if text not in ("null", "[]") for part in text.strip("[]").split(",")]
    return [part.removesuffix(".yaml") for part in parts if "${" not in part]


def _accepted(override: Override, options: Sequence[str]) -> str:
    """An override of a group in the form that Hydra accepts and records. Its patterns do not find options of `hydra.searchpath`."""
    key, mark, value = str(override.input_line).partition("=")
    if isinstance(override.value(), Glob):
        return f"{key}=choice({','.join(options)})"
    value = re.sub(r"(?:^|(?<=,))\s*null\s*(?=,|$)", "[]", value)
    return key + mark + re.sub(r"^\[\s*([\w./-]+)\s*\]$", r"\1", value)


def _beside(loader: ConfigLoader, group: str, option: str, config_name: str, places: list[str]) -> list[str]:
    """The options in the sub-folder of a group that an option names, as in `strategy=mine/few_shot`."""
    inner = option.rpartition("/")[0]
    names = loader.get_group_options(f"{group}/{inner}", config_name=config_name, overrides=places)
    return [f"{inner}/{name}" for name in names]


def check_option(group: str, option: str, names: Sequence[str]) -> None:
    """Refuse an option that a group does not have.

    Args:
        group: The group.
        option: The option.
        names: All options of the group.

    Raises:
        InputError: It is not among them; the message names the nearest one, if one is close.
    """
    if option in names:
        return
    near = difflib.get_close_matches(option, names, n=1, cutoff=0.5)
    remedy = f"Did you mean {group}={near[0]}?" if near else _listed("Known", names)
    if group == "hydra/launcher" and option.partition("_")[0] in ("joblib", "submitit"):
        remedy = "The launchers joblib and submitit come with: pip install 'clinspan[sweep]'"
    raise InputError(f"there is no {group}={option}", remedy=remedy)


def check_key(key: str, known: Sequence[str]) -> None:
    """Refuse a key that the config does not have.

    Raises:
        InputError: It is not among the known ones; the message names those of the same name or the nearest one.
    """
    if key in known or key.startswith(_FREE_KEYS):
        return
    parent, _, name = key.rpartition(".")
    public = [other for other in known if not other.rpartition(".")[2].startswith("_")]
    beside = {other.rpartition(".")[2]: other for other in public if other.rpartition(".")[0] == parent}
    near = [] if parent in known else difflib.get_close_matches(key, public, n=1, cutoff=0.75)
    near = near or [other for other in public if other.rpartition(".")[2] == name][:3]
    near = near or [beside[other] for other in difflib.get_close_matches(name, beside, n=1)]
    remedy = "--help-all lists the settings, --cfg job the keys of the chosen options."
    if near:
        remedy = f"Did you mean {' or '.join(near)}?"
    elif parent in known:
        remedy = _listed(f"Keys of {parent}", list(beside))
    raise InputError(f"there is no {key}", remedy=remedy)


def _listed(title: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{title}: {', '.join(names[:_MOST])}{more}."


def _keys(value: Any, prefix: str = "") -> set[str]:
    """All dotted keys of a config, including those below free-form keys."""
    if not isinstance(value, Mapping):
        return set()
    inner = [_keys(value[key], f"{prefix}{key}.") for key in value]
    return {f"{prefix}{key}" for key in value}.union(*inner)
