"""Validation of files that are read back from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from clinspan.corpora.bio import split_tag
from clinspan.metrics import Mode

_TAGGED = ("tokens", "gold", "pred")
_RATES = ("precision", "recall", "f1")


def is_prediction(record: Any) -> bool:
    """Whether a line of `predictions.jsonl` is as runs write it, as far as it goes: one legal tag a token, counts that are numbers.

    >>> is_prediction({"id": "d:0", "pred": ["B-Sign", "O"]}), is_prediction({"id": "d:0", "tokens": ["a"], "pred": []})
    (True, False)
    """
    if not isinstance(record, dict):
        return False
    rows = [record[key] for key in _TAGGED if key in record]
    if not all(_texts(row) for row in rows) or len({len(row) for row in rows}) > 1:
        return False
    if any(split_tag(tag) is None for key in ("gold", "pred") for tag in record.get(key, ())):
        return False
    return _says(record, "document", str) and _says(record, "error", str, type(None)) and _counted(record) and _sure(record)


def is_finished_run(record: Mapping[str, Any]) -> bool:
    """Whether the `run.json` of a finished run says how tags were read, what was chosen and what was used."""
    config = record.get("config")
    metric = config.get("metric") if isinstance(config, dict) else None
    if not isinstance(metric, dict) or metric.get("mode") not in get_args(Mode):
        return False
    known = _says(record, "choices", dict) and _says(record, "tokens", dict) and _numbers(record.get("tokens", {}))
    return known and all(_says(record, key, int, float, type(None)) for key in ("seconds", "cost"))


def is_scores(content: Mapping[str, Any]) -> bool:
    """Whether a `scores.json` has a signature, and precision, recall and F1 of each type and of the averages."""
    types = content.get("per_type")
    if not isinstance(types, dict) or not isinstance(content.get("signature"), str):
        return False
    tables = [*types.values(), content.get("macro"), content.get("micro")]
    return bool(types) and all(isinstance(t, dict) and _numbers({key: t.get(key) for key in _RATES}) for t in tables)


def is_rankable(content: Mapping[str, Any]) -> bool:
    """Whether a `scores.json` has what a leaderboard ranks by: a signature, the number of sentences, F1 of both averages."""
    said = isinstance(content.get("signature"), str) and type(content.get("sentences")) is int
    averages = [content.get("micro"), content.get("macro")]
    return said and all(isinstance(table, dict) and _numbers({"f1": table.get("f1")}) for table in averages)


def is_signature(state: Any) -> bool:
    """Whether DSPy can take this state of a signature: instructions, and of each field a prefix and a description."""
    if not isinstance(state, dict) or not isinstance(state.get("instructions"), str):
        return False
    fields = state.get("fields")
    if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
        return False
    return all(isinstance(field.get(key), str) for field in fields for key in ("prefix", "description"))


def is_demonstrations(demos: Any) -> bool:
    """Whether these are demonstrations: tokens, and one legal tag for each."""
    if not isinstance(demos, list):
        return False
    return all(isinstance(demo, dict) and "tokens" in demo and "tags" in demo and _is_tagged(demo) for demo in demos)


def _is_tagged(demo: Mapping[str, Any]) -> bool:
    tokens, tags = demo["tokens"], demo["tags"]
    return _texts(tokens) and _texts(tags) and len(tokens) == len(tags) and all(split_tag(tag) is not None for tag in tags)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _numbers(table: Any) -> bool:
    return isinstance(table, dict) and all(type(value) in (int, float) for value in table.values())


def _says(record: Mapping[str, Any], key: str, *kinds: type) -> bool:
    return key not in record or type(record[key]) in kinds


def _counted(record: Mapping[str, Any]) -> bool:
    return all(_numbers(record.get(key, {})) for key in ("repairs", "usage"))


def _sure(record: Mapping[str, Any]) -> bool:
    values = record.get("confidence")
    if values is None:
        return True
    length = len(record.get("tokens", values)) if isinstance(values, list) else -1
    return length >= 0 and len(values) == length and all(type(value) in (int, float, type(None)) for value in values)
