"""`clinspan COMMAND ...`: the installed command, equivalent to `python -m programs.COMMAND ...`."""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import runpy
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from clinspan.corpora.errors import InputError
from clinspan.programs.app.command_help import command_help, purpose
from clinspan.programs.app.pipes import quiet_pipe
from clinspan.programs.config.command_line import parse

COMMANDS = (
    *("start", "init", "check", "run", "optimize", "compare", "finetune", "annotate"),
    *("report", "score", "runs", "export", "convert", "stats", "doctor"),
)
"""All commands, in the order in which one meets them."""


def main() -> None:
    """Run the command that the first word names. Help loads no command."""
    try:
        with quiet_pipe():
            _main(sys.argv[1:])
    except KeyboardInterrupt:  # while the command was loaded; later ones say how to go on
        print("clinspan: interrupted", file=sys.stderr, flush=True)
        os._exit(128 + signal.SIGINT)  # libraries that are half loaded may not end in order


def _main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if words == ["--version"]:
        print(f"clinspan {importlib.import_module('clinspan').__version__}")
        return
    try:
        words = command_first(words)
        line = parse(words[1:] if words[0] in COMMANDS else words)
        if line.completes:
            from clinspan.programs.app.completion import complete

            complete(line.words, COMMANDS)
            return
    except InputError as error:
        _stop(str(error))
    if words[0] not in COMMANDS:
        _stop(refusal(words))
    if line.help:
        print(command_help(f"clinspan {words[0]}", words[0], purpose(_docstring(words[0])), line))
        return
    sys.argv = [f"clinspan {words[0]}", *words[1:]]
    runpy.run_module(f"clinspan.programs.{words[0]}", run_name="__main__", alter_sys=True)


def command_first(words: Sequence[str]) -> list[str]:
    """The words with the command before Hydra's options, which may precede it.

    Raises:
        InputError: An option does not exist, lacks its value or excludes another one.

    >>> command_first(["--config-dir", "mine", "run", "limit=3"])
    ['run', '--config-dir=mine', 'limit=3']
    """
    if not words[0].startswith("-"):
        return list(words)
    line = parse(words)
    return [*line.words[:1], *line.options, *line.own, *line.words[1:]]


def usage() -> str:
    """The help text: all commands, each with its purpose."""
    width = max(map(len, COMMANDS)) + 2
    rows = [f"  {command:{width}}{purpose(_docstring(command))}" for command in COMMANDS]
    return "\n".join(
        [
            "clinspan COMMAND [key=value ...]",
            "",
            *rows,
            "",
            "`clinspan COMMAND --help` shows examples and the main settings of a command, `--help-all` all of them.",
        ]
    )


def _docstring(command: str) -> str | None:
    """The docstring of a command's module, which is not imported."""
    spec = find_spec(f"clinspan.programs.{command}")
    assert spec is not None and spec.origin is not None
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


def refusal(words: Sequence[str]) -> str:
    """The error message for a first word that is not a command.

    >>> refusal(["rum", "limit=3"])
    'unknown command: rum. Did you mean clinspan run?'
    >>> refusal(["seed=1"]).split(", or")[0]
    'seed=1 is not a command. Write clinspan run seed=1'
    """
    word = words[0]
    if "=" in word or word.startswith("-"):
        others = ", ".join(name for name in COMMANDS if name != "run")
        return f"{word} is not a command. Write {shlex.join(['clinspan', 'run', *words])}, or another of: {others}"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"unknown command: {word}. " + (f"Did you mean clinspan {near[0]}?" if near else f"Known: {', '.join(COMMANDS)}.")


def _stop(message: str) -> NoReturn:
    print(f"clinspan: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
