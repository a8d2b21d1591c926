"""Settings from saved files, validated as data against the options of `conf/` that they belong to.

A `program.json` or a `run.json` may come from an untrusted source. It cannot choose a class, a function or a variable: classes
come from `conf/` or the user's own `--config-dir`, and a saved value must fit its parameter. Everything else is refused at any
depth and with one error message: keys that begin with `_`, interpolations, unknown keys, values of another type.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import ValidationError

from clinspan.corpora import InputError
from clinspan.lms.remote.hosts import hosts_outside
from clinspan.programs.config.composition import compose_here
from clinspan.programs.config.project_file import FREE
from clinspan.programs.config.setting_types import parameter_types

_NUMBERS = (int, float)
_ADDRESSES = (("model", "api_base"), ("reflection_model", "api_base"), ("tracking", "uri"), ("retriever", "url"))
"""Settings that say where texts, or their vectors, are sent."""


def refuse_code(value: Any, *, path: Path, key: str = "") -> None:
    """Refuse a saved value that contains anything that Hydra would evaluate.

    Args:
        value: Parsed JSON.
        path: The file, for the message.
        key: Dotted key of the value.

    Raises:
        InputError: A key begins with `_`, or a text holds an interpolation; the message names file and key.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str) or name.startswith("_"):
                raise _refused(path, _dotted(key, name), "names code or is not a name")
            refuse_code(inner, path=path, key=_dotted(key, name))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            refuse_code(inner, path=path, key=f"{key}[{number}]")
    elif isinstance(value, str) and "${" in value:
        raise _refused(path, key, "holds an interpolation")


def checked_option(option: Mapping[str, Any], saved: Mapping[str, Any], *, path: Path, key: str) -> dict[str, Any]:
    """Check saved settings against the parameters of their option's class, and return them. Call `refuse_code` on them first.

    Args:
        option: The option, as `conf/` or the user's configuration has it.
        saved: Its settings in the file.
        path: The file.
        key: The group, or the dotted key of a part of an option.

    Raises:
        InputError: A setting is unknown or has a value of another type; the message names file and key.
    """
    hints = parameter_types(str(option["_target_"]))
    checked: dict[str, Any] = {}
    for name, value in saved.items():
        where = _dotted(key, name)
        if name not in option:
            raise _refused(path, where, "is not a setting of that option")
        own = option[name]
        if isinstance(own, Mapping) and "_target_" in own:
            if not isinstance(value, Mapping):
                raise _refused(path, where, "has a value of another type")
            checked[name] = checked_option(own, value, path=path, key=where)
        else:
            checked[name] = _fitting(value, own, hints.get(name), path=path, key=where)
    return checked


def restored_config(composed: Mapping[str, Any], saved: Mapping[str, Any], *, path: Path) -> dict[str, Any]:
    """Merge a saved config into one that Hydra composed of the same options: values come from the file, classes from `conf/`.

    Settings that the file does not have keep their composed value.

    Raises:
        InputError: The file has a setting that the composed config does not have, names another class, or holds an interpolation
            or a value of another type.
    """
    return _restored(composed, saved, path=path, key="")


def _restored(composed: Mapping[str, Any], saved: Mapping[str, Any], *, path: Path, key: str) -> dict[str, Any]:
    merged = dict(composed)
    for name, value in saved.items():
        where = _dotted(key, name)
        if name not in composed:
            raise _refused(path, where, "is not a known setting")
        own = composed[name]
        if name.startswith("_"):
            if value != own:
                raise _refused(path, where, "names another class than the option of that name")
        elif isinstance(own, Mapping) and isinstance(value, Mapping) and name not in FREE:
            merged[name] = _restored(own, value, path=path, key=where)
        else:
            refuse_code(value, path=path, key=where)
            merged[name] = _fitting(value, own, None, path=path, key=where)
    return merged


def check_recorded_hosts(config: Mapping[str, Any], given: Collection[str], *, path: Path) -> None:
    """Refuse to resume a run whose record names another machine, unless the user has set that address too.

    Otherwise a record from an untrusted source could send a local corpus to its author.

    Args:
        config: The record's config.
        given: Keys and groups that the user has set now.
        path: The record.

    Raises:
        InputError: The record names one; the message gives the address and how to allow it.
    """
    for group, name in _ADDRESSES:
        value = (config.get(group) or {}).get(name)
        addresses = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(address, str) for address in addresses):
            raise _refused(path, f"{group}.{name}", "is not an address")
        outside = hosts_outside(addresses)
        if outside and not {group, f"{group}.{name}"} & set(given):
            shown = value if isinstance(value, str) else f"[{','.join(addresses)}]"
            remedy = f"If texts may be sent there, set {group}.{name}={shown}"
            raise InputError(f"sends texts to {outside}", path=path, remedy=remedy)


def composed_config(command: str, choices: Mapping[str, str], *, path: Path) -> dict[str, Any]:
    """The config of a command with the options that a saved record names, as plain values.

    Raises:
        InputError: A name is not valid for an option, or there is no such option.
    """
    overrides = []
    for group, option in choices.items():
        if not _is_name(group) or not _is_name(option):
            raise _refused(path, f"choices.{group}"[:80], "is not the name of an option")
        if group != "experiment":
            overrides.append(f"{group}={option}")
    composed = compose_here(command, overrides)
    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _is_name(text: object) -> bool:
    """
    >>> _is_name("entities_by_type"), _is_name("../x"), _is_name("a,b"), _is_name("x y")
    (True, False, False, False)
    """
    return isinstance(text, str) and bool(text) and all(part.replace("-", "_").isidentifier() for part in text.split("/"))


def inside(folder: Path, name: object, *, path: Path, key: str) -> Path:
    """The path of a file or folder that a saved file names. It must be within `folder`.

    Args:
        folder: The folder.
        name: A path relative to it.
        path: The file that names it.
        key: The key in that file.

    Raises:
        InputError: The name is absolute, has `..` in it, or leads out of the folder by a link.
    """
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise _refused(path, key, "leads out of the folder of the program")
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise _refused(path, key, "leads out of the folder of the program")
    return target


def _fitting(value: Any, own: Any, hint: Any, *, path: Path, key: str) -> Any:
    """The value, if it fits the type of the parameter or, where that is unknown, the type of the option's own value."""
    if hint is not None:
        try:
            return hint.validate_json(json.dumps(value), strict=True)
        except (ValidationError, TypeError, ValueError):
            raise _refused(path, key, "has a value of another type") from None
    if own is None or value is None or isinstance(own, (Mapping, list)) or isinstance(value, (Mapping, list)):
        kinds_differ = isinstance(own, Mapping) != isinstance(value, Mapping) and own is not None and value is not None
        if kinds_differ:
            raise _refused(path, key, "has a value of another type")
        return value
    same = type(value) is type(own) or (type(value) in _NUMBERS and type(own) in _NUMBERS)
    if not same:
        raise _refused(path, key, "has a value of another type")
    return value


def _dotted(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _refused(path: Path, key: str, why: str) -> InputError:
    shown = key.encode("unicode_escape").decode()[:120]
    remedy = "A saved file holds settings of known options and nothing else: check where it comes from."
    return InputError(f"{shown} {why}", path=path, remedy=remedy)
