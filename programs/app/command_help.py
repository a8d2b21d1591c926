"""The help text of a command: its groups with their options, and its settings with their comments. Hydra is not imported."""

from __future__ import annotations

from pathlib import Path

from clinspan.conf import CONF
from clinspan.programs.config.command_line import CommandLine, PROJECT_COMMANDS, PROJECT_FILE
from clinspan.programs.config.installed_options import installed_folders


def command_help(called: str, config_name: str, purpose: str, line: CommandLine) -> str:
    """The help text of a command.

    Args:
        called: The command as users write it.
        config_name: Its file in `conf/`, without its suffix.
        purpose: What it does.
        line: The command line. The settings of options that it chooses are shown too, and the options of its `--config-dir`.
    """
    folders = [CONF, *installed_folders(), *([] if line.config_dir is None else [line.config_dir])]
    lines = (CONF / f"{config_name}.yaml").read_text(encoding="utf-8").splitlines()
    first = next(n for n, row in enumerate(lines) if row == "defaults:")
    own = [row for row in lines[first + 1 :] if not row.startswith("  - ")]
    end = next((n for n, row in enumerate(own) if row.startswith("hydra:")), len(own))
    defaults = [row[4:] for row in lines[first + 1 :] if row.startswith("  - ") and not row.startswith("  - override ")]
    groups = [row.split(":")[0] for row in defaults if ":" in row]
    shared = [row for name in defaults if ":" not in name and name != "_self_" for row in _shared(name)]
    options = {group: sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")}) for group in groups}
    options = {group: names for group, names in options.items() if names}
    width = max(map(len, options), default=0) + 1
    parts = [
        ("choices", [f"{group + '=':{width}} {' | '.join(names)}" for group, names in options.items()]),
        ("settings", [row for row in [*own[:end], *shared] if row.strip()]),
        *_chosen(folders, line.words),
    ]
    text = [f"{called} [key=value ...]: {purpose}"]
    for title, rows in parts:
        text += ["", title, *(f"  {row}" for row in rows)] if rows else []
    group = "model" if "model" in options else next(iter(options), "")
    more = f"--help {group}={options[group][0]} shows the settings of that choice too, " if group else ""
    text += ["", f"{more}--cfg job the composed config, --hydra-help the options of Hydra"]
    if config_name in PROJECT_COMMANDS:
        text += [f"settings in {PROJECT_FILE} of the current folder replace defaults; project=null leaves them out"]
    return "\n".join(text)


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
