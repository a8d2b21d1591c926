"""What a command prints as its result: the path of its folder, last, or one JSON document with `--json`.

Both go to standard output. With `--json` and with `--display none`, nothing else does; messages go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, TextIO

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.config.command_line import CommandLine
from clinspan.reports.terminal.console import display_of

DOCUMENT_KEYS: dict[str, tuple[str, ...]] = {
    "annotate": (
        *("folder", "input", "to", "documents", "sentences", "cuts", "entities", "repairs"),
        *("failures", "tokens", "cost", "seconds"),
    ),
    "check": ("corpus", "verdicts"),
    "compare": ("folder", "samples", "seed", "runs", "pairs"),
    "doctor": ("verdicts",),
    "finetune": (
        *("folder", "corpus", "model", "tuning", "records", "epochs", "best_epoch", "steps", "parameters"),
        *("seconds", "use"),
    ),
    "optimize": (
        *("folder", "program", "corpus", "model", "optimizer", "split", "start", "best", "candidates"),
        *("micro", "macro", "per_type", "intervals", "tokens", "cost", "seconds"),
    ),
    "optimize_plan": (
        *("sentence", "prompt", "candidates", "sentences", "requests", "taught", "prompt_tokens", "answer_tokens"),
        *("counted", "unknown", "seconds", "cost"),
    ),
    "plan": (
        *("sentence", "prompt", "sentences", "requests", "prompt_tokens", "answer_tokens", "counted"),
        *("seconds", "cost"),
    ),
    "report": ("folder", "page", "settings", "bases", "rows", "unscored", "notes"),
    "run": (
        *("folder", "report", "corpus", "split", "model", "choices", "signature", "sentences", "documents", "failed"),
        *("micro", "macro", "per_type", "intervals", "tokens", "cost", "seconds"),
    ),
    "runs": ("runs",),
    "score": ("output", "results"),
    "stats": ("folder", "corpus", "sha256", "splits"),
}
"""The keys of the JSON document of each command that prints one; `docs/json-output.md` says what they are."""


class _Shown:
    """How results are shown in this process.

    Attributes:
        json: Whether as JSON documents.
        out: Standard output, while other output to it is discarded.
    """

    json: ClassVar[bool] = False
    out: ClassVar[TextIO | None] = None


@contextmanager
def as_json(command: str) -> Iterator[None]:
    """Print results as JSON within the block.

    Raises:
        InputError: The command prints no JSON document.
    """
    if command not in DOCUMENT_KEYS:
        raise InputError(f"{command} prints no JSON document", remedy=f"--json is for {', '.join(DOCUMENT_KEYS)}.")
    _Shown.json = True
    try:
        yield
    finally:
        _Shown.json = False


def printed_as(command: str, line: CommandLine) -> AbstractContextManager[None]:
    """How the result of a command is printed, by its command line.

    Raises:
        InputError: JSON is asked for, and the command prints none or runs several jobs.
    """
    if not line.json:
        return nullcontext()
    if "--multirun" in line.options:
        raise InputError("a sweep has several results", remedy="Leave --json out; report --json gives the results of a sweep.")
    return as_json(command)


def is_json() -> bool:
    """Whether results are printed as JSON documents."""
    return _Shown.json


@contextmanager
def only_results() -> Iterator[None]:
    """Discard what is printed within the block except results, with `--json` and with `--display none`."""
    if not _Shown.json and display_of(sys.stdout) != "none":
        yield
        return
    _Shown.out = sys.stdout
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as sink, redirect_stdout(sink):
            yield
    finally:
        _Shown.out = None


def give(command: str, folder: Path | None, document: Callable[[], Mapping[str, Any]]) -> None:
    """Print the result of a command: last its folder, if it has one, or its JSON document.

    Args:
        command: The command.
        folder: The folder.
        document: Makes the content of the document with the keys of `DOCUMENT_KEYS`; called for JSON only. `folder` is added.
    """
    if not _Shown.json:
        if folder is not None:
            print(printable(str(folder)), file=_Shown.out or sys.stdout)
        return
    content = dict(document())
    if "folder" in DOCUMENT_KEYS[command]:
        content["folder"] = str(folder)
    assert content.keys() == set(DOCUMENT_KEYS[command]), sorted(content.keys() ^ set(DOCUMENT_KEYS[command]))
    ordered = {key: content[key] for key in DOCUMENT_KEYS[command]}
    print(json.dumps(ordered, ensure_ascii=False), file=_Shown.out or sys.stdout, flush=True)
