"""Settings in which jobs differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_BESIDE = ("resume", "tracking", "tracing")
"""Keys and groups that decide nothing of what a job does."""


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
    """The choices and the config of a job as one level of dotted keys, without seeds, folders and who is told.

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
    """The keys whose values differ between jobs, of those below a group only what its option does not settle.

    A key that only some have counts among jobs of one command, which have the same groups: what another command's jobs are not
    asked is no difference.

    Args:
        settings: As `settings_of` gives them, a mapping a job.
        groups: The keys that are choices.

    >>> jobs = [{"model": "a", "model.id": "x"}, {"model": "b", "model.id": "y"}, {"model": "b", "model.id": "y", "k": 2}]
    >>> differing(jobs, {"model"})
    ['model', 'k']
    """
    commands = [frozenset(job.keys() & set(groups)) for job in settings]
    found = []
    for key in dict.fromkeys(key for job in settings for key in job):
        asked = {command for command, job in zip(commands, settings, strict=True) if key in job or key in groups}
        relevant = [job for command, job in zip(commands, settings, strict=True) if command in asked]
        group = key.split(".")[0]
        values: dict[str, set[str]] = {}
        for job in relevant:
            option = job.get(group) if group in groups and key != group else None
            values.setdefault(str(option), set()).add(said(job[key]) if key in job else "")
        if any(len(different) > 1 for different in values.values()):
            found.append(key)
    return found


def said(value: Any) -> str:
    """A value as the command line takes it.

    >>> said(None), said(True), said([1, "a"]), said("knn")
    ('null', 'true', '[1,"a"]', 'knn')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
