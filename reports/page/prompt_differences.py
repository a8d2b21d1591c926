"""Differences between the prompts of runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.reports.run_views import Group


def prompt_differences(groups: Sequence[Group]) -> dict[str, Any]:
    """Unified diffs between the distinct prompts of each group.

    Returns:
        `prompts`: by run number, the index of the run's prompt among the distinct prompts; equal prompts have the same index.
        `diffs`: lines of a diff by "first-second", two indexes in ascending order.
    """
    texts: list[tuple[str, ...]] = []
    index_by_run: dict[str, int] = {}
    diffs: dict[str, list[str]] = {}
    for group in groups:
        indexes: list[int] = []
        for view in group.runs:
            if view.prompt:
                lines = tuple(prompt_lines(view.prompt))
                texts += [] if lines in texts else [lines]
                indexes.append(texts.index(lines))
                index_by_run[str(view.number)] = indexes[-1]
        ordered = sorted(set(indexes))
        for n, first in enumerate(ordered):
            for second in ordered[n + 1 :]:
                diff = difflib.unified_diff(texts[first], texts[second], lineterm="", n=2)
                diffs[f"{first}-{second}"] = list(diff)[2:]  # without the two header lines, which name files
    return {"prompts": index_by_run, "diffs": diffs}


def prompt_lines(prompt: Mapping[str, Any]) -> list[str]:
    """The lines of a prompt, each turn below its role, with a placeholder for the sentence."""
    lines: list[str] = []
    for question in prompt["questions"]:
        lines += [f"question {question['key']}"] if question["key"] else []
        for role, text in question["turns"]:
            lines += [f"[{role}]", *text.replace(prompt["slot"], "(the sentence)").splitlines()]
    return [*lines, *prompt["notes"]]
