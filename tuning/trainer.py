"""The subclasses of transformers' Trainer: losses, evaluation on dev, checkpoints, early stopping."""

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
"""Called after each step with its number, the maximum number of steps and its loss."""
Best = Literal["loss", "f1"]
_STATE = "trainer_state.json"


class Where(TypedDict):
    """The arguments that all trainers share."""

    folder: Path
    seed: int
    progress: Progress | None


def answer_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Negative log-likelihood of the answer tokens, summed over a packed batch."""
    inputs = {key: batch[key] for key in ("input_ids", "position_ids", "attention_mask")}
    logits = model(**inputs, logits_to_keep=batch["places"], use_cache=False).logits[0]
    return functional.cross_entropy(logits.float(), batch["labels"], reduction="sum")


class EpochTrainer(Trainer):
    """Trains on summed losses, so that every target of a step has the same weight in all of its batches.

    A subclass defines the loss of a batch and the evaluation on dev.

    Args:
        model: The model, with an adapter or without.
        options: Training options.
        train: Examples to train on.
        judged: Whether there are dev data to evaluate on; if not, there is no early stopping.
        collate: Makes a batch of examples, with its targets as `labels`.
        best: The dev metric that selects the epoch, `loss` or `f1`.
        folder: Folder for checkpoints.
        seed: Seed of the example order and of dropout.
        progress: Called after each step.
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
        dev: Any = train[:1] if judged else None  # the Trainer requires an eval dataset; `judge` uses its own data
        super().__init__(model=model, args=arguments, data_collator=collate, train_dataset=train, eval_dataset=dev, callbacks=watch)
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True  # `compute_loss` divides by the step's tokens
        self.last_loss = 0.0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The share of one batch in the mean loss of a step."""
        total = self.total_loss(model, inputs)
        self.last_loss = total.item() / len(inputs["labels"])
        return total / (len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch)

    def total_loss(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The sum of the losses of a batch's `labels`."""
        raise NotImplementedError

    def judge(self) -> dict[str, float]:
        """Evaluate the current model on dev: mean `loss` per target and, if it selects the epoch, `f1`."""
        raise NotImplementedError

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Evaluate on dev, and pass the metrics to the Trainer."""
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            metrics = {f"eval_{name}": value for name, value in self.judge().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class AnswerTrainer(EpochTrainer):
    """Trains on the loss of the answers alone, in packed batches.

    Args:
        model: The model, with an adapter or without.
        options: Training options.
        train: Records to train on.
        dev: Records to evaluate the loss on.
        folder: Folder for checkpoints.
        seed: Seed of the record order and of dropout.
        progress: Called after each step.
    """

    def __init__(
        self, model: Any, options: Options, train: Sequence[Encoded], dev: Sequence[Encoded], **where: Unpack[Where]
    ) -> None:
        super().__init__(model, options, train, judged=bool(dev), collate=pack, best="loss", **where)
        self.dev = dev

    def total_loss(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        return answer_loss(model, batch)

    def judge(self) -> dict[str, float]:
        """Mean loss per answer token of the dev records, independent of the batches."""
        total, tokens = 0.0, 0
        for batch in self.get_eval_dataloader(self.dev):
            total += float(answer_loss(self.model, self._prepare_inputs(batch)))
            tokens += len(batch["labels"])
        return {"loss": total / tokens}


class _Watch(TrainerCallback):
    """Reports each step and requests a checkpoint at fixed time intervals."""

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
    """The options as the Trainer's arguments; on CUDA it computes in half precision. `best` is None without dev data."""
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
        use_cpu=device.type == "cpu",
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
    """The newest complete checkpoint, with its paths corrected if the run was moved; incomplete ones are removed."""
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
    """Check that the checkpoint's tensor files are complete.

    Raises:
        ValueError, SafetensorError: A file is truncated, for example by a power failure.
    """
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, framework="pt"):
            pass
    for path in (*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")):
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path.name} has no end")
