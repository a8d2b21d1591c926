"""Hydra configs: overrides are checked before composition, and errors name the nearest valid key."""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from clinspan.corpora import check_number, Corpus, InputError
from clinspan.corpora.printable import printable
from clinspan.lms import ModelError
from clinspan.programs.app.privacy import refuse_secret
from clinspan.programs.rundir.errors import RunError
from hydra_plugins.clinspan_cells_sweeper.cells_sweeper import CellsSweeper
from hydra_plugins.clinspan_ray_launcher.ray_launcher import RayLauncher

PLUGINS = (CellsSweeper, RayLauncher)
"""Our Hydra plugins. They are imported before Hydra's plugin search, which would load them outside `sys.modules`."""
CONF = Path(__file__).resolve().parents[2] / "conf"
USER_ERRORS = (InputError, ModelError, RunError)
_COUNTS = ("dev_limit", "limit", "repeats", "samples", "stop_after", "train_limit")
_FREE_KEYS = ("corpus.definitions.", "model.parameters.", "model.chat_options.", "reflection_model.parameters.")
"""Prefixes below which users choose the names of keys."""
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
        return f"unknown key {str(where[1]) + '.' if where else ''}{refused[1]}: see conf/ for the keys of each choice"
    if "Could not find 'hydra/launcher/" in text:
        text += ". The launchers joblib and submitit come with: pip install --editable '.[sweep]'"
    return " ".join(text.split())


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


def check_words(config_name: str, words: Sequence[str]) -> None:
    """Refuse an override whose key or option does not exist.

    Raises:
        InputError: There is such an override; the message names the nearest valid name, if one is close.
    """
    overrides = [word for word in words if not word.startswith("-") and "=" in word]
    for word in overrides:
        refuse_secret(word)
        _check_readable(word)
    stray = [word for word in words if not word.startswith("-") and "=" not in word and not word.startswith("~")]
    for i, word in enumerate(words):
        if word.startswith("-") and i + 1 < len(words) and words[i + 1] in stray:
            stray.remove(words[i + 1])  # the value of an option such as --config-dir
    if stray:
        raise InputError(f"{stray[0]!r} is not an override", remedy="Write overrides as key=value.")
    if any(word.startswith(("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")) for word in words):
        return  # other folders have other names, so Hydra itself checks
    folders = [path for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml"))]
    groups = {path.name: sorted(file.stem for file in path.glob("*.yaml")) for path in folders}
    chosen, keys = [], []
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group.lstrip("+~")
        if key not in groups:
            keys += [] if key.split(".")[0] == "hydra" or key.startswith("hydra/") else [key]
            continue
        text = str(override.input_line).partition("=")[2]
        options = [] if "(" in text else [option.strip("'\"[] ") for option in text.split(",")]  # Hydra expands glob(*)
        for option in options:
            _known(option, groups[key], f"{key}=")
        chosen += [f"{key}={options[0]}"] if options else []
    known = _keys(config_name, chosen)
    for key in keys:
        _known(key, sorted({*known, *groups}), "")


def _check_readable(word: str) -> None:
    """Refuse an override that Hydra cannot parse.

    Raises:
        InputError: Hydra cannot parse it; the message says how to quote the value.
    """
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        key, _, value = word.partition("=")
        quoted = '"' + value.strip("\"'").replace("\\", "\\\\").replace('"', '\\"') + '"'
        marks = "".join(dict.fromkeys(mark for mark in value if mark in "=()[]{}:,\\'\"$*@! "))
        why, remedy = "it is not of the form key=value", "Write overrides as key=value."
        if marks:
            why = f"its value has characters that Hydra interprets ({marks})"
            remedy = f"Put the value in quotation marks that the shell keeps: '{key}={quoted}'"
        raise InputError(f"{word!r} cannot be read: {why}", remedy=remedy) from None


def _known(word: str, names: Sequence[str], prefix: str) -> None:
    if word in names or word == "null" or not word or word.startswith(_FREE_KEYS):
        return
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    parent = word.rpartition(".")[0]
    beside = [name for name in names if name.rpartition(".")[0] == parent and not name.rpartition(".")[2].startswith("_")]
    listed = beside or [name for name in names if "." not in name]
    remedy = f"Did you mean {prefix}{near[0]}?" if near else f"Known: {', '.join(listed)}."
    raise InputError(f"there is no {prefix}{word}", remedy=remedy)


def _keys(config_name: str, chosen: Sequence[str]) -> set[str]:
    """All dotted keys of the config that these choices compose, including those that are set below free-form keys."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose(config_name, overrides=list(chosen))
    keys: set[str] = set()

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                keys.add(f"{prefix}{key}")
                walk(f"{prefix}{key}.", inner)

    walk("", OmegaConf.to_container(composed, resolve=False))
    return keys


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
    check_words(config_name, words)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            composed = hydra.compose(config_name, overrides=list(words), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(error)) from None
    chosen = {key: value for key, value in composed.hydra.runtime.choices.items() if not key.startswith("hydra/") and value}
    keys = {word.key_or_group.lstrip("+~") for word in OverridesParser.create().parse_overrides(list(words))}
    with open_dict(composed):
        del composed["hydra"]
    return composed, chosen, frozenset(keys)


def build(config: Any, **arguments: Any) -> Any:
    """Build the object that a config describes by `_target_`. Lists and dictionaries become plain ones."""
    return hydra.utils.instantiate(config, _convert_="all", _partial_=True)(**arguments)


def load_corpus(config: DictConfig) -> Corpus:
    """Load the corpus that the config names. Files beside it that are not read are reported on standard error."""
    corpus: Corpus = build(config.corpus).load()
    if corpus.passed_over:
        counts = ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in sorted(corpus.passed_over.items()))
        print(f"clinspan: corpus {printable(corpus.name)}: not read: {printable(counts)}", file=sys.stderr)
    return corpus


def folder_path(value: object) -> Path:
    """The path in a config value. The value may be a number, since Hydra parses a name of digits as one."""
    return Path(str(value)).expanduser()


def object_of(target: str) -> Any:
    """The class or function that a `_target_` of `conf/` names."""
    return hydra.utils.get_object(target)


def output_folder() -> Path:
    """The folder that Hydra chose for this job."""
    return Path(HydraConfig.get().runtime.output_dir)


def chosen_options() -> dict[str, str]:
    """The chosen option of each group; empty outside a command."""
    if not HydraConfig.initialized():
        return {}
    return {key: value for key, value in HydraConfig.get().runtime.choices.items() if not key.startswith("hydra/") and value}


def overridden_keys() -> set[str]:
    """The keys and groups that the user has set; empty outside a command."""
    if not HydraConfig.initialized():
        return set()
    words = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return {word.key_or_group.lstrip("+~") for word in words}


def compose_here(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a command's config from the config folders of the running command or, outside a command, from `conf/` alone.

    Raises:
        InputError: An override names an unknown key or option.
    """
    try:
        if GlobalHydra.instance().is_initialized():
            return hydra.compose(config_name, overrides=list(overrides))
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose(config_name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None


def group_option(group: str, option: str) -> DictConfig:
    """The config of one option of a group, from `conf/` or from the user's folder (`--config-dir`).

    Raises:
        InputError: There is no such option.
    """
    loader = GlobalHydra.instance()
    folders = str(loader.config_loader().get_search_path()) if loader.is_initialized() else str(CONF)
    content = OmegaConf.create(_group_option(group, option, folders))
    assert isinstance(content, DictConfig)
    return content


@functools.lru_cache(maxsize=256)
def _group_option(group: str, option: str, folders: str) -> dict[str, Any]:
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if GlobalHydra.instance().is_initialized():
        names = GlobalHydra.instance().config_loader().get_group_options(group)
    _known(option, names, f"{group}=")
    content = OmegaConf.to_container(compose_here("run", [f"{group}={option}"])[group])
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
