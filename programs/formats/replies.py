"""Extracts the answer from a reply: removes thinking blocks, drafts, code fences, echoed schemas and explanations."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import json_repair

_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning|scratchpad|reflection)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"\A.*</(think|thinking|thought|reasoning|scratchpad|reflection)>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_OPENING = re.compile(r"[{\[]")
_REPAIRED = 4_000
_VALUES = 200
_TRIES = 100


def without_thoughts(reply: str) -> str:
    """Remove thinking blocks from a reply. A block without an end reaches to the end of the reply.

    >>> without_thoughts("<think>{a}</think>\\n[1]"), without_thoughts("hm </think> [1]"), without_thoughts("<think>no end")
    ('\\n[1]', ' [1]', '')
    """
    return _THOUGHT_END.sub("", _THOUGHT.sub("", reply))


@dataclass(frozen=True, slots=True)
class Pairs:
    """A JSON object as (key, value) pairs in order, so that a repeated key loses no value."""

    items: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The JSON value that was found in a reply.

    Attributes:
        value: `Pairs`, a list, or another JSON value.
        repaired: Whether the JSON was broken, so that a string in it may be a fragment of a mention.
    """

    value: Any
    repaired: bool = False


_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: Pairs(tuple(pairs)))


def unfenced(text: str) -> str:
    """Remove the code fence around a text."""
    return text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()


def json_values(text: str) -> list[Any]:
    """The outermost JSON objects and lists in a text, in order, objects as `Pairs`.

    >>> json_values('so: {"a": 1, "a": 2} and [3] {4}')
    [Pairs(items=(('a', 1), ('a', 2))), [3]]
    """
    values: list[Any] = []
    at = tries = 0
    while len(values) < _VALUES and tries < _TRIES and (match := _OPENING.search(text, at)) is not None:
        try:
            value, at = _DECODER.raw_decode(text, match.start())
            values.append(value)
        except (ValueError, RecursionError):
            at, tries = match.end(), tries + 1  # a failed try may read the rest of the text
    return values


def read_json(
    reply: str, repairs: Counter[str], keys: Callable[[Any], frozenset[str]], *, bare_lists: bool = False
) -> Found | None:
    """Extract the JSON value that is the answer of a reply.

    Objects with different keys are parts of one answer. Of objects with a key in common, the one with the most keys is chosen. Of
    equally large ones, the last is chosen, because the earlier ones are drafts.

    Args:
        reply: The text that the model wrote.
        repairs: Counts `malformed_json` for a reply that is not JSON alone, `surplus_json` for each object that is not chosen.
        keys: Returns the answer keys of a value. If text surrounds the JSON, values without a key are ignored.
        bare_lists: Whether a list of strings is an answer.

    Returns:
        The value, or None if the reply holds none.
    """
    try:
        whole = _DECODER.decode(unfenced(reply))
    except (ValueError, RecursionError):
        whole = None
    if whole is not None:
        return Found(whole)
    repairs["malformed_json"] += 1
    text = _FENCE.sub("", without_thoughts(reply))
    values = json_values(text)
    useful = [value for value in values if keys(value)]
    if useful:
        return Found(_merged(useful, keys, repairs))
    if bare_lists and values:
        return Found(values[-1])
    value = _repaired(text)
    return None if value is None or value in ([], "") else Found(value, repaired=True)


def _merged(values: list[Any], keys: Callable[[Any], frozenset[str]], repairs: Counter[str]) -> Any:
    chosen: list[Any] = []
    latest_first = values[::-1]
    for value in sorted(latest_first, key=lambda value: -len(keys(value))):
        used = frozenset().union(*map(keys, chosen))
        if chosen and (keys(value) & used):
            repairs["surplus_json"] += 1
        else:
            chosen.append(value)
    return chosen[0] if len(chosen) == 1 else sorted(chosen, key=values.index)


def _repaired(text: str) -> Any:
    """Repair the beginning of broken JSON, or return None. The length is limited, because the repair time grows with its cube."""
    match = _OPENING.search(text)
    if match is None:
        return None
    try:
        return as_pairs(json_repair.loads(text[match.start() :][:_REPAIRED]))
    except (ValueError, RecursionError, TypeError, IndexError):
        return None


def as_pairs(value: Any) -> Any:
    """Convert the objects in a JSON value to `Pairs`."""
    if isinstance(value, dict):
        return Pairs(tuple((str(key), as_pairs(inner)) for key, inner in value.items()))
    return [as_pairs(inner) for inner in value] if isinstance(value, list) else value


def listed_lines(text: str, label: Callable[[str], str | None]) -> Iterator[tuple[str, str]]:
    """Yield (label, mention) from plain lines: `Label:` with bullets below it, or with mentions on the same line.

    >>> list(listed_lines("Sign:\\n- pain\\n- rash\\n* Disease: flu", {"Sign": "S", "Disease": "D"}.get))
    [('S', 'pain'), ('S', 'rash'), ('D', 'flu')]
    """
    current_label: str | None = None
    for line in text.split("\n"):
        bare = line.strip().lstrip("-*•").strip().strip("*").strip()
        head, colon, rest = bare.partition(":")
        if colon and (line_label := label(head.strip(" *\"'`"))) is not None:
            current_label = line_label
            if rest.strip(" *"):
                yield line_label, rest.strip(" *")
        elif current_label is not None and line.strip()[:1] in ("-", "*", "•") and bare:
            yield current_label, bare
        elif bare:
            current_label = None
