"""What differs between the prompts of two runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.reports.run_views import Group


def prompt_differences(groups: Sequence[Group]) -> dict[str, Any]:
    """Unified diffs of prompts, each distinct prompt against each other one that a run of its group has.

    Returns:
        `prompts`, the place of each run's prompt among the distinct ones by the run's number; `diffs`, lines by
        "first-second", two places in rising order. Equal prompts have the same place.
    """
    texts: list[tuple[str, ...]] = []
    places: dict[str, int] = {}
    diffs: dict[str, list[str]] = {}
    for group in groups:
        here: list[int] = []
        for view in group.runs:
            if view.prompt:
                lines = tuple(prompt_lines(view.prompt))
                texts += [] if lines in texts else [lines]
                here.append(texts.index(lines))
                places[str(view.number)] = here[-1]
        ordered = sorted(set(here))
        for n, first in enumerate(ordered):
            for second in ordered[n + 1 :]:
                lines_of = difflib.unified_diff(texts[first], texts[second], lineterm="", n=2)
                diffs[f"{first}-{second}"] = list(lines_of)[2:]  # without the two lines that would name files
    return {"prompts": places, "diffs": diffs}


def prompt_lines(prompt: Mapping[str, Any]) -> list[str]:
    """A prompt without its sentence, line by line, each turn under its role."""
    lines: list[str] = []
    for question in prompt["questions"]:
        lines += [f"question {question['key']}"] if question["key"] else []
        for role, text in question["turns"]:
            lines += [f"[{role}]", *text.replace(prompt["slot"], "(the sentence)").splitlines()]
    return [*lines, *prompt["notes"]]
