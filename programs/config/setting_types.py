"""Checks the types of settings: of a group's option by its class, of the other keys by `COMMAND_SETTINGS`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError

from clinspan.corpora import InputError
from clinspan.programs.config.composition import object_of
from clinspan.programs.config.project_file import FREE

COMMAND_SETTINGS: dict[str, Any] = {
    "alignment": str,
    "all": bool,
    "allow_http": bool,
    "allow_remote": bool,
    "budget": float | None,
    "common": bool,
    "constrained": bool,
    "data": str | None,
    "debug": bool,
    "delete": str | None,
    "dev_limit": int | None,
    "draft": str,
    "encoding": str,
    "engine": str,
    "flips": bool,
    "folder": str,
    "folders": list[str],
    "force": bool,
    "gold": str | None,
    "gold_corpus": str,
    "input": str | None,
    "json": bool,
    "label_order": str,
    "label_wording": str,
    "last": int | None,
    "limit": int | None,
    "limit_documents": int | None,
    "list": bool,
    "longest": int,
    "match": str,
    "mentions": str,
    "min_confidence": float | dict[str, float] | None,
    "name": str | None,
    "only": list[str],
    "output": str | None,
    "page": str | None,
    "phi": bool,
    "plan": bool,
    "pool": bool,
    "predicted": str | None,
    "predicted_corpus": str,
    "program": str | None,
    "ray": dict[str, Any],
    "redact": bool,
    "rename": str | None,
    "report": bool,
    "results": str | None,
    "resume": str | None,
    "rules": dict[str, Any] | None,
    "runs": list[str],
    "sample": str,
    "samples": int,
    "script": str,
    "section": str | None,
    "seed": int,
    "sentences": str | None,
    "server": str | None,
    "shard": int,
    "split": str,
    "stop_after": int,
    "tags": list[str],
    "target": str,
    "to": str | list[str] | None,
    "tokenizer": str | None,
    "train_limit": int | None,
    "where": list[str],
    "workers": int | None,
    "write": bool,
    "yes": bool,
}
"""The type of each setting of a command that belongs to no group."""
_EXPECTED = (
    ("int_type", "a whole number"),
    ("int_from_float", "a whole number"),
    ("float_type", "a number"),
    ("bool_type", "true or false"),
    ("list_type", "a list"),
    ("tuple_type", "a list"),
    ("dict_type", "a mapping"),
    ("mapping_type", "a mapping"),
    ("string_type", "a text"),
)
_OWN_MESSAGE = ("literal_error", "is_instance_of")


def check_types(config: DictConfig) -> None:
    """Refuse a setting of another type than its key has, before anything is loaded or paid for.

    Values outside a list of names are left to the classes, whose messages list the names.

    Raises:
        InputError: There is such a setting; the message names its key and the expected type.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    for key, value in plain.items():
        if key in COMMAND_SETTINGS:
            _check(str(key), value, _adapter(key))
        elif isinstance(value, Mapping):
            _check_option(str(key), value)


def _check_option(key: str, option: Mapping[str, Any]) -> None:
    if "_target_" not in option:
        return
    types = parameter_types(str(option["_target_"]))
    for name, value in option.items():
        if isinstance(value, Mapping) and "_target_" in value:
            _check_option(f"{key}.{name}", value)
        elif name in types and name not in FREE:
            _check(f"{key}.{name}", value, types[name])


def _check(key: str, value: Any, adapter: TypeAdapter[Any]) -> None:
    errors = _errors(value, adapter)
    if not errors or not _errors(_with_names(value), adapter):
        return
    kinds = [error["type"] for error in errors]
    if any(kind in _OWN_MESSAGE for kind in kinds):
        return
    expected = list(dict.fromkeys(words for kind, words in _EXPECTED if kind in kinds))
    if not expected:
        return
    shown = "null" if value is None else json.dumps(value, ensure_ascii=False).strip('"')
    null = " or null" if value is not None and not _errors(None, adapter) else ""
    raise InputError(f"{key}={shown} is not {' or '.join(expected)}{null}", remedy=f"Write {key}=VALUE with such a value.")


def _with_names(value: Any) -> Any:
    """The value with numbers as texts: Hydra reads a name of digits as a number."""
    if isinstance(value, list):
        return [_with_names(one) for one in value]
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _errors(value: Any, adapter: TypeAdapter[Any]) -> list[Any]:
    """What pydantic finds wrong with a value; values are taken as JSON has them, so a list may be a tuple."""
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return list(error.errors(include_url=False, include_input=False, include_context=False))
    except (TypeError, ValueError):
        return []
    return []


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(COMMAND_SETTINGS[key])


@functools.cache
def parameter_types(target: str) -> dict[str, TypeAdapter[Any]]:
    """Validators of the parameters of a class or function that a `_target_` names, as far as its annotations can be evaluated."""
    called = object_of(target)
    constructor = called.__init__ if inspect.isclass(called) and "__init__" in vars(called) else called
    try:
        if dataclasses.is_dataclass(called):  # annotations of inherited fields belong to the modules of the base classes
            every = get_type_hints(called)
            hints = {field.name: every[field.name] for field in dataclasses.fields(called) if field.init}
        else:
            hints = get_type_hints(constructor)
    except (NameError, TypeError):
        return {}
    validators: dict[str, TypeAdapter[Any]] = {}
    for name, hint in hints.items():
        if name != "return":
            try:
                validators[name] = TypeAdapter(hint)
            except Exception:  # pydantic has no schema for it, so it cannot be the type of a setting
                continue
    return validators
