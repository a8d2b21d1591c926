"""`python -m programs.export RUN`: write the mentions and errors of a finished run as CSV, brat and LaTeX.

The texts are read from the corpus again, which must not have changed since the run.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.fidelity import changed_mentions
from clinspan.corpora.printable import plural, printable
from clinspan.corpora.writers.brat_layers import layer_configuration, write_layers
from clinspan.corpora.writers.csv_table import write_csv
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.app.run_mentions import (
    ERROR_COLUMNS,
    error_table,
    load_mentions,
    MENTION_COLUMNS,
    mention_table,
    RunMentions,
    two_layers,
)
from clinspan.programs.config.composition import folder_path
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.run_folder import replacing, RunFolder, write_whole
from clinspan.programs.rundir.run_names import find_run
from clinspan.reports.latex import score_rows

Writer = Callable[[RunMentions, Path], Path]


def write_mentions(mentions: RunMentions, folder: Path) -> Path:
    """Write `mentions.csv`."""
    path = folder / "mentions.csv"
    with replacing(path) as scratch:
        write_csv(scratch, MENTION_COLUMNS, mention_table(mentions))
    return path


def write_errors(mentions: RunMentions, folder: Path) -> Path:
    """Write `errors.csv`."""
    path = folder / "errors.csv"
    with replacing(path) as scratch:
        write_csv(scratch, ERROR_COLUMNS, error_table(mentions))
    return path


def write_brat_layers(mentions: RunMentions, folder: Path) -> Path:
    """Write `brat/`: gold and predicted annotations side by side, on the texts as written."""
    path = folder / "brat"
    path.mkdir()
    for name, content in layer_configuration(mentions.run.labels).items():
        write_whole(path / name, content.encode())
    for document in two_layers(mentions):
        write_layers(document, path)
    return path


def write_scores(mentions: RunMentions, folder: Path) -> Path:
    """Write `scores.tex`: a table of the scores by type."""
    path = folder / "scores.tex"
    write_whole(path, score_rows(mentions.scores).encode())
    return path


WRITERS: dict[str, Writer] = {
    "mentions_csv": write_mentions,
    "errors_csv": write_errors,
    "brat": write_brat_layers,
    "latex": write_scores,
}


def main(config: DictConfig) -> None:
    """Write the files, print their paths and, last, the folder."""
    to = [config.to] if isinstance(config.to, str) else list(config.to or [])
    for name in to or [""]:
        if name not in WRITERS:
            raise InputError(f"to={name} is not known", remedy=f"Use one of {', '.join(WRITERS)}, or a list.")
    if len(config.runs) != 1:
        raise InputError(f"{len(config.runs)} runs are given", remedy="Give one: its folder, its name, latest or previous.")
    output = folder_path(config.output or time.strftime("runs/export/%Y-%m-%d_%H-%M-%S"))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("exists and is not an empty folder", path=output, remedy="Name a new folder: output=FOLDER.")
    run = find_run(str(config.runs[0]))
    if output.resolve().is_relative_to(run.resolve()):
        raise InputError("lies in the folder of the run", path=output, remedy="Name a folder elsewhere.")
    mentions = load_mentions(run)
    folder = RunFolder(output)
    with writing(folder.path):
        paths = [WRITERS[name](mentions, folder.path) for name in dict.fromkeys(to)]
    _tell(mentions)
    for path in paths:
        print(printable(str(path)))
    give("export", folder.path, dict)


def _tell(mentions: RunMentions) -> None:
    """Print how many mentions of each kind there are, and how many annotations the tags do not express."""
    kinds = Counter(pair.kind for one in mentions.sentences for pair in one.pairs)
    total = kinds.total()
    counted = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    print(f"{total:,} {plural(total, 'row')}" + (f": {counted}" if counted else ""))
    documents = {one.document.id: one.document for one in mentions.sentences}
    if changed := len(changed_mentions(documents.values())):
        what = f"{changed} {plural(changed, 'annotation')} in pieces, overlapping or with other ends than tokens"
        print(f"clinspan: {what}: mentions.csv has the tags that were scored, brat the annotations", file=sys.stderr)


if __name__ == "__main__":
    run_app("export", main, listed="runs")
