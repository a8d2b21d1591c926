"""Progress and losses of a training on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.progress import ProgressBar


@contextmanager
def training_bar() -> Iterator[Callable[[int, int, float], None]]:
    """Progress bar on standard error; the function takes a step's number, the number of steps and the loss."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns) as bar:
        task = bar.add_task("training", total=None, loss=float("nan"))

        def show(step: int, steps: int, loss: float) -> None:
            bar.update(task, completed=step, total=steps, loss=loss)

        yield show


def print_training(record: Mapping[str, Any], scoring: str) -> None:
    """Print the losses by epoch, the kept epoch, the number of records left out, and how to score the model.

    Args:
        record: The content of `run.json`.
        scoring: The command that scores the model on test.
    """
    console = PlainConsole()
    records, corpus = record["records"], record["corpus"]["name"]
    console.print(
        f"{record['model']['name']}, {record['choices']['tuning']}: {records['train']:,} records of {corpus} train, "
        f"{records['dev']:,} of dev, {record['steps']:,} steps, {record['parameters']:,} trained parameters",
        soft_wrap=True,
    )
    table = Table()
    scored = any(epoch.get("dev_f1") is not None for epoch in record["epochs"])
    members = any(epoch.get("member") is not None for epoch in record["epochs"])
    for column in (*(["member"] if members else []), "epoch", "train loss", "dev loss", *(["dev F1"] if scored else []), ""):
        table.add_column(column, justify="right")
    for epoch in record["epochs"]:
        kept = "kept" if _is_kept(epoch, record) else ""
        figures = [epoch["train_loss"], epoch["dev_loss"], *([epoch["dev_f1"]] if scored else [])]
        member = [str(epoch["member"])] if members else []
        table.add_row(*member, str(epoch["number"]), *map(_figure, figures), kept)
    console.print(table)
    if record.get("members_f1") is not None:
        console.print(f"dev F1 of the averaged probabilities: {record['members_f1']:.4f}")
    if record.get("decisions_f1"):
        console.print(_decided(record["decisions_f1"]), soft_wrap=True)
    elif record["config"].get("tuning", {}).get("decisions", "tags") != "tags":
        need = "one tag a word, and at least 500 mentions in 6 documents of dev"
        console.print(f"mentions are those of the most probable tags: fitted decisions need {need}", soft_wrap=True)
    if left_out := sum(records["left_out"].values()):
        console.print(f"{left_out} {plural(left_out, 'record was', 'records were')} longer than tuning.max_length and left out")
    if record.get("test_sentences") == 0:
        console.print(f"{record['seconds']:.0f} s; the corpus has no test split to score it on")
        return
    console.print(f"{record['seconds']:.0f} s; to score it on test:")
    console.print(scoring, soft_wrap=True, markup=False, highlight=False)


def _decided(scores: Mapping[str, float]) -> str:
    """How mentions are chosen, and what was tried.

    >>> _decided({"tags": 0.61, "offsets": 0.604, "regression": 0.632})
    'mentions are chosen by regression, dev F1 0.6320; tags 0.6100, offsets 0.6040'
    """
    best = max(scores, key=lambda name: scores[name])
    others = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if name != best)
    return f"mentions are chosen by {best}, dev F1 {scores[best]:.4f}; {others}"


def _is_kept(epoch: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether the weights of an epoch are kept: of several trainings, each keeps its epoch with the highest F1, or its last one.

    >>> epochs = [{"member": 1, "number": 1, "dev_f1": 0.2}, {"member": 1, "number": 2, "dev_f1": 0.1}, {"member": 2, "number": 1}]
    >>> [_is_kept(epoch, {"epochs": epochs}) for epoch in epochs]
    [True, False, True]
    """
    if epoch.get("member") is None:
        return bool(epoch["number"] == record["best_epoch"])
    same = [one for one in record["epochs"] if one.get("member") == epoch["member"]]
    if epoch.get("dev_f1") is None:
        return epoch is same[-1]
    return epoch is max(same, key=lambda one: (one["dev_f1"], -one["number"]))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
