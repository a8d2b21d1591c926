"""Views of runs for the report, grouped by the sentences they cover."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from clinspan.metrics import Mode
from clinspan.reports.leaderboard import Job
from clinspan.reports.sent_prompts import SentPrompts
from clinspan.reports.settings import differing, setting_text
from clinspan.reports.wording import size_words

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to show with a run's scores.

    Attributes:
        title: Its heading.
        columns: The column heads.
        rows: One cell per column: text, an integer, another number (shown with four decimals) or None.
        notes: Sentences shown below the table.
        quotes: Whether cells quote the corpus. Redacted reports leave such tables out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    quotes: bool = False


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A scored job with the data that the page shows.

    Attributes:
        job: The job's record and scores.
        rows: The lines of `predictions.jsonl`, in corpus order; empty if they cannot be shown.
        prompts: What was sent about each sentence; None if it was not recorded.
        problem: Why part of the run cannot be shown; empty if all of it can.
        tables: Further tables.
        gaps: By row, the text as written before each token and after the last one; None if it is not known.
        unwritten: Why it is not known, if it was looked for.
        number: Its position on the page, from 1.
        name: A short name that is unique in its group; `group_runs` sets it.
    """

    job: Job
    rows: Sequence[Mapping[str, Any]] = ()
    prompts: SentPrompts | None = None
    problem: str = ""
    tables: Sequence[Table] = ()
    gaps: Sequence[Sequence[str]] | None = None
    unwritten: str = ""
    number: int = 0
    name: str = ""

    @property
    def scores(self) -> Mapping[str, Any]:
        assert self.job.scores is not None
        return self.job.scores

    @property
    def labels(self) -> list[str]:
        return list(self.scores["per_type"])

    @property
    def mode(self) -> Mode:
        """How tags were read, from the signature of the scores."""
        parts = dict(part.split(":", 1) for part in str(self.scores["signature"]).split("|") if ":" in part)
        return cast(Mode, parts.get("mode", "conlleval"))

    @property
    def tokens_per_sentence(self) -> float | None:
        """Prompt and answer tokens per sentence; None if they were not counted."""
        used = self.job.record.get("tokens") or {}
        total = used.get("prompt_tokens", 0) + used.get("answer_tokens", 0)
        return total / max(1, self.scores["sentences"]) if total else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Comparable runs: over the same sentences, with the same gold tags, labels and reading of tags.

    Attributes:
        title: The corpus, the split and the number of sentences.
        runs: Its runs in the order of the leaderboard.
        sentences: The rows of one run, for the values that all runs share; empty if no run has rows.
        gaps: The text around the tokens of these rows, see `RunView.gaps`.
    """

    title: str
    runs: Sequence[RunView]
    sentences: Sequence[Mapping[str, Any]] = field(repr=False)
    gaps: Sequence[Sequence[str]] | None = field(default=None, repr=False)

    @property
    def labels(self) -> list[str]:
        return self.runs[0].labels

    @property
    def mode(self) -> Mode:
        return self.runs[0].mode


def group_runs(views: Sequence[RunView]) -> list[Group]:
    """Group comparable runs, largest group first, and give each run a name that is unique in its group."""
    groups: dict[tuple[str, ...], list[RunView]] = {}
    for view in views:
        content = _fingerprint(view.rows) if view.rows else view.job.basis
        groups.setdefault((content, view.mode, *view.labels), []).append(view)
    ordered = sorted(groups.values(), key=lambda runs: -len(runs))
    return [_group(runs) for runs in ordered]


def _group(runs: Sequence[RunView]) -> Group:
    gaps = next((run.gaps for run in runs if run.gaps is not None), None)
    return Group(title=_title(runs[0]), runs=_named(runs), sentences=runs[0].rows, gaps=gaps)


def _named(views: Sequence[RunView]) -> list[RunView]:
    names = short_names([view.job for view in views])
    return [replace(view, name=name) for view, name in zip(views, names, strict=True)]


def short_names(jobs: Sequence[Job]) -> list[str]:
    """One name per job: the values of the settings that differ, or its strategy. Equal names get the seed or the folder added."""
    groups = {"optimizer"}.union(*((job.record.get("choices") or {}).keys() for job in jobs))
    keys = differing([job.settings for job in jobs], groups)
    values = [", ".join(_value(key, job.settings[key]) for key in keys if job.settings.get(key) is not None) for job in jobs]
    names = [name or str(job.settings.get("strategy") or "") for name, job in zip(values, jobs, strict=True)]
    for suffixes in ([f"seed {job.seed}" for job in jobs], [folder_name(job.path) for job in jobs]):
        longer = [f"{name}, {suffix}" if name else suffix for name, suffix in zip(names, suffixes, strict=True)]
        if len(set(longer)) > len(set(names)) or "" in names:
            names = [long if names.count(name) > 1 or not name else name for name, long in zip(names, longer, strict=True)]
    return names


def folder_name(path: str) -> str:
    """The last part of a job's path; for a job of a sweep the last two parts.

    >>> folder_name("runs/run/2026-01-01_10-00-00/3"), folder_name("runs/run/2026-01-01_10-00-00")
    ('2026-01-01_10-00-00/3', '2026-01-01_10-00-00')
    """
    parts = [part for part in path.split("/") if part]
    return "/".join(parts[-2:] if parts and parts[-1].isdigit() else parts[-1:])


def _value(key: str, value: Any) -> str:
    """Format a setting: the choice of a group as its value alone, any other setting with its key.

    >>> _value("strategy", "knn"), _value("limit", 40)
    ('knn', 'limit=40')
    """
    return value if isinstance(value, str) and "." not in key else f"{key.rpartition('.')[2]}={setting_text(value)}"


def _fingerprint(rows: Sequence[Mapping[str, Any]]) -> str:
    common = [[row[key] for key in ("id", "document", "tokens", "gold")] for row in rows]
    return hashlib.sha256(json.dumps(common).encode()).hexdigest()


def _title(view: RunView) -> str:
    corpus = view.job.record.get("corpus") or {}
    place = " ".join(str(corpus[key]) for key in ("name", "split") if corpus.get(key)) or "corpus not recorded"
    return f"{place}, {size_words(view.scores)}"
