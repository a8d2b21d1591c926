"""Training options: one frozen class per `tuning=` option. Unknown keys are rejected by the constructors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args, Literal

from clinspan.corpora import InputError
from clinspan.corpora.full_mentions import check_mentions, Mentions

Schedule = Literal["constant", "linear", "cosine"]
Deciding = Literal["tags", "fitted", "counted"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every way to train.

    Attributes:
        name: Name in records.
        learning_rate: The highest learning rate.
        schedule: How the rate changes after warm-up: `constant`, or down to 0 at the end, `linear` or `cosine`.
        warmup: Fraction of all steps in which the rate rises from 0; not used with `constant`.
        weight_decay: Weight decay of AdamW.
        epochs: Maximum number of passes over the records.
        patience: Training stops after this many epochs without a lower loss on the dev records.
        batch_size: Records per forward pass.
        accumulation: Batches per optimizer step.
        max_length: Maximum number of tokens of a prompt with its answer. Longer records are left out and counted.
        checkpoint_minutes: Minutes between checkpoints; there is also one at the end of each epoch.
    """

    name: str
    learning_rate: float
    schedule: Schedule = "linear"
    warmup: float = 0.05
    weight_decay: float = 0.0
    epochs: int = 3
    patience: int = 2
    batch_size: int = 8
    accumulation: int = 1
    max_length: int = 2048
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        _one_of("schedule", self.schedule, get_args(Schedule))
        for key in ("learning_rate", "epochs", "patience", "batch_size", "accumulation", "max_length", "checkpoint_minutes"):
            _at_least(key, getattr(self, key), 0 if isinstance(getattr(self, key), float) else 1)
        if not 0 <= self.warmup < 1 or self.weight_decay < 0:
            raise InputError(
                "tuning.warmup must be at least 0 and below 1, and tuning.weight_decay must not be negative",
                remedy="Use 0.05 and 0.",
            )


@dataclass(frozen=True, kw_only=True)
class Full(Options):
    """Trains all weights; the result is a whole model."""

    name: str = "full"
    learning_rate: float = 5e-5


@dataclass(frozen=True, kw_only=True)
class Lora(Options):
    """Trains low-rank matrices beside all linear layers (Hu et al. 2022); the result is an adapter.

    Attributes:
        rank: Rank of the matrices.
        alpha: The product of the matrices is scaled by `alpha / rank`.
        dropout: Dropout of the matrices' input.
        quantization: `4bit`: the base weights are held in NF4 (QLoRA, Dettmers et al. 2023), with bitsandbytes on CUDA.
    """

    name: str = "lora"
    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    quantization: Literal["4bit"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_matrices(self.rank, self.alpha, self.dropout)
        if self.quantization not in (None, "4bit"):
            raise InputError(f"tuning.quantization={self.quantization} is not known", remedy="Use 4bit or null.")


@dataclass(frozen=True, kw_only=True)
class Encoder(Options):
    """Trains all weights of an encoder and a new head to classify words; the result is a whole model.

    The epoch with the best micro F1 on the dev sentences is kept, and `patience` counts epochs without a better F1.
    Sentences of more than `max_length` sub-words are read in overlapping windows.

    Attributes:
        members: Number of trainings, with seeds from `seed` on, whose probabilities are averaged.
        mentions: `flat`: a word has one tag; `full`: one of each label, so that mentions of different labels may overlap.
            None: `full` if the corpus was read with `corpus.mentions=full`.
        decisions: Which possible mentions count. `tags`: those in the most probable legal tags. `fitted`: those that decisions
            choose which are fitted on dev, if their F1 there is higher. `counted`: decisions may also weigh how often train
            annotates phrases like a phrase; then the train split is needed wherever the classifier runs. Layers have `tags`.
    """

    name: str = "encoder"
    learning_rate: float = 5e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    epochs: int = 8
    patience: int = 3
    batch_size: int = 16
    max_length: int = 256
    members: int = 1
    mentions: Mentions | None = None
    decisions: Deciding = "fitted"

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("members", self.members, 1)
        _one_of("decisions", self.decisions, get_args(Deciding))
        if self.mentions is not None:
            check_mentions("tuning.mentions", self.mentions)


@dataclass(frozen=True, kw_only=True)
class LabelSupervised(Encoder):
    """Trains a decoder without its causal mask to classify words (Li et al. 2023, "Label supervised LLaMA finetuning").

    Attributes:
        rank: Rank of low-rank matrices beside all linear layers, trained with the head. None: all weights are trained.
        alpha: The product of the matrices is scaled by `alpha / rank`.
        dropout: Dropout of the matrices' input.
    """

    name: str = "label_supervised"
    rank: int | None = 16
    alpha: int = 32
    dropout: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_matrices(1 if self.rank is None else self.rank, self.alpha, self.dropout)
        if self.members > 1 and self.rank is not None:
            raise InputError(f"tuning.members={self.members} needs whole models", remedy="Set tuning.rank=null too.")


def _check_matrices(rank: int, alpha: int, dropout: float) -> None:
    _at_least("rank", rank, 1)
    _at_least("alpha", alpha, 1)
    if not 0 <= dropout < 1:
        raise InputError(f"tuning.dropout={dropout} is not a fraction", remedy="Use a number from 0 to below 1.")


def _one_of(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"tuning.{key}={value} is not known", remedy=f"Use one of {', '.join(known)}.")


def _at_least(key: str, value: float, least: int) -> None:
    if value < least or value == 0:
        raise InputError(f"tuning.{key}={value} is too small", remedy=f"Use {'at least 1' if least else 'a positive number'}.")
