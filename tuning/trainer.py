"""transformers' Trainer on packed batches: its loss, its dev loss, its checkpoints."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from tuning.options import Options
from tuning.records import Encoded, pack

Progress = Callable[[int, int, float], None]
"""Told of each step: its number, how many there are at most, its loss."""
_STATE = "trainer_state.json"


def answer_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The sum over a packed batch's answer tokens of the negative logarithm of their probability."""
    read = {key: batch[key] for key in ("input_ids", "position_ids", "attention_mask")}
    logits = model(**read, logits_to_keep=batch["places"], use_cache=False).logits[0]
    return functional.cross_entropy(logits.float(), batch["labels"], reduction="sum")


class AnswerTrainer(Trainer):
    """Trains on answers alone; every answer token of a step counts the same, whatever batch it is in.

    Args:
        model: The model, with an adapter or without.
        options: How.
        train: Records to train on.
        dev: Records to judge by; without any there is no early stopping.
        folder: For checkpoints.
        seed: Of the records' order and of dropout.
        progress: Told of each step.
    """

    control: Any

    def __init__(
        self,
        model: Any,
        options: Options,
        train: Sequence[Encoded],
        dev: Sequence[Encoded],
        *,
        folder: Path,
        seed: int,
        progress: Progress | None,
    ) -> None:
        arguments = training_arguments(options, folder, seed=seed, judged=bool(dev), device=model.device)
        watch: list[Any] = [_Watch(self, options.checkpoint_minutes * 60, progress)]
        if dev:
            watch.append(EarlyStoppingCallback(early_stopping_patience=options.patience))
        super().__init__(
            model=model, args=arguments, data_collator=pack, train_dataset=train, eval_dataset=dev or None, callbacks=watch
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True  # `compute_loss` divides by the step's tokens
        self.last_loss = 0.0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The part of a step's mean loss that one batch has."""
        total = answer_loss(model, inputs)
        self.last_loss = total.item() / len(inputs["labels"])
        return total / (len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss an answer token of the dev records, however they fall into batches."""
        self.model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self.get_eval_dataloader():
                total += float(answer_loss(self.model, self._prepare_inputs(batch)))
                tokens += len(batch["labels"])
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Watch(TrainerCallback):
    """Tells of each step and asks for checkpoints by the clock."""

    def __init__(self, trainer: AnswerTrainer, seconds: float, progress: Progress | None) -> None:
        self.trainer, self.seconds, self.progress = trainer, seconds, progress
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_save |= time.monotonic() - self.saved > self.seconds
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps, self.trainer.last_loss)
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()


def training_arguments(options: Options, folder: Path, *, seed: int, judged: bool, device: torch.device) -> TrainingArguments:
    """The options in the Trainer's words; on CUDA it computes in half precision."""
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
        metric_for_best_model="eval_loss" if judged else None,
        greater_is_better=False if judged else None,
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


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole, its own paths set right if the run was moved; torn ones are removed."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True):
        try:
            state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
            continue
        if best := state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = str(folder / Path(best).name)
            (path / _STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        return path
    return None
