"""What training leaves: losses by epoch, a folder, and the model that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lms import LocalModel


@dataclass(frozen=True, slots=True)
class Epoch:
    """Mean loss an answer token in nats: on the training records while it went on, on the dev records behind it."""

    number: int
    train_loss: float | None
    dev_loss: float | None


@dataclass(frozen=True, slots=True)
class TuningResult:
    """A model that was tuned.

    Attributes:
        folder: The adapter or the whole model.
        model: The spec that uses it, for `lms.build`.
        epochs: Losses, in order.
        best: Number of the epoch that was kept; the last where there are no dev records.
        steps: Steps of the optimizer.
        records: Records that were trained on.
        dev_records: Records of the dev loss.
        left_out: Ids of records, of either kind, that were longer than `max_length`.
        parameters: How many numbers were trained.
        seconds: Of this call; one that goes on from a checkpoint does not know of those before.
    """

    folder: Path
    model: LocalModel
    epochs: tuple[Epoch, ...]
    best: int
    steps: int
    records: int
    dev_records: int
    left_out: tuple[str, ...]
    parameters: int
    seconds: float


def epochs_of(history: Sequence[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """Losses by epoch from the Trainer's log.

    >>> epochs_of([{"epoch": 1.0, "loss": 0.5}, {"epoch": 1.0, "eval_loss": 0.4}, {"epoch": 1.0, "train_loss": 0.5}])
    (Epoch(number=1, train_loss=0.5, dev_loss=0.4),)
    """
    found: dict[int, dict[str, float]] = {}
    for entry in history:
        if "loss" in entry or "eval_loss" in entry:
            found.setdefault(round(entry["epoch"]), {}).update(entry)
    return tuple(Epoch(number, row.get("loss"), row.get("eval_loss")) for number, row in sorted(found.items()))


def best_of(epochs: Sequence[Epoch]) -> int:
    """The epoch with the lowest dev loss, of equal ones the first; without dev losses the last."""
    judged = [epoch for epoch in epochs if epoch.dev_loss is not None]
    if not judged:
        return epochs[-1].number if epochs else 0
    return min(judged, key=lambda epoch: (epoch.dev_loss, epoch.number)).number
