"""Parameters, metrics and tags that MLflow receives, from `run.json` and `scores.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clinspan.programs.rundir.run_record import GitRecord, RunRecord
from clinspan.reports.settings import flattened

_SECRET = re.compile(r"(password|passwd|secret|token|api_?key)$", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s\"@]+@")
_UNFIT = re.compile(r"[^\w .:/-]")
_LONGEST = 500


def settings_of(record: RunRecord) -> dict[str, str]:
    """The config and the choices of a run as strings by dotted key, without keys that name a secret."""
    flat = {key: value for key, value in flattened(record.config).items() if not _SECRET.search(key)}
    flat |= {f"choice.{key}": option for key, option in record.choices.items()}
    return {_UNFIT.sub("_", key): without_credentials(str(value))[:_LONGEST] for key, value in flat.items()}


def without_credentials(text: str) -> str:
    """Remove the user names and passwords of URLs from a text.

    >>> without_credentials("at http://ann:pw@host/v1")
    'at http://host/v1'
    """
    return _CREDENTIALS.sub("", text)


def tags_of(record: RunRecord, scores: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Facts about a run that are not settings: state of the code, corpus, model, final status, signature of the scores."""
    git, corpus = record.git or GitRecord(), record.corpus
    tags = {
        "mlflow.source.git.commit": git.commit,
        "clinspan.git_dirty": git.dirty,
        "clinspan.corpus": corpus and corpus.name,
        "clinspan.corpus_sha256": corpus and corpus.sha256,
        "clinspan.corpus_split": corpus and corpus.split,
        "clinspan.model": record.model and record.model.id,
        "clinspan.status": record.status,
        "clinspan.error": record.error,
        "clinspan.signature": (scores or {}).get("signature"),
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def figures_of(record: RunRecord, scores: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a run by name: precision, recall and F1 of each type and average, tokens, time and cost.

    >>> record = RunRecord(status="finished", seconds=2.0, cost=None, tokens={"prompt_tokens": 7})
    >>> figures_of(record, {"micro": {"f1": 0.5}})
    {'micro/f1': 0.5, 'tokens/prompt_tokens': 7.0, 'seconds': 2.0}
    """
    parts = {"micro": scores.get("micro"), "macro": scores.get("macro"), **(scores.get("per_type") or {})}
    metrics: dict[str, Any] = {
        f"{name}/{figure}": (part or {}).get(figure) for name, part in parts.items() for figure in ("precision", "recall", "f1")
    }
    metrics |= {key: scores.get(key) for key in ("sentences", "failed")}
    metrics |= {f"tokens/{key}": value for key, value in record.tokens.items()}
    metrics |= {"seconds": record.seconds, "cost": record.cost, "candidates": record.candidates, "steps": record.steps}
    return {_UNFIT.sub("_", key): float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def histories_of(record: RunRecord) -> list[tuple[str, float, int]]:
    """Metrics of a training with one value per epoch: name, value, number of the epoch."""
    return [
        (name, value, epoch.number)
        for epoch in record.epochs or []
        for name, value in (("train_loss", epoch.train_loss), ("dev_loss", epoch.dev_loss), ("dev_f1", epoch.dev_f1))
        if value is not None
    ]
