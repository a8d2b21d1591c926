"""transformers' Trainer as all trainings use it: losses, evaluation on dev, checkpoints, early stopping."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import torch
from safetensors import safe_open, SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from clinspan.tuning.options import Options
from clinspan.tuning.records import Encoded, pack

Progress = Callable[[int, int, float], None]
"""Told of each step: its number, how many there are at most, its loss."""
Best = Literal["loss", "f1"]
_STATE = "trainer_state.json"


class Where(TypedDict):
    """What every trainer is told besides what it trains."""

    folder: Path
    seed: int
    progress: Progress | None


def answer_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The sum over a packed batch's answer tokens of the negative logarithm of their probability."""
    read = {key: batch[key] for key in ("input_ids", "position_ids", "attention_mask")}
    logits = model(**read, logits_to_keep=batch["places"], use_cache=False).logits[0]
    return functional.cross_entropy(logits.float(), batch["labels"], reduction="sum")


class EpochTrainer(Trainer):
    """Trains on summed losses, so that every target of a step counts the same, whatever batch it is in.

    A subclass says what a batch's loss is and how dev is judged.

    Args:
        model: The model, with an adapter or without.
        options: How.
        train: Examples to train on.
        judged: Whether there is something to judge by; if not there is no early stopping.
        collate: Makes a batch of examples, with its targets as `labels`.
        best: What dev is judged by, `loss` or `f1`.
        folder: For checkpoints.
        seed: Of the examples' order and of dropout.
        progress: Told of each step.
    """

    control: Any

    def __init__(
        self,
        model: Any,
        options: Options,
        train: Sequence[Any],
        *,
        judged: bool,
        collate: Callable[[Sequence[Any]], dict[str, Tensor]],
        best: Best,
        folder: Path,
        seed: int,
        progress: Progress | None,
    ) -> None:
        arguments = training_arguments(options, folder, seed=seed, best=best if judged else None, device=model.device)
        watch: list[Any] = [_Watch(self, options.checkpoint_minutes * 60, progress)]
        if judged:
            watch.append(EarlyStoppingCallback(early_stopping_patience=options.patience))
        dev: Any = train[:1] if judged else None  # the Trainer wants one to evaluate; `judge` has its own
        super().__init__(model=model, args=arguments, data_collator=collate, train_dataset=train, eval_dataset=dev, callbacks=watch)
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True  # `compute_loss` divides by the step's tokens
        self.last_loss = 0.0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The part of a step's mean loss that one batch has."""
        total = self.total_loss(model, inputs)
        self.last_loss = total.item() / len(inputs["labels"])
        return total / (len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch)

    def total_loss(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The sum of the losses of a batch's `labels`."""
        raise NotImplementedError

    def judge(self) -> dict[str, float]:
        """What dev says of the model as it is: its mean `loss` a target and, if training goes by it, its `f1`."""
        raise NotImplementedError

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Judge, and tell the Trainer."""
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            metrics = {f"eval_{name}": value for name, value in self.judge().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class AnswerTrainer(EpochTrainer):
    """Trains on answers alone, in packed batches.

    Args:
        model: The model, with an adapter or without.
        options: How.
        train: Records to train on.
        dev: Records to judge by, by their loss.
        folder: For checkpoints.
        seed: Of the records' order and of dropout.
        progress: Told of each step.
    """

    def __init__(
        self, model: Any, options: Options, train: Sequence[Encoded], dev: Sequence[Encoded], **where: Unpack[Where]
    ) -> None:
        super().__init__(model, options, train, judged=bool(dev), collate=pack, best="loss", **where)
        self.dev = dev

    def total_loss(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        return answer_loss(model, batch)

    def judge(self) -> dict[str, float]:
        """Mean loss an answer token of the dev records, however they fall into batches."""
        total, tokens = 0.0, 0
        for batch in self.get_eval_dataloader(self.dev):
            total += float(answer_loss(self.model, self._prepare_inputs(batch)))
            tokens += len(batch["labels"])
        return {"loss": total / tokens}


class _Watch(TrainerCallback):
    """Tells of each step and asks for checkpoints by the clock."""

    def __init__(self, trainer: EpochTrainer, seconds: float, progress: Progress | None) -> None:
        self.trainer, self.seconds, self.progress = trainer, seconds, progress
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_save |= time.monotonic() - self.saved > self.seconds
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps, self.trainer.last_loss)
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()


def training_arguments(options: Options, folder: Path, *, seed: int, best: Best | None, device: torch.device) -> TrainingArguments:
    """The options in the Trainer's words; on CUDA it computes in half precision. `best` is None where nothing judges."""
    judged = best is not None
    cuda = device.type == "cuda"
    half = cuda and torch.cuda.is_bf16_supported()
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=0.0 if options.schedule == "constant" else options.warmup,
        weight_decay=options.weight_decay,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        eval_strategy="epoch" if judged else "no",
        logging_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=judged,
        metric_for_best_model=f"eval_{best}" if judged else None,
        greater_is_better=best == "f1" if judged else None,
        seed=seed,
        use_cpu=not cuda,
        bf16=half,
        fp16=cuda and not half,
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def train_on(trainer: EpochTrainer) -> None:
    """Train from the last checkpoint of the trainer's folder, or from the beginning."""
    checkpoint = last_checkpoint(Path(trainer.args.output_dir))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole, its own paths set right if the run was moved; torn ones are removed."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True):
        try:
            state = json.loads((path / _STATE).read_text(encoding="utf-8"))
            _check_tensors(path)
        except (OSError, ValueError, SafetensorError):
            shutil.rmtree(path)
            continue
        if best := state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = str(folder / Path(best).name)
            (path / _STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        return path
    return None


def _check_tensors(checkpoint: Path) -> None:
    """
    Raises:
        ValueError, SafetensorError: A file ends early, as a power failure can leave it.
    """
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, framework="pt"):
            pass
    for path in (*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")):
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path.name} has no end")
