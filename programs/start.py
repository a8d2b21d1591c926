"""`python -m programs.start [FOLDER]`: set up a folder of notes, or the bundled corpus: settings, checks, next commands.

The format of the folder is recognised, or named by `corpus=`. Settings of the corpus (`corpus.map=...`) are written into the
project file `clinspan.yaml` too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.corpora.recognition import corpus_format
from clinspan.programs.app.first_steps import facts, first_look, next_commands, project_text
from clinspan.programs.app.hydra_app import clean_exit, run_app
from clinspan.programs.config.command_line import parse, PROJECT_FILE, quoted
from clinspan.programs.config.composition import chosen_options, overridden_keys
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.printed_commands import command
from clinspan.programs.rundir.run_folder import write_whole
from clinspan.reports.terminal.verdict_lines import summary, verdict_line

FORMATS = ("brat", "conll", "jsonl", "bioc", "pubtator", "i2b2", "hf", "gliner", "spacy", "csv")


def main(config: DictConfig) -> None:
    """Print what the corpus is and what is wrong with it, write the project file, and print the next commands."""
    path = Path(PROJECT_FILE)
    if path.exists() and not config.force:
        raise InputError("exists", path=path, remedy="Use its settings, or replace it with force=true.")
    look = first_look(config, chosen_options()["corpus"])
    for line in facts(look):
        print(printable(line))
    for verdict in look.verdicts:
        if verdict.level != "ok":
            print(verdict_line(verdict, sys.stdout))
    print(summary(look.verdicts))
    with writing(path):
        write_whole(path, project_text(look, given_settings(config)).encode())
    print(f"{PROJECT_FILE} written; next:")
    for line in next_commands(look):
        print(f"  {line}")


def given_settings(config: DictConfig) -> dict[str, Any]:
    """The settings of the corpus that the user gave, by their keys."""
    keys = sorted(key for key in overridden_keys() if key.startswith("corpus."))
    return {key: OmegaConf.select(config, key) for key in keys}


def with_corpus(words: Sequence[str]) -> list[str]:
    """The words of the command line with `corpus=FORMAT corpus.path=FOLDER` instead of the folder.

    Raises:
        InputError: Several folders are given, the folder is the current one, or its format is not recognised.
    """
    line = parse(words)
    places = [word for word in line.words if "=" not in word]
    if not places or line.help or line.completes:
        return list(words)
    if len(places) > 1:
        raise InputError(f"{' and '.join(places[:3])} are given", remedy="Give one folder: clinspan start FOLDER.")
    place = Path(places[0]).expanduser()
    if place.is_dir() and place.resolve() == Path.cwd():
        remedy = f"cd .. && {command('start', place.resolve().name)}"
        raise InputError("is the current folder, in which runs are written", path=place, remedy=remedy)
    others = [word for word in line.words if word not in places]
    named = any(word.startswith("corpus=") for word in others)
    remedy = f"Name the format: {command('start', places[0])} corpus={'|'.join(FORMATS)}"
    option = [] if named else [f"corpus={corpus_format(place, remedy=remedy)}"]
    return [*line.options, *line.own, *option, f"corpus.path={quoted(places[0])}", *others]


if __name__ == "__main__":
    with clean_exit("start"):
        sys.argv[1:] = with_corpus(sys.argv[1:])
    run_app("start", main)
