"""The project file `clinspan.yaml`: settings for every command that is started in its folder. Hydra is not imported.

The file maps keys to values as the command line does: `corpus: brat` chooses an option, `corpus.path: notes` sets one of its keys.
It is read without being named, so it can name neither code nor another machine, and give no permission.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.corpora.errors import read_text
from clinspan.lms.remote.hosts import hosts_outside
from clinspan.programs.config.privacy import refuse_secret

FREE = ("definitions", "map", "rules", "parameters", "chat_options")
"""Mappings whose keys are the user's own."""
_PERMISSIONS = ("allow_remote", "allow_http", "phi")
_ADDRESSES = ("api_base", "uri", "url")
_ONE_CALL = ("resume", "delete", "rename", "yes", "runs", "folders", "debug")
_MOST = 40  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Setting:
    """A line of the project file.

    Attributes:
        key: A dotted key, or a group.
        value: The value, or the name of the group's option.
        line: The line, counted from 1.
    """

    key: str
    value: Any
    line: int

    @property
    def word(self) -> str:
        """The setting as an override, cut if it is long.

        >>> Setting("corpus.labels", ["Drug", "Dose"], 1).word, Setting("limit", None, 2).word, Setting("name", "a", 3).word
        ('corpus.labels=[Drug,Dose]', 'limit=null', 'name=a')
        """
        text = json.dumps(self.value, ensure_ascii=False, separators=(",", ":")).replace('"', "")
        return f"{self.key}={text if len(text) <= _MOST else text[:_MOST] + '...'}"


def read_project(path: Path) -> list[Setting]:
    """The settings of a project file, in its order.

    Raises:
        InputError: The file is not a YAML mapping, a key appears twice, or a setting may not come from such a file.
    """
    text = read_text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"is not valid YAML ({error.problem})", path=path, line=mark.line + 1 if mark else None) from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise InputError("is not a mapping", path=path, line=1, remedy="Write each setting as key: value.")
    found: dict[str, Setting] = {}
    for setting in _flat(root, _values(text, path), path):
        if setting.key in found:
            raise InputError(f"{setting.key} is set twice", path=path, line=setting.line, remedy="Keep one of the two lines.")
        _check(setting, path)
        found[setting.key] = setting
    return list(found.values())


def _values(text: str, path: Path) -> Mapping[Any, Any]:
    """The file's values, of the types that configs have (`1e-3` is a number)."""
    try:
        values = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"is not valid YAML ({error.problem})", path=path, line=mark.line + 1 if mark else None) from None
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(f"cannot be read ({type(error).__name__})", path=path, remedy="Write settings as key: value.") from None
    assert isinstance(values, Mapping)
    return values


def _flat(node: yaml.MappingNode, values: Mapping[Any, Any], path: Path, prefix: str = "") -> Iterator[Setting]:
    """The settings below a mapping by their dotted keys. Mappings whose keys are the user's own stay values."""
    for (name, inner), (key, value) in zip(node.value, values.items(), strict=True):
        dotted, line = f"{prefix}{key}", name.start_mark.line + 1
        if not isinstance(key, str) or any(not part or part.startswith("_") for part in key.split(".")):
            problem = f"{dotted} is not the key of a setting"
            raise InputError(problem, path=path, line=line, remedy="Keys: see --help-all and --cfg job; classes are options.")
        if isinstance(inner, yaml.MappingNode) and inner.value and dotted.rpartition(".")[2] not in FREE:
            yield from _flat(inner, value, path, f"{dotted}.")
        else:
            yield Setting(dotted, value, line)


def _check(setting: Setting, path: Path) -> None:
    """Refuse a setting that names code or another machine, holds a secret, gives a permission, or is about a single call."""
    place: dict[str, Any] = {"path": path, "line": setting.line}
    if _evaluated(setting.value):
        problem = f"{setting.key} holds an interpolation or names code"
        raise InputError(problem, **place, remedy="Write the value itself; classes are chosen as options of --config-dir.")
    if setting.key in _PERMISSIONS:
        raise InputError(f"{setting.key} is a permission", **place, remedy=f"Give it on the command line: {setting.word}")
    if setting.key in _ONE_CALL or setting.key.partition(".")[0].partition("/")[0] == "hydra":
        raise InputError(f"{setting.key} is for a single command", **place, remedy="Give it on the command line.")
    try:
        refuse_secret(f"{setting.key}={json.dumps(setting.value, ensure_ascii=False, default=str)}")
    except InputError as error:
        raise InputError(str(error), **place) from None
    addresses = setting.value if isinstance(setting.value, list) else [setting.value]
    if setting.key.rpartition(".")[2] in _ADDRESSES and (hosts := hosts_outside(str(one) for one in addresses if one)):
        problem = f"{setting.key} leads to another machine ({hosts})"
        raise InputError(problem, **place, remedy="Give it on the command line, or in the variable that --help names.")


def _evaluated(value: Any) -> bool:
    """Whether Hydra would evaluate a value or a part of it."""
    if isinstance(value, Mapping):
        return any(str(key).startswith("_") or _evaluated(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(map(_evaluated, value))
    return isinstance(value, str) and "${" in value


def groups_of(config_name: str) -> dict[str, str | None]:
    """The groups of a command, each with its default option."""
    defaults = yaml.safe_load((CONF / f"{config_name}.yaml").read_text(encoding="utf-8"))["defaults"]
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    return {group: option for entry in entries for group, option in entry.items() if not group.startswith("override ")}


def project_configs(config_name: str, settings: Sequence[Setting]) -> dict[str, dict[str, Any]]:
    """The command's own config with the settings of the project file, and configs that it adds to options of groups.

    The file's option is the default of its group. Settings of a group become a config that is added to that option alone, so they
    have no effect on another option that an experiment or the command line chooses.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        settings: Settings that the command has.

    Returns:
        Configs by their path in the search path, without their suffix.
    """
    loaded = OmegaConf.to_container(OmegaConf.load(CONF / f"{config_name}.yaml"), resolve=False)
    assert isinstance(loaded, dict)
    own: dict[str, Any] = {str(key): value for key, value in loaded.items()}
    groups = groups_of(config_name)
    chosen = {**groups, **{setting.key: setting.value for setting in settings if setting.key in groups}}
    added: dict[str, dict[str, Any]] = {}
    for setting in settings:
        group, _, key = setting.key.partition(".")
        if key and group in groups:
            _put(added.setdefault(group, {}), key, setting.value)
        elif setting.key not in groups:
            _put(own, setting.key, setting.value)
    defaults: list[Any] = []
    for entry in own["defaults"]:
        group = next(iter(entry)) if isinstance(entry, dict) else ""
        defaults.append({group: chosen[group]} if group in groups else entry)
        if group in added:
            defaults.append({f"optional _project/{group}@{group}": f"${{{group}}}"})
    listed = [{"key": setting.key, "value": setting.value, "line": setting.line} for setting in settings]
    callback = {"_target_": "clinspan.programs.config.project_source.ProjectSettings", "command": config_name, "settings": listed}
    own["hydra"].setdefault("callbacks", {})["project"] = callback
    own["defaults"] = defaults
    return {config_name: own, **{f"_project/{group}/{chosen[group]}": content for group, content in added.items()}}


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
    content[last] = value
