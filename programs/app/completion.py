"""Completion of `clinspan COMMAND ...` in a shell. Hydra's own completion knows no commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra

from clinspan.conf import CONF
from clinspan.corpora.errors import InputError
from clinspan.programs.config.command_line import OPTIONS, parse


def complete(words: Sequence[str], commands: Sequence[str]) -> None:
    """Print the script that installs or removes the completion, or the suggestions for what has been typed (`COMP_LINE`).

    Args:
        words: What Hydra is asked for: `install=bash`, `uninstall=bash` or, by the script, `query=bash`.
        commands: The commands of `clinspan`.

    Raises:
        InputError: Hydra knows no such shell.
    """
    called, _, typed = os.environ.get("COMP_LINE", "").partition(" ")
    command, space, rest = typed.lstrip().partition(" ")
    if any(word.startswith("query=") for word in words):
        if not space or command not in commands:
            print(" ".join(commands))
            return
        if rest.rpartition(" ")[2].startswith("-"):
            print(" ".join(OPTIONS))
            return
    os.environ["COMP_LINE"], os.environ["HYDRA_FULL_ERROR"] = f"{called} {rest}", "1"  # Hydra then raises errors
    folders = [option for option in parse(rest.split()).options if option.startswith("--config")]
    sys.argv = ["clinspan", "--shell-completion", *folders, *words]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=command or commands[0])(lambda config: None)()
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from None
