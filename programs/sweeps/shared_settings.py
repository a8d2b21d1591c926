"""What is checked and said once for a command: settings that all jobs of a sweep share, and what a preset of one job means."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.corpora.source_settings import data_folder
from clinspan.programs.config.composition import folder_path, group_option
from clinspan.reports.paper.paper_cells import paper_cell

CELL = "cell"
_LOCAL = ("basic", "joblib")
"""Launchers whose jobs see the files of this machine."""
_BASES = ("bundled", "hpo")


def check_shared(config: DictConfig) -> None:
    """Refuse a sweep whose jobs would all fail for one reason: the corpus or the knowledge base is not given or not there.

    Args:
        config: The config that the jobs of the sweep share, with Hydra's own part.

    Raises:
        InputError: Such a setting is missing, or its folder does not exist.
    """
    swept = {key for key, values in _swept(config).items() if values}
    if "corpus" in config and not swept & {"corpus", "corpus.path"}:
        _check_corpus(config)
    if "retriever" in config and not swept & {"corpus", "retriever", "retriever.knowledge", "program"}:
        _check_knowledge(config)


def _check_corpus(config: DictConfig) -> None:
    choice = str(config.hydra.runtime.choices.get("corpus"))
    if "path" not in config.corpus or choice == "hf":  # the name of a dataset on the hub
        return
    path = data_folder(config.corpus.path, choice)
    if not path.exists() and _is_local(config):
        raise InputError("there is no such file or folder", path=path, remedy="Set corpus.path to your copy of the corpus.")


def _check_knowledge(config: DictConfig) -> None:
    strategies = _swept(config).get("strategy") or [str(config.hydra.runtime.choices.get("strategy"))]
    retrieving = [name for name in strategies if _retrieves(config, name)]
    knowledge, choice = config.retriever.get("knowledge", ""), config.hydra.runtime.choices.get("corpus")
    if not retrieving or config.get("program") is not None:
        return
    if knowledge is None and choice != "raremini":
        problem = f"strategy={retrieving[0]} retrieves passages, and no knowledge base is named"
        others = [name for name in strategies if name not in retrieving]
        leave_out = f" strategy={','.join(others)} leaves these jobs out." if others else ""
        raise InputError(problem, remedy=f"Set retriever.knowledge=FOLDER (your .txt and .md files).{leave_out}")
    if knowledge and knowledge not in _BASES and not folder_path(knowledge).is_dir() and _is_local(config):
        remedy = f"Set retriever.knowledge to a folder of .txt or .md files, or to {' or '.join(_BASES)}."
        raise InputError("there is no such folder", path=folder_path(knowledge), remedy=remedy)


def _retrieves(config: DictConfig, strategy: str) -> bool:
    if strategy == config.hydra.runtime.choices.get("strategy"):
        return bool(config.strategy.get("context") == "retrieved")
    try:
        return bool(group_option("strategy", strategy).get("context") == "retrieved")
    except InputError:  # an option of `hydra.searchpath`, which each job finds itself
        return False


def _is_local(config: DictConfig) -> bool:
    return config.hydra.runtime.choices.get("hydra/launcher") in _LOCAL


def _swept(config: DictConfig) -> dict[str, list[str]]:
    """Keys and groups whose value differs between jobs or is set by the sweeper, with their values as far as they can be listed.

    The user's own words take precedence over those of the sweeper.
    """
    found: dict[str, list[str]] = {}
    parser = OverridesParser.create()
    sweeper = config.hydra.sweeper
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    cells = [word for cell in sweeper.get("cells") or () for word in str(cell).split() if "{" not in word]
    given = parser.parse_overrides([str(word) for word in config.hydra.overrides.task])
    own = {override.get_key_element().lstrip("+~") for override in given}
    for override in parser.parse_overrides([*params, *cells]):
        if override.get_key_element() not in own:
            found.setdefault(override.get_key_element(), []).extend(_values(override))
    for override in given:
        if override.is_sweep_override():
            found[override.get_key_element().lstrip("+~")] = list(_values(override))
    return {key: list(dict.fromkeys(values)) for key, values in found.items()}


def _values(override: Override) -> Iterator[str]:
    if not override.is_sweep_override():
        yield override.get_value_element_as_str()
    elif override.is_discrete_sweep():
        yield from override.sweep_string_iterator()
    else:
        yield override.get_value_element_as_str()


def preset_lines(config: DictConfig, *, sweep: bool) -> list[str]:
    """What `experiment=cell` means: the command line without the preset, and a remark if the paper has no such cell.

    Args:
        config: The config of the run or sweep, with Hydra's own part.
        sweep: Whether several jobs run.
    """
    choices = config.hydra.runtime.choices
    if choices.get("experiment") != CELL:
        return []
    given = [str(word) for word in config.hydra.overrides.task if not str(word).startswith("experiment=")]
    keys = {word.partition("=")[0] for word in given}
    words = given + [word for word in preset_words(CONF / "experiment" / f"{CELL}.yaml") if word.partition("=")[0] not in keys]
    command = ["python", "-m", f"programs.{config.hydra.job.name}", *(["-m"] if sweep else []), *words]
    lines = [f"experiment={CELL} is: {shlex.join(command)}"]
    if not sweep and not paper_cell(str(choices.get("model")), str(choices.get("strategy"))):
        lines.append(f"model={choices.get('model')} strategy={choices.get('strategy')} is not a cell of the paper")
    return lines


def preset_words(path: Path) -> list[str]:
    """The overrides that an experiment file of one job stands for."""
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    defaults: Sequence[Mapping[str, str]] = content.pop("defaults", ())
    chosen = [f"{key.split('/', 1)[-1]}={option}" for entry in defaults for key, option in entry.items()]
    return chosen + [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in content.items()]
