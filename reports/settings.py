"""Settings in which jobs differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_BESIDE = ("name", "resume", "tags", "tracking", "tracing")
"""Keys and groups that do not change a job's result."""


def flattened(content: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as one level of dotted keys.

    >>> flattened({"seed": 1, "model": {"wire": {}, "name": "x"}})
    {'seed': 1, 'model.wire': {}, 'model.name': 'x'}
    """
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = value

    walk("", content)
    flat.pop("", None)
    return flat


def settings_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The choices and the config of a job as one level of dotted keys, without seeds, name, tags, `resume`, tracking and tracing.

    >>> config = {"seed": 1, "tracking": {"uri": "x"}, "model": {"id": "x"}, "limit": None}
    >>> settings_of({"choices": {"model": "gpt4"}, "config": config})
    {'model': 'gpt4', 'model.id': 'x', 'limit': None}
    """
    flat = flattened(record.get("config") or {})
    name = (record.get("optimizer") or {}).get("name")
    chosen = {**({"optimizer": name} if name else {}), **(record.get("choices") or {})}
    rest = {k: v for k, v in flat.items() if k.split(".")[-1] != "seed" and k.split(".")[0] not in _BESIDE}
    return {**chosen, **rest, **chosen}


def differing(settings: Sequence[Mapping[str, Any]], groups: Collection[str]) -> list[str]:
    """The keys whose values differ between jobs.

    A key below a group, such as `model.id`, counts only if it differs between jobs with the same option of that group. A key
    that a command does not have is not compared with that command's jobs. Jobs with the same groups are of the same command.

    Args:
        settings: One mapping per job, as `settings_of` returns it.
        groups: The keys that are config groups.

    >>> jobs = [{"model": "a", "model.id": "x"}, {"model": "b", "model.id": "y"}, {"model": "b", "model.id": "y", "k": 2}]
    >>> differing(jobs, {"model"})
    ['model', 'k']
    """
    commands = [frozenset(job.keys() & set(groups)) for job in settings]
    keys = []
    for key in dict.fromkeys(key for job in settings for key in job):
        commands_with_key = {command for command, job in zip(commands, settings, strict=True) if key in job or key in groups}
        relevant = [job for command, job in zip(commands, settings, strict=True) if command in commands_with_key]
        group = key.split(".")[0]
        values: dict[str, set[str]] = {}
        for job in relevant:
            option = job.get(group) if group in groups and key != group else None
            values.setdefault(str(option), set()).add(said(job[key]) if key in job else "")
        if any(len(different) > 1 for different in values.values()):
            keys.append(key)
    return keys


def said(value: Any) -> str:
    """Format a value as it is written on the command line.

    >>> said(None), said(True), said([1, "a"]), said("knn")
    ('null', 'true', '[1,"a"]', 'knn')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
