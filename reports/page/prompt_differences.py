"""Differences between the prompts of runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from clinspan.reports.run_views import Group, RunView
from clinspan.reports.sent_prompts import prompts_compared


def prompt_differences(groups: Sequence[Group]) -> dict[str, Any]:
    """How what was sent differs between the runs of each group.

    Returns:
        `prompts`: by run number, the index of its prompts among the distinct ones; runs that sent the same have the same index.
        `diffs`: by "first-second", two indexes in ascending order: lines that say what differs, and a diff for one sentence.
    """
    index_by_run: dict[str, int] = {}
    diffs: dict[str, list[str]] = {}
    known: dict[str, int] = {}
    for group in groups:
        ids = [row["id"] for row in group.sentences]
        distinct: dict[int, RunView] = {}
        for view in group.runs:
            if view.prompts is not None and view.rows:
                index = known.setdefault(_digest(view, ids), len(known))
                index_by_run[str(view.number)] = index
                distinct.setdefault(index, view)
        ordered = sorted(distinct)
        for n, first in enumerate(ordered):
            for second in ordered[n + 1 :]:
                summary, lines = prompts_compared(distinct[first].prompts, distinct[second].prompts, ids)
                diffs[f"{first}-{second}"] = [*summary, *lines]
    return {"prompts": index_by_run, "diffs": diffs}


def _digest(view: RunView, ids: Sequence[str]) -> str:
    assert view.prompts is not None
    sent = [[id, view.prompts.digests(id) if id in view.prompts.asked else view.number] for id in ids]
    return hashlib.sha256(repr(sent).encode("utf-8", "backslashreplace")).hexdigest()
