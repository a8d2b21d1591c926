"""`python -m programs.report FOLDER [FOLDER ...]`: a leaderboard and a page of tables, figures and sentences.

A FOLDER is the folder of a sweep, with one subfolder per job, of a single job, or one that holds such folders, as runs/run does.
The name of a run, the date that programs.runs shows, a pattern, `latest` and `previous` stand for folders too. Jobs that differ
only in the seed share one row of the leaderboard. The page shows each job.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.report_content import build_report, load_job
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import output_folder
from clinspan.programs.rundir.run_folder import environment, now, RunFolder, write_whole
from clinspan.programs.rundir.run_list import list_runs
from clinspan.programs.rundir.run_names import find_folders, scorable_below
from clinspan.programs.sweeps.failed_jobs import job_folders
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import write_page
from clinspan.reports.terminal.leaderboard_table import latex, markdown, print_leaderboard

_NAMED = 5


def find_jobs(folder: Path) -> list[Path]:
    """The job folders: the folder itself if it is a job, its subfolders that are named by numbers, or all runs below it.

    Raises:
        InputError: The path is not a folder, or the folder holds no job.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", path=folder, remedy="Give the folder of a sweep, runs/<command>/<date_time>.")
    if (folder / "run.json").is_file():
        return [folder]
    jobs = job_folders(folder) or [run.path for run in scorable_below(folder)]
    if not jobs:
        others = ", ".join(str(run.path) for run in list_runs(folder)[:_NAMED])
        found = f"Found there, without scores: {others}." if others else "Give the folder of a run or of a sweep."
        raise InputError("holds no finished run, at any depth", path=folder, remedy=found)
    return jobs


def find_all_jobs(words: Sequence[str]) -> list[Path]:
    """The job folders of all arguments. A job given twice counts once.

    Of several paths, those that hold no job are left out and named on standard error: shells expand patterns to them too.

    Raises:
        InputError: A word means nothing, or no path holds a job.
    """
    jobs: dict[Path, Path] = {}
    refused: list[InputError] = []
    for path in [path for word in words for path in find_folders(word)]:
        try:
            jobs |= {job.resolve(): job for job in find_jobs(path)}
        except InputError as error:
            if not path.exists():
                raise
            refused.append(error)
    if refused and not jobs:
        raise refused[0]
    for reason in refused:
        print(f"clinspan: left out: {printable(str(reason))}", file=sys.stderr)
    return list(jobs.values())


def main(config: DictConfig) -> None:
    """Print and write the leaderboard, write the page with its figures, and print the paths of the page and, last, its folder."""
    if not config.folders:
        raise InputError("there is no sweep to report on", remedy="Give folders of sweeps: runs/<command>/<date_time>.")
    if not isinstance(config.redact, bool):
        raise InputError(f"redact={config.redact} is neither true nor false", remedy="Use redact=true for a page without text.")
    jobs = [load_job(path) for path in find_all_jobs([str(word) for word in config.folders])]
    result = build_leaderboard(jobs)
    folder = RunFolder(output_folder())
    about = {"folders": [str(word) for word in config.folders], "ended": now(), **environment().content()}
    provenance = f"Made {about['ended']} by clinspan {(about['git']['commit'] or 'of no checkout')[:7]} from {len(jobs)} jobs."
    folder.write("leaderboard.json", {**about, **result})
    (folder.path / "leaderboard.md").write_text(markdown(result), encoding="utf-8")
    write_whole(folder.path / "leaderboard.tex", latex(result).encode())
    report = build_report(jobs, result, provenance, redact=config.redact)
    page = write_page(report, folder.path)
    print_leaderboard(result)
    for view in report.views:
        if view.problem:
            print(f"clinspan: run {view.number}: {printable(view.problem)}", file=sys.stderr)
    print(page)
    give("report", folder.path, lambda: {"page": str(page), **result})


if __name__ == "__main__":
    run_app("report", main, listed="folders")
