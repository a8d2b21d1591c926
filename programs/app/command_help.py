"""The help text of a command: examples, groups with their options, settings with their comments. Hydra is not imported."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from clinspan.conf import CONF
from clinspan.programs.app.help_texts import FIRST_OPTIONS, Guide, GUIDES
from clinspan.programs.config.command_line import CommandLine, PROJECT_COMMANDS, PROJECT_FILE
from clinspan.programs.config.installed_options import installed_folders

_WIDTH = 98
_SHOWN = 4


def command_help(called: str, config_name: str, purpose: str, line: CommandLine) -> str:
    """The help text of a command.

    Args:
        called: The command as users write it.
        config_name: Its file in `conf/`, without its suffix.
        purpose: What it does.
        line: The command line. The settings of options that it chooses are shown too, and the options of its `--config-dir`.
            `--help-all` asks for all settings, `--help` for those that people set most, where the command has a `Guide`.
    """
    folders = [CONF, *installed_folders(), *([] if line.config_dir is None else [line.config_dir])]
    settings, groups = command_settings(config_name)
    options = {group: sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")}) for group in groups}
    options = {group: names for group, names in options.items() if names}
    guide = None if line.help_all else GUIDES.get(config_name)
    parts = _whole(settings, options) if guide is None else _short(called, guide, settings, options)
    text = [f"{called} [key=value ...]: {purpose}"] if guide is None else _head(called, guide, purpose)
    for title, rows in [*parts, *_chosen(folders, line.words)]:
        text += ["", title, *(f"  {row}" for row in rows)] if rows else []
    return "\n".join([*text, "", *(_whole_end(config_name, options) if guide is None else _short_end(called, options))])


def command_settings(config_name: str) -> tuple[list[str], list[str]]:
    """The rows of a command's settings with comments, and its groups, from its file in `conf/` and those in `conf/shared/`."""
    lines = (CONF / f"{config_name}.yaml").read_text(encoding="utf-8").splitlines()
    first = next(n for n, row in enumerate(lines) if row == "defaults:")
    own = [row for row in lines[first + 1 :] if not row.startswith("  - ")]
    end = next((n for n, row in enumerate(own) if row.startswith("hydra:")), len(own))
    defaults = [row[4:] for row in lines[first + 1 :] if row.startswith("  - ") and not row.startswith("  - override ")]
    groups = [row.split(":")[0] for row in defaults if ":" in row]
    shared = [row for name in defaults if ":" not in name and name != "_self_" for row in _shared(name)]
    return [row for row in [*own[:end], *shared] if row.strip()], groups


def setting_rows(settings: list[str], keys: Sequence[str]) -> list[tuple[str, str]]:
    """`key=value` and the comment of some settings.

    >>> setting_rows(["limit: null # only N", "metric:", "  mode: strict # how"], ["metric.mode", "limit"])
    [('metric.mode=strict', 'how'), ('limit=null', 'only N')]
    """
    found: dict[str, tuple[str, str]] = {}
    parent = ""
    for row in settings:
        key, _, rest = row.strip().partition(":")
        value, _, comment = rest.partition("#")
        name = f"{parent}.{key}" if row.startswith(" ") else key.strip('"')
        parent = parent if row.startswith(" ") else key
        found[name] = (f"{name}={value.strip()}", comment.strip())
    return [found[key] for key in keys]


def _whole(settings: list[str], options: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    width = max(map(len, options), default=0) + 1
    return [
        ("choices", [f"{group + '=':{width}} {' | '.join(names)}" for group, names in options.items()]),
        ("settings", settings),
    ]


def _short(called: str, guide: Guide, settings: list[str], options: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    rows = setting_rows(settings, guide.keys)
    choices = [(f"{group}=", _first(group, names)) for group, names in options.items()]
    width = max((len(name) for name, _ in [*choices, *rows]), default=0)
    return [
        ("examples", [f"{called} {words}".rstrip() for words in guide.examples]),
        ("choices", _table(choices, width)),
        ("settings", _table(rows, width)),
    ]


def _head(called: str, guide: Guide, purpose: str) -> list[str]:
    takes = f" {guide.takes}" if guide.takes else ""
    return textwrap.wrap(f"{called}{takes} [key=value ...]: {purpose}", _WIDTH) + textwrap.wrap(guide.about, _WIDTH)


def _first(group: str, names: list[str]) -> str:
    """The options that are shown of a group.

    >>> _first("format", ["inline", "x", "bio_lines", "entities", "phrases"])
    'bio_lines | entities | inline | phrases | ...'
    """
    known = [name for name in FIRST_OPTIONS.get(group, ()) if name in names]
    shown = [*known, *(name for name in names if name not in known)][: max(_SHOWN, len(known))]
    return " | ".join([*shown, *(["..."] if len(shown) < len(names) else [])])


def _table(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    lines: list[str] = []
    for name, words in rows:
        wrapped = textwrap.wrap(words, _WIDTH - width - 4, break_on_hyphens=False) or [""]
        lines += [f"{name:{width}}  {wrapped[0]}".rstrip(), *(f"{'':{width}}  {part}" for part in wrapped[1:])]
    return lines


def _short_end(called: str, options: dict[str, list[str]]) -> list[str]:
    more = [f"all settings: {called} --help-all"]
    if options:
        group = "model" if "model" in options else next(iter(options))
        more.append(f"settings of a choice: {called} --help {group}={_first(group, options[group]).split(' ')[0]}")
    return more


def _whole_end(config_name: str, options: dict[str, list[str]]) -> list[str]:
    group = "model" if "model" in options else next(iter(options), "")
    more = f"--help {group}={options[group][0]} shows the settings of that choice too, " if group else ""
    text = [f"{more}--cfg job the composed config, --hydra-help the options of Hydra"]
    if config_name in PROJECT_COMMANDS:
        text += [f"settings in {PROJECT_FILE} of the current folder replace defaults; project=null leaves them out"]
    return text


def _shared(name: str) -> list[str]:
    """The settings that a command has in common with others, as the file of that name in `conf/` has them, without Hydra's own."""
    rows = (CONF / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return [row for row in rows if not row.startswith("#")] if "# @package hydra" not in rows else []


def _chosen(folders: list[Path], words: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """The files of the options that the words choose, each with a title."""
    shown = []
    for word in words:
        group, _, option = word.lstrip("+").partition("=")
        for path in [folder / group / f"{option}.yaml" for folder in folders]:
            if group and option and path.is_file():
                shown.append((word, path.read_text(encoding="utf-8").splitlines()))
                break
    return shown


def purpose(docstring: str | None) -> str:
    """The purpose of a command: the first line of its module's docstring, after the command's name."""
    return (docstring or "").split("\n", 1)[0].split("`: ", 1)[-1].rstrip(".")
