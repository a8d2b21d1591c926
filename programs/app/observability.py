"""Observers of a run: experiment tracking and tracing, as `tracking=` and `tracing=` select."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.composition import build
from clinspan.programs.config.privacy import check_destinations, Permission
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.telemetry.tracing import note, NoTracing
from clinspan.programs.telemetry.tracking import NoTracking

FOLLOWERS = ("tracking", "tracing")
"""The config groups of the observers. They have no effect on what a run does."""


@contextmanager
def observed(config: DictConfig, run: OpenRun, *, command: str) -> Iterator[None]:
    """Track and trace the enclosed block.

    Args:
        config: The run's config.
        run: The run.
        command: The name of the command.

    Raises:
        RunError: The tracker is on another machine, to which the corpus may not be sent, or it cannot be used.
    """
    tracker = build(config.tracking) if config.get("tracking") else NoTracking()
    tracing = build(config.tracing) if config.get("tracing") else NoTracing()
    texts, leave = protected_texts(config), Permission.of(config)

    def guard(what: str, address: str) -> None:
        check_destinations(texts, what=what, addresses=[address], leave=leave)

    with tracker.follow(run, command=command, guard=guard), tracing.spans(f"clinspan.{command}", _about(run.record)):
        yield
        note(_outcome(run.record))


def observers(config: DictConfig, given: Collection[str]) -> dict[str, Any]:
    """The observer groups of a config that the user has set."""
    overrides = {key.split(".")[0] for key in given}
    return {key: config[key] for key in FOLLOWERS if key in overrides}


def without_observers(config: Any) -> Any:
    """A config without its observer groups, as a plain dictionary. Configs that differ only in observers describe the same run."""
    return {key: value for key, value in (config or {}).items() if key not in FOLLOWERS}


def _about(record: RunRecord) -> dict[str, Any]:
    chosen = {f"clinspan.{key}": str(option) for key, option in record.choices.items()}
    commit = record.git.commit if record.git else None
    return {**chosen, "clinspan.seed": record.config["seed"], **({"clinspan.git_commit": commit} if commit else {})}


def _outcome(record: RunRecord) -> dict[str, Any]:
    counts = record.counts.content() if record.counts else {}
    return {
        "status": record.status,
        "sentences": counts.get("sentences"),
        "failed": counts.get("failed"),
        **{key: record.tokens.get(key) for key in ("prompt_tokens", "answer_tokens")},
    }
