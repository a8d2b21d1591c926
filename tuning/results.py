"""Results of a training: losses by epoch, and the folder of the model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TYPE_CHECKING, TypeVar

from clinspan.lms import ClassifierModel, LocalModel

if TYPE_CHECKING:
    from clinspan.tuning.trainer import EpochTrainer

Model = TypeVar("Model", LocalModel, ClassifierModel)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses and F1 of an epoch.

    Attributes:
        number: The epoch's number, from 1.
        train_loss: Mean loss during the epoch, in nats per answer token, or per word for token classifiers.
        dev_loss: The same on the dev records after the epoch.
        dev_f1: For token classifiers, micro F1 of the dev sentences' entities after the epoch.
        member: For several trainings, the number of the one that the epoch belongs to, from 1.
    """

    number: int
    train_loss: float | None
    dev_loss: float | None
    dev_f1: float | None = None
    member: int | None = None


@dataclass(frozen=True, slots=True)
class TuningResult(Generic[Model]):
    """A tuned model.

    Attributes:
        folder: Folder of the adapter or the whole model.
        model: The spec that uses it, for `lms.build` or `lms.build_classifier`.
        epochs: Losses of the epochs, in order.
        best: Number of the kept epoch; the last one if there are no dev records. For several trainings, that of the first.
        steps: Number of optimizer steps.
        records: Number of training records or sentences.
        dev_records: Number of dev records or sentences.
        left_out: Ids of training and dev records that were longer than `max_length`.
        parameters: Number of trained parameters.
        seconds: Duration of this call; a call that resumes from a checkpoint does not include earlier ones.
        members_f1: For several trainings, micro F1 of the dev sentences' entities by the averaged probabilities.
        decisions_f1: For token classifiers, the same by how mentions are chosen, see `decisions.ClassifierFit.f1`.
    """

    folder: Path
    model: Model
    epochs: tuple[Epoch, ...]
    best: int
    steps: int
    records: int
    dev_records: int
    left_out: tuple[str, ...]
    parameters: int
    seconds: float
    members_f1: float | None = None
    decisions_f1: Mapping[str, float] | None = None


def result_of(
    trainer: EpochTrainer,
    folder: Path,
    model: Model,
    *,
    records: int,
    dev_records: int,
    left_out: tuple[str, ...],
    began: float,
    decisions_f1: Mapping[str, float] | None = None,
) -> TuningResult[Model]:
    """The result of a finished trainer.

    Args:
        trainer: The trainer.
        folder: Where the model was saved.
        model: The spec that uses it.
        records: Number of training records or sentences.
        dev_records: Number of dev records or sentences.
        left_out: Ids of records that were too long.
        began: Start time by `time.monotonic`.
        decisions_f1: Micro F1 on dev by how mentions are chosen.
    """
    epochs = epochs_of(trainer.state.log_history)
    return TuningResult(
        folder=folder,
        model=model,
        epochs=epochs,
        best=best_of(epochs),
        steps=int(trainer.state.global_step),
        records=records,
        dev_records=dev_records,
        left_out=left_out,
        parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        seconds=time.monotonic() - began,
        decisions_f1=decisions_f1,
    )


def epochs_of(history: Sequence[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """The epochs' losses and F1, from the Trainer's log.

    >>> epochs_of([{"epoch": 1.0, "loss": 0.5}, {"epoch": 1.0, "eval_loss": 0.4}, {"epoch": 1.0, "train_loss": 0.5}])
    (Epoch(number=1, train_loss=0.5, dev_loss=0.4, dev_f1=None, member=None),)
    """
    entries: dict[int, dict[str, float]] = {}
    for entry in history:
        if "loss" in entry or "eval_loss" in entry:
            entries.setdefault(round(entry["epoch"]), {}).update(entry)
    rows = sorted(entries.items())
    return tuple(Epoch(number, row.get("loss"), row.get("eval_loss"), row.get("eval_f1")) for number, row in rows)


def best_of(epochs: Sequence[Epoch]) -> int:
    """The epoch with the highest dev F1 or, without F1, the lowest dev loss; the first of equals. Without dev, the last epoch.

    >>> best_of([Epoch(1, 0.5, 0.2, 0.1), Epoch(2, 0.4, 0.3, 0.6), Epoch(3, 0.3, 0.4, 0.6)])
    2
    """
    judged = [epoch for epoch in epochs if epoch.dev_loss is not None]
    if not judged:
        return epochs[-1].number if epochs else 0
    if judged[0].dev_f1 is not None:
        return max(judged, key=lambda epoch: (epoch.dev_f1, -epoch.number)).number
    return min(judged, key=lambda epoch: (epoch.dev_loss, epoch.number)).number
