"""`python -m programs.runs`: list runs, name them and delete them.

The list has one line per run below `folder`, newest last. The date that it shows is the beginning of the folder's name; `rename`
and `delete`, and the commands report and compare, take it for the folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.printable import plural, printable
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give, is_json
from clinspan.programs.config.composition import folder_path
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.printed_commands import command
from clinspan.programs.rundir.run_deletion import check_deletable, delete_runs, runs_to_delete
from clinspan.programs.rundir.run_folder import write_whole
from clinspan.programs.rundir.run_list import list_runs, RECORD, RunEntry
from clinspan.programs.rundir.run_names import check_labels, find_run
from clinspan.reports.terminal.run_table import one_line, run_table

FILTERS = ("command", "corpus", "split", "model", "strategy", "format", "name", "state", "tag")
FAILED = "failed"


def main(config: DictConfig) -> None:
    """List the runs or, with `rename` or `delete`, name or delete some."""
    root = folder_path(config.folder)
    if not root.is_dir():
        raise InputError("is not a folder", path=root, remedy="Name the folder of your runs: folder=FOLDER.")
    check_combination(config)
    if config.rename is not None:
        print(one_line(str(rename(find_run(str(config.rename), root), config.to))))
        return
    if config.delete not in (None, FAILED):
        delete(runs_to_delete(find_run(str(config.delete), root), root), yes=config.yes)
        return
    runs = selected(list_runs(root), [str(word) for word in config.where], config.last)
    if config.delete == FAILED:
        failed = [run for run in runs if run.state == "failed"]
        for run in failed:
            check_deletable(run, root)
        delete(failed, yes=config.yes)
    else:
        print("\n".join(run_table(runs)) or f"no runs below {one_line(str(root))}")
        give("runs", None, lambda: {"runs": [as_json(run) for run in runs]})


def check_combination(config: DictConfig) -> None:
    """Refuse settings that have no effect together.

    Raises:
        InputError: There are such settings; the message names them.
    """
    if config.rename is not None and config.delete is not None:
        raise InputError("rename and delete are both given", remedy="Give one of them.")
    if (config.rename is None) != (config.to is None):
        given, missing = ("to", "rename=FOLDER") if config.rename is None else ("rename", "to=NAME")
        raise InputError(f"{given} is given without {missing.partition('=')[0]}", remedy=f"Add {missing}.")
    single = config.rename is not None or config.delete not in (None, FAILED)
    if single and (config.where or config.last is not None):
        raise InputError("where and last select runs of the list, and one run is named", remedy="Leave them out.")
    if is_json() and (config.rename is not None or config.delete is not None):
        raise InputError("--json is for the list", remedy="Leave it out.")


def selected(runs: Sequence[RunEntry], where: Sequence[str], last: int | None) -> list[RunEntry]:
    """The runs that all filters accept.

    Args:
        runs: The runs.
        where: Filters `key=value`; in a value, `*` and `?` stand for other characters. A run has a tag if one of its tags fits.
        last: Only the last ones of them; None: all.

    Raises:
        InputError: A filter has no such form, or its key is not known.
    """
    kept = list(runs)
    for word in where:
        key, mark, pattern = word.partition("=")
        if not mark or key not in FILTERS:
            remedy = f"Write where=[KEY=VALUE,...] with a key of: {', '.join(FILTERS)}."
            raise InputError(f"where: {word!r} is not a filter", remedy=remedy)
        kept = [run for run in kept if any(fnmatchcase(value, pattern) for value in _values(run, key))]
    return kept if last is None else kept[-last:]


def _values(run: RunEntry, key: str) -> Sequence[str]:
    return run.tags if key == "tag" else (getattr(run, key),)


def as_json(run: RunEntry) -> dict[str, Any]:
    """A run as a JSON object; an unknown text is null."""
    content = {key: None if value == "" else value for key, value in asdict(run).items() if key != "path"}
    return {"folder": str(run.path), **content, "tags": list(run.tags)}


def rename(path: Path, name: object) -> Path:
    """Write a run's name into its `run.json`, which keeps everything else, and return the folder.

    Raises:
        InputError: The name cannot be used, or the folder holds no record of a run.
        RunError: A process is writing into the folder.
    """
    if isinstance(name, str | int | float):
        check_labels(name, [])
    else:
        raise InputError("to is a list", remedy="Write to=NAME.")
    file = path / RECORD
    if not file.is_file():
        raise InputError("holds no run.json, so it is not a run", path=path, remedy=f"Give a folder that {command('runs')} lists.")
    with one_writer(path):
        try:
            record = parse_json(file.read_bytes())
        except (OSError, ValueError):
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
            raise InputError("is not the record of a run", path=file, remedy=f"Give a folder that {command('runs')} lists.")
        record["config"]["name"] = str(name)
        with writing(path):
            write_whole(file, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    return path


def delete(runs: Sequence[RunEntry], *, yes: bool) -> None:
    """List runs on standard error, ask on a terminal, and delete them.

    Raises:
        InputError: There is no terminal to ask on, and `yes` is false.
    """
    if not runs:
        print("no runs to delete")
        return
    for run in runs:
        print(one_line(f"{run.path}  {run.state}" + (f"  {run.name}" if run.name else "")), file=sys.stderr)
    folders = f"{len(runs)} {plural(len(runs), 'folder')}"
    if not yes and not sys.stdin.isatty():
        raise InputError("nothing was deleted, because there is no terminal to ask on", remedy=f"Add yes=true to delete {folders}.")
    if not yes and not _agrees(f"Delete {folders}? [y/N] "):
        print("nothing was deleted")
        return
    delete_runs(runs)
    print(printable(f"deleted {folders}"))


def _agrees(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


if __name__ == "__main__":
    run_app("runs", main, filters="where")
