"""The leaderboard: jobs of sweeps that differ only in the seed are aggregated into one row."""

from __future__ import annotations

import statistics
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinspan.corpora.printable import plural
from clinspan.reports.settings import differing, setting_text, settings_of
from clinspan.reports.wording import reading_words, size_words

_MAIN = ("model", "strategy", "format", "prompt", "optimizer")
_SAMENESS = "unit", "match", "mode", "avg", "types", "align", "folds"


@dataclass(frozen=True)
class Job:
    """The content of one job folder.

    Attributes:
        path: Path of the folder.
        record: The content of its `run.json`; empty if there is none.
        scores: The content of its `scores.json`; None if the job has no scores.
        error: Why the job has no scores, if that is known.
        settings: Its choices and config, without seeds and folders.
    """

    path: str
    record: Mapping[str, Any]
    scores: Mapping[str, Any] | None
    error: str = ""
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", settings_of(self.record))

    @property
    def seed(self) -> Any:
        return self.record.get("seed", (self.record.get("config") or {}).get("seed"))

    @property
    def basis(self) -> str:
        """What the scores were measured on, and how. Only jobs with the same basis are ranked together."""
        assert self.scores is not None
        parts = [part for part in str(self.scores["signature"]).split("|") if part.split(":")[0] in _SAMENESS]
        how = reading_words("|".join(parts))
        corpus, config = self.record.get("corpus") or {}, self.record.get("config") or {}
        split = corpus.get("split") or config.get("split") or ""
        place = " ".join(str(word) for word in (corpus.get("name"), split) if word)
        text = size_words(self.scores) + (f" of {place}" if place else "")
        return f"{text} ({corpus['sha256'][:8]}), {how}" if corpus.get("sha256") else f"{text}, {how}"


def build_leaderboard(jobs: Sequence[Job]) -> dict[str, Any]:
    """Build the content of `leaderboard.json`.

    Returns:
        `settings`: the keys that differ between jobs. `bases`: by letter, what scores were measured on, most jobs first.
        `rows`: sorted by basis, then by mean micro F1. `unscored`: the jobs that failed or have not finished. `notes`:
        remarks on the figures.
    """
    configured = [job for job in jobs if job.settings]
    groups = {"optimizer"}.union(*((job.record.get("choices") or {}).keys() for job in configured))
    keys = differing([job.settings for job in configured], groups)
    scored = [job for job in jobs if job.scores is not None]
    sizes: dict[str, int] = {}
    for job in scored:
        sizes[job.basis] = sizes.get(job.basis, 0) + 1
    ordered = sorted(sizes, key=lambda basis: -sizes[basis])
    bases = {_letter(n): basis for n, basis in enumerate(ordered)}
    rows = [row for letter, basis in bases.items() for row in _ranked([j for j in scored if j.basis == basis], keys, letter)]
    unscored = [_unscored(job, keys) for job in jobs if job.scores is None]
    return {"settings": keys, "bases": bases, "rows": rows, "unscored": unscored, "notes": _notes(bases, rows)}


def _ranked(jobs: Sequence[Job], keys: Sequence[str], letter: str) -> list[dict[str, Any]]:
    """The rows of one basis, best first, numbered from 1."""
    by_settings: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        identity = tuple(sorted((key, setting_text(value)) for key, value in job.settings.items() if key in keys))
        by_settings.setdefault(identity, []).append(job)
    rows = sorted((_row(same, keys) for same in by_settings.values()), key=lambda row: -row["micro"]["mean"])
    return [{"rank": rank, "basis": letter, **row} for rank, row in enumerate(rows, 1)]


def _row(jobs: Sequence[Job], keys: Sequence[str]) -> dict[str, Any]:
    """One row for jobs that differ only in the seed."""
    scores = [job.scores for job in jobs if job.scores is not None]
    prompts = [_prompt_tokens(job) for job in jobs]
    row: dict[str, Any] = {
        "settings": _shown(jobs[0], keys),
        "jobs": [job.path for job in jobs],
        "seeds": [job.seed for job in jobs],
        **{name: _mean_and_spread([score[name]["f1"] for score in scores]) for name in ("micro", "macro")},
        "seconds": _mean([job.record.get("seconds") for job in jobs]),
        "prompt_tokens_per_sentence": _mean(prompts),
        "cost": _mean([job.record.get("cost") for job in jobs]),
        "failed_sentences": sum(score.get("failed", 0) for score in scores),
    }
    by_offsets = [score["offsets"] for score in scores if score.get("offsets")]
    lossy = any(part["ceiling"]["f1"] < 1 for part in by_offsets)  # otherwise they are the micro scores
    if lossy and len(by_offsets) == len(scores):
        row["offsets"] = _mean_and_spread([part["micro"]["f1"] for part in by_offsets])
    if len(jobs) > 1 and not any(row[name]["spread"] for name in ("micro", "macro")):
        row["equal"] = "seed has no effect" if all(job.record.get("drawn") == [] for job in jobs) else "the same scores"
    if starts := [job.record["start"]["f1"] for job in jobs if "start" in job.record]:
        row["start"] = _mean_and_spread(starts)
        row["start_target"] = jobs[0].record.get("target", "micro")
    if any("candidates" in job.record for job in jobs):
        row["candidates"] = _mean([job.record.get("candidates") for job in jobs])
    return row


def _prompt_tokens(job: Job) -> float | None:
    """Prompt tokens per sentence; None if they are not known."""
    counted = job.record.get("best") or job.record  # of a compilation: the best program, not the whole search
    used = (counted.get("tokens") or {}).get("prompt_tokens")
    return None if used is None or job.scores is None else used / max(1, job.scores["sentences"])


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean, or None if any value is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _mean_and_spread(values: Sequence[float]) -> dict[str, float | None]:
    """The mean, and the sample standard deviation if there are at least two values.

    >>> _mean_and_spread([0.25, 0.75])["mean"], _mean_and_spread([0.5])
    (0.5, {'mean': 0.5, 'spread': None})
    """
    return {"mean": statistics.fmean(values), "spread": statistics.stdev(values) if len(values) > 1 else None}


def _shown(job: Job, keys: Sequence[str]) -> dict[str, Any]:
    """The settings that distinguish the job from others; if there are none, its main choices."""
    return {key: job.settings[key] for key in (keys or _MAIN) if key in job.settings}


def _unscored(job: Job, keys: Sequence[str]) -> dict[str, Any]:
    status = job.record.get("status")
    state = {"started": "unfinished", "finished": "no scores"}.get(str(status), "failed")
    return {"settings": _shown(job, keys), "job": job.path, "seed": job.seed, "status": state, "error": job.error}


def _notes(bases: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Remarks to show with the figures."""
    notes = [f"{letter}: {basis}" for letter, basis in bases.items()]
    if len(bases) > 1:
        notes.append("Scores with different letters were measured on different data or settings; each letter has its own ranking.")
    if any(len(row["jobs"]) > 1 and "equal" not in row for row in rows):
        notes.append("±: sample standard deviation over seeds. Seconds, tokens and US$ are means.")
    if any("offsets" in row for row in rows):
        notes.append("Offsets: micro F1 on the annotators' own character offsets, some of which tokens cannot express.")
    if any("candidates" in row for row in rows):
        notes.append("With candidates: scores and prompts of the best program on dev; seconds and US$ of the whole search.")
    if targets := sorted({row["start_target"] for row in rows if "start" in row}):
        notes.append(f"Start F1: {' or '.join(targets)} F1 on the same sentences of the program that the compilation started from.")
    for row in rows:
        row_name = f"{row['basis']}{row['rank']}"
        if "equal" in row:
            notes.append(f"{row_name}: {len(row['jobs'])} jobs count once: {row['equal']}")
        if len(set(map(str, row["seeds"]))) < len(row["seeds"]):
            notes.append(f"{row_name}: {len(row['jobs'])} jobs, some with the same seed")
        if failed := row["failed_sentences"]:
            notes.append(
                f"{row_name}: {failed} {plural(failed, 'sentence')} failed and {plural(failed, 'was', 'were')} scored as all O"
            )
    return notes


def _letter(n: int) -> str:
    """The n-th name of a basis.

    >>> _letter(0), _letter(27)
    ('a', 'b2')
    """
    turn, place = divmod(n, 26)
    return string.ascii_lowercase[place] + (str(turn + 1) if turn else "")
