"""The words of a command line: Hydra's options, which may stand anywhere, and overrides. Hydra, slow to import, is not."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from clinspan.corpora.errors import InputError

_FLAGS = (("--help", "-h"), ("--help-all",), ("--hydra-help",), ("--version",), ("--resolve",))
_OWN = ("--json", "--display", "--where")
"""Options that are not Hydra's."""
DISPLAYS = ("none", "plain", "rich")
_VALUES = (
    ("--package", "-p"),
    ("--config-path", "-cp"),
    ("--config-name", "-cn"),
    ("--config-dir", "-cd"),
    ("--experimental-rerun",),
)
_ACTIONS = (("--run", "-r"), ("--multirun", "-m"), ("--shell-completion", "-sc"))
_NAMES = (*_FLAGS, *_VALUES, *_ACTIONS, ("--cfg",), ("--info",), _OWN)
OPTIONS = [name for names in _NAMES for name in names if name.startswith("--")]
"""All options by their long names."""
PROJECT_FILE = "clinspan.yaml"
PROJECT_COMMANDS = (
    *("run", "optimize", "finetune", "annotate", "score", "compare", "report", "export", "runs", "stats", "convert"),
    *("check", "init", "doctor"),
)
"""The commands that read the project file, those with most settings first."""
_LISTED = "--hydra-help lists the options."
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line in two parts.

    Attributes:
        options: Hydra's options, each as one word.
        words: All other words, in order.
        config_dir: The folder of `--config-dir`.
        config_name: The name of `--config-name`.
        config_path: The value of `--config-path`.
        rerun: The file of `--experimental-rerun`.
        own: Options that are not Hydra's, each as one word.
        json: Whether the result is printed as JSON (`--json`).
        display: The value of `--display`.
        where: The setting whose source is asked for (`--where GROUP=OPTION`).
        help: Whether the help text is asked for.
        help_all: Whether the help text with all settings is asked for.
        runs: Whether the command runs jobs. It does not if it shows a config, information about Hydra or a completion script.
        completes: Whether a script for shell completion, or its suggestions, are asked for. The words are then no overrides.
    """

    options: tuple[str, ...]
    words: tuple[str, ...]
    config_dir: Path | None = None
    config_name: str | None = None
    config_path: str | None = None
    rerun: Path | None = None
    own: tuple[str, ...] = ()
    json: bool = False
    display: str | None = None
    where: str | None = None
    help: bool = False
    help_all: bool = False
    runs: bool = True
    completes: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, remedy=_LISTED)


def parser() -> argparse.ArgumentParser:
    """A parser of Hydra's options, by the names that Hydra gives them, and of the commands' own ones."""
    hydra = _Parser(add_help=False)
    for names in _FLAGS:
        hydra.add_argument(*names, action="store_true")
    for names in _VALUES:
        hydra.add_argument(*names)
    hydra.add_argument("--json", action="store_true")
    hydra.add_argument("--display", choices=DISPLAYS)
    hydra.add_argument("--where")
    action = hydra.add_mutually_exclusive_group()
    for names in _ACTIONS:
        action.add_argument(*names, action="store_true")
    action.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    action.add_argument("--info", "-i", nargs="?", const="all", choices=_INFO)
    return hydra


def parse(words: Sequence[str]) -> CommandLine:
    """Separate Hydra's options from the other words. Hydra itself accepts overrides in one place only.

    Raises:
        InputError: An option does not exist, lacks its value or excludes another one.

    >>> line = parse(["limit=1", "-m", "seed=1,2", "--config-dir", "mine"])
    >>> line.options, line.words
    (('--config-dir=mine', '--multirun'), ('limit=1', 'seed=1,2'))
    """
    given, others = parser().parse_known_args(list(words))
    if unknown := next((word for word in others if word.startswith("-")), None):
        near = difflib.get_close_matches(unknown, OPTIONS, n=1)
        raise InputError(f"there is no option {unknown}", remedy=f"Did you mean {near[0]}?" if near else _LISTED)
    if given.resolve and not given.cfg and not given.help:
        raise InputError("--resolve applies to --cfg only", remedy="Write --cfg job --resolve.")
    values = {f"--{name.replace('_', '-')}": value for name, value in vars(given).items() if value not in (None, False)}
    options = {name: name if value is True else f"{name}={value}" for name, value in values.items()}
    return CommandLine(
        options=tuple(word for name, word in options.items() if name not in _OWN),
        words=tuple(others),
        config_dir=None if given.config_dir is None else Path(given.config_dir),
        config_name=given.config_name,
        config_path=given.config_path,
        rerun=None if given.experimental_rerun is None else Path(given.experimental_rerun),
        own=tuple(word for name, word in options.items() if name in _OWN),
        json=given.json,
        display=given.display,
        where=given.where,
        help=given.help or given.help_all,
        help_all=given.help_all,
        runs=not (given.cfg or given.info or given.shell_completion or given.hydra_help or given.version),
        completes=given.shell_completion,
    )


def gather(words: Sequence[str], key: str, also: Callable[[str], bool] | None = None) -> list[str]:
    """Collect the words that are not overrides, or that `also` selects, into one override with a list.

    >>> gather(["runs/a", "seed=1", "runs/b c"], "runs")
    ['seed=1', 'runs=["runs/a","runs/b c"]']
    """
    plain = [word for word in words if "=" not in word or (also is not None and also(word))]
    return [word for word in words if word not in plain] + ([f"{key}=[{','.join(map(quoted, plain))}]"] if plain else [])


def quote_items(words: Sequence[str], key: str) -> list[str]:
    """Put the items of a list in quotation marks, because Hydra accepts no `=` in them otherwise.

    >>> quote_items(["where=[model=x, tag=a]", "last=1", "where=tag=a"], "where")
    ['where=["model=x","tag=a"]', 'last=1', 'where=["tag=a"]']
    """
    return [_quoted_list(word) if word.partition("=")[0] == key else word for word in words]


def _quoted_list(word: str) -> str:
    key, _, value = word.partition("=")
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    items = [item.strip().strip("'\"") for item in bare.split(",")]
    return f"{key}=[{','.join(quoted(item) for item in items if item)}]"


def quoted(text: str) -> str:
    """A text as Hydra reads it unchanged.

    >>> print(quoted('a "b", c'))
    "a \\"b\\", c"
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
