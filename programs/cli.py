"""`clinspan COMMAND ...`: the installed command, equivalent to `python -m programs.COMMAND ...`."""

from __future__ import annotations

import ast
import difflib
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

COMMANDS = ("run", "optimize", "finetune", "annotate", "compare", "report", "stats", "convert")


def main() -> None:
    """Run the command that the first word names. Help loads no command."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if words[0] not in COMMANDS:
        print(f"clinspan: {refusal(words)}", file=sys.stderr)
        sys.exit(2)
    if words[1:2] in (["-h"], ["--help"]):
        print(command_usage(words[0]))
        return
    sys.argv = [f"clinspan {words[0]}", *words[1:]]
    runpy.run_module(f"clinspan.programs.{words[0]}", run_name="__main__", alter_sys=True)


def usage() -> str:
    """The help text: all commands, each with its purpose."""
    width = max(map(len, COMMANDS)) + 2
    rows = [f"  {command:{width}}{purpose(command)}" for command in COMMANDS]
    return "\n".join(
        ["clinspan COMMAND [key=value ...]", "", *rows, "", "`clinspan COMMAND --help` lists the settings of a command."]
    )


def command_usage(command: str) -> str:
    """The help text of a command: its purpose, its groups with their options, and its own settings with their comments."""
    conf = Path(__file__).resolve().parents[1] / "conf"
    lines = (conf / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line == "defaults:")
    own = [line for line in lines[first + 1 :] if not line.startswith("  - ")]
    end = next((n for n, line in enumerate(own) if line.startswith("hydra:")), len(own))
    groups = [line[4:].split(":")[0] for line in lines[first + 1 :] if line.startswith("  - ") and ":" in line]
    options = {group: sorted(path.stem for path in (conf / group).glob("*.yaml")) for group in groups}
    width = max(map(len, options), default=0) + 1
    chosen = [f"  {group + '=':{width}} {' | '.join(names)}" for group, names in options.items() if names]
    settings = [f"  {line}" for line in own[:end] if line.strip()]
    head = f"clinspan {command} [key=value ...]: {purpose(command)}"
    return "\n".join([head, *(["", "choices", *chosen] if chosen else []), *(["", "settings", *settings] if settings else [])])


def purpose(command: str) -> str:
    """The purpose of a command: the first line of its module docstring, after the command's name."""
    spec = find_spec(f"clinspan.programs.{command}")
    assert spec is not None and spec.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.split("\n", 1)[0].split("`: ", 1)[-1].rstrip(".")


def refusal(words: list[str]) -> str:
    """The error message for a first word that is not a command.

    >>> refusal(["rum", "limit=3"])
    'unknown command: rum. Did you mean clinspan run?'
    >>> refusal(["seed=1"]).split(", or")[0]
    'seed=1 is not a command. Write clinspan run seed=1'
    """
    word = words[0]
    if "=" in word or word.startswith("-"):
        return f"{word} is not a command. Write clinspan run {' '.join(words)}, or another of: {', '.join(COMMANDS[1:])}"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"unknown command: {word}. " + (f"Did you mean clinspan {near[0]}?" if near else f"Known: {', '.join(COMMANDS)}.")


if __name__ == "__main__":
    main()
