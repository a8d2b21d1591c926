"""`python -m programs.score RUN [RUN ...]`: score runs again in other readings, or a corpus against another one.

A RUN is the folder of a finished run, a sweep, or a word by which runs are found (`latest`, a name). Its predictions are read, and
nothing is written into it, unless `write=true` replaces its scores. `gold=PATH predicted=PATH` scores the annotations of any system
against those of a corpus.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import plural
from clinspan.metrics import Mode
from clinspan.metrics.full_scores import has_full
from clinspan.metrics.readings import check_match, has_offsets, MATCHES, score_reading
from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.app.corpus_scores import load_two, score_two, TwoCorpora
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import folder_path
from clinspan.programs.inference.error_report import FILE as ERRORS
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.run_folder import RunFolder, write_whole
from clinspan.programs.rundir.run_names import find_folders, scorable_below
from clinspan.programs.rundir.scored_run import load_scored, pooled, ScoredRun
from clinspan.programs.sweeps.failed_jobs import job_folders
from clinspan.reports.terminal.reading_table import print_reading, print_readings

MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored: its title, the facts about it for JSON, the scores of each reading, and remarks."""

    title: str
    about: dict[str, Any]
    readings: list[dict[str, Any]]
    remarks: list[str]


def main(config: DictConfig) -> None:
    """Print a table for each run, or for all of them with `pool=true`, and write the JSON to `output` if it is set."""
    check_combination(config)
    output = None if config.output is None else folder_path(config.output)
    if output is not None:
        check_output(output)
    if config.gold is None:
        folders = run_folders([str(word) for word in config.runs])
        runs = [load_scored(folder) for folder in folders]
        if output is not None and any(output.resolve().is_relative_to(folder.resolve()) for folder in folders):
            raise InputError("lies in the folder of a run", path=output, remedy="Name a file elsewhere.")
        results = [score_run(run, config) for run in ([pooled(runs)] if config.pool else runs)]
        if config.write:
            for run in runs:
                write_scores(run)
    else:
        results = [score_files(config)]
    found = [as_json(result) for result in results]
    content = json.dumps({"results": found}, ensure_ascii=False, indent=2) + "\n"
    if output is not None:
        with writing(output):
            write_whole(output, content.encode())
    for result in results:
        if config.all:
            print_readings(result.readings, result.title, result.remarks)
        else:
            print_reading(result.readings[0], result.title, result.remarks)
    give("score", output, lambda: {"output": None if output is None else str(output), "results": found})


def check_combination(config: DictConfig) -> None:
    """Refuse settings that are not known or have no effect together.

    Raises:
        InputError: There are such settings; the message names them.
    """
    check_match(config.match)
    if config.metric.mode is not None and config.metric.mode not in MODES:
        raise InputError(f"metric.mode={config.metric.mode} is not known", remedy=f"Use {' or '.join(MODES)}.")
    if (config.gold is None) != (config.predicted is None):
        missing = "gold" if config.gold is None else "predicted"
        raise InputError(f"{missing} is not set", remedy="Give both: gold=PATH predicted=PATH.")
    if config.gold is None and not config.runs:
        raise InputError("there is nothing to score", remedy="Give folders of runs, or gold=PATH predicted=PATH.")
    if config.gold is not None and (config.runs or config.pool):
        raise InputError("runs or pool=true and gold are both given", remedy="Give runs, or gold=PATH predicted=PATH.")
    of_corpora = {"gold_corpus": "auto", "predicted_corpus": "auto", "split": "all"}
    if config.gold is None and (unused := next((key for key, usual in of_corpora.items() if config[key] != usual), None)):
        raise InputError(f"{unused} is for gold=PATH predicted=PATH", remedy="Leave it out.")
    chosen = config.all or config.pool or config.match != "exact" or config.metric.mode is not None
    if config.write and (chosen or config.gold is not None):
        raise InputError("write=true scores runs as they were scored", remedy="Leave out all, gold, match, metric.mode and pool.")
    if config.all and config.match != "exact":
        raise InputError(f"match={config.match} and all=true are both given", remedy="Give one of them.")


def check_output(output: Path) -> None:
    """Refuse a file that exists or whose folder does not.

    Raises:
        InputError: It does.
    """
    if output.exists():
        raise InputError("exists", path=output, remedy="Name a new file: output=FILE.")
    if not output.parent.is_dir():
        raise InputError("is not a folder", path=output.parent, remedy="Create it, or name a file elsewhere.")


def run_folders(words: Sequence[str]) -> list[Path]:
    """The folders of runs that words mean; a folder given twice counts once.

    A sweep stands for its jobs, and another folder without a record for the scored runs below it.
    """
    folders: dict[Path, Path] = {}
    for word in words:
        for found in find_folders(word):
            below: list[Path] = []
            if found.is_dir() and not (found / "run.json").is_file():
                below = job_folders(found) or [run.path for run in scorable_below(found) if run.scored]
            folders |= {job.resolve(): job for job in below or [found]}
    return list(folders.values())


def score_run(run: ScoredRun, config: DictConfig) -> Scored:
    """The scores of a run in the asked reading, or in every reading that its predictions allow."""
    rows, offsets = list(run.rows), has_offsets(run.rows)
    modes = MODES if config.all and config.metric.mode is None else [config.metric.mode or run.mode]
    lacks = {"offsets": not offsets, "full": not has_full(rows)}
    matches = [match for match in MATCHES if not lacks.get(match)] if config.all else [config.match]
    readings = [
        score_reading(
            rows,
            run.labels,
            Metric(mode=mode),
            match,
            alignment=run.alignment,
            cut=run.cut,
            folds=run.folds,
        )
        for match in matches
        for mode in modes
    ]
    lacking = "offsets: not scored, as the predictions have no character offsets of annotators"
    remarks = [lacking] if config.all and not offsets else []
    paths = [str(path) for path in run.paths]
    title = paths[0] if len(paths) == 1 else f"{len(paths)} runs pooled: {paths[0]} to {paths[-1]}"
    sentences, documents = readings[0]["sentences"], readings[0]["documents"]
    title += f" ({sentences} {plural(sentences, 'sentence')}, {documents} {plural(documents, 'document')})"
    return Scored(title, {"runs": paths}, readings, remarks)


def write_scores(run: ScoredRun) -> None:
    """Replace the scores of a run by those of its predictions, read as before, and remove the error analysis of earlier ones.

    Raises:
        RunError: Another process is writing into the folder.
    """
    (path,) = run.paths
    how: dict[str, Any] = {"alignment": run.alignment, "cut": run.cut, "folds": run.folds}
    scores = score_records(list(run.rows), run.labels, Metric(mode=run.mode), **how)
    with one_writer(path):
        folder = RunFolder(path)
        folder.write("scores.json", {**folder.read("scores.json"), **scores})
        with writing(path):
            (path / ERRORS).unlink(missing_ok=True)


def score_files(config: DictConfig) -> Scored:
    """The scores of one corpus against another one."""
    places = folder_path(config.gold), folder_path(config.predicted)
    two = load_two(*places, (config.gold_corpus, config.predicted_corpus), config.split)
    mode = config.metric.mode
    if mode is not None and not two.by_tokens:
        raise InputError("metric.mode says how tags are read, and these corpora have annotations", remedy="Leave it out.")
    readings = score_two(two, None if config.all else config.match, mode=mode)
    names = [str(place) for place in places]
    title = f"{names[1]} against {names[0]} ({len(two.documents)} {plural(len(two.documents), 'document')})"
    about = {"gold": names[0], "predicted": names[1], "missing": list(two.missing), "extra": list(two.extra)}
    return Scored(title, about, readings, remarks_on(two))


def remarks_on(two: TwoCorpora) -> list[str]:
    """What to know about a comparison of two corpora: documents and labels that only one of them has."""
    remarks = []
    if two.missing:
        remarks.append(f"not predicted, and counted as without mentions: {_counted(two.missing, 'gold document')}")
    if two.extra:
        remarks.append(f"not in gold, and left out: {_counted(two.extra, 'predicted document')}")
    if two.foreign:
        remarks.append(f"labels that gold does not have: {', '.join(two.foreign)}")
    if two.unannotated:
        remarks.append(f"predicted without an annotation file: {two.unannotated} {plural(two.unannotated, 'document')}")
    return remarks


def _counted(names: Sequence[str], what: str, most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} {plural(len(names), what)} ({', '.join(names[:most])}{more})"


def as_json(result: Scored) -> dict[str, Any]:
    """A result as a JSON object: the facts about it, `readings` and `remarks`."""
    return {**result.about, "readings": result.readings, "remarks": result.remarks}


if __name__ == "__main__":
    run_app("score", main, listed="runs")
