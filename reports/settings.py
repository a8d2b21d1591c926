"""Settings in which jobs differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clinspan.corpora.printable import printable

_LONGEST = 60
_BESIDE = ("debug", "name", "resume", "tags", "tracking", "tracing")
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
            values.setdefault(str(option), set()).add(setting_text(job[key]) if key in job else "")
        if any(len(different) > 1 for different in values.values()):
            keys.append(key)
    return keys


_OPEN_GROUPS = ("corpus", "format", "strategy", "retriever")
"""Groups whose keys are also compared between different options."""
_FACTS = ("corpus.sha256", "model.id", "model.revision", "embedder", "retrieval.content_sha256", "program.id")


def setting_changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings in which two runs differ, and the facts of their models, corpora and programs that do.

    Args:
        first: The content of a `run.json`.
        second: The content of another one.

    Returns:
        A dictionary with `key`, `first` and `second` for each.
    """
    settings = [{**settings_of(record), "seed": (record.get("config") or {}).get("seed")} for record in (first, second)]
    keys = differing(settings, {"optimizer"}.union(*((record.get("choices") or {}) for record in (first, second))))
    shared = [key for key in settings[0] if key in settings[1] and key.partition(".")[0] in _OPEN_GROUPS]
    keys += [key for key in shared if key not in keys and settings[0][key] != settings[1][key]]
    known = [key for key in keys if not key.endswith("_target_")]
    changes = [{"key": key, "first": settings[0].get(key), "second": settings[1].get(key)} for key in known]
    facts = [flattened({key: value for key, value in record.items() if key != "config"}) for record in (first, second)]
    values = [{"key": key, "first": facts[0].get(key), "second": facts[1].get(key)} for key in _FACTS]
    return [change for change in changes + values if change["first"] != change["second"]]  # a missing setting is null


def said_change(change: Mapping[str, Any]) -> str:
    """
    >>> said_change({"key": "strategy.k", "first": 5, "second": 3})
    'strategy.k: 5 → 3'
    """
    return f"{change['key']}: {_short(change['first'])} → {_short(change['second'])}"


def _short(value: Any) -> str:
    text = printable(setting_text(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def setting_text(value: Any) -> str:
    """Format a value as it is written on the command line.

    >>> setting_text(None), setting_text(True), setting_text([1, "a"]), setting_text("knn")
    ('null', 'true', '[1,"a"]', 'knn')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
