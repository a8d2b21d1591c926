"""`python -m programs.report FOLDER [FOLDER ...]`: a leaderboard and a page of tables, figures and sentences.

A FOLDER is the folder of a sweep, with one subfolder per job, of a single job, or one that holds such folders, as runs/run does.
The name of a run, the date that programs.runs shows, a pattern, `latest` and `previous` stand for folders too. Jobs that differ
only in the seed share one row of the leaderboard. The page shows each job.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.written_texts import WrittenTexts
from clinspan.programs.config.composition import output_folder
from clinspan.programs.inference.error_report import read_analysis
from clinspan.programs.rundir.prompt_log import read_prompts
from clinspan.programs.rundir.records import RankedScores, TaggedSentence
from clinspan.programs.rundir.run_folder import environment, load_records, now, RunFolder, write_whole
from clinspan.programs.rundir.run_list import list_runs
from clinspan.programs.rundir.run_names import find_folders, scorable_below
from clinspan.programs.rundir.scores_fit import check_fit
from clinspan.programs.sweeps.failed_jobs import job_folders
from clinspan.reports.leaderboard import build_leaderboard, Job
from clinspan.reports.page.error_tables import analysis_tables
from clinspan.reports.page.page import Report, write_page
from clinspan.reports.page.redaction import Redactor
from clinspan.reports.paper.paper_tables import paper_tables
from clinspan.reports.run_views import RunView
from clinspan.reports.terminal.leaderboard_table import latex, markdown, print_leaderboard

_NAMED = 5
_DAMAGE = (AttributeError, InputError, KeyError, TypeError, ValueError)


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


def load_job(path: Path) -> Job:
    """Read a job's folder. Missing or unreadable files do not raise: the job then has an `error`."""
    folder = RunFolder(path)
    if not (path / "run.json").is_file():
        return Job(str(path), {}, None, error="left no run.json")
    try:
        record = folder.read("run.json")
    except InputError:
        return Job(str(path), {}, None, error="run.json cannot be read")
    if record.get("status") != "finished":
        return Job(str(path), record, None, error=str(record.get("error") or ""))
    try:
        scores = folder.read("scores.json")
    except InputError:
        return Job(str(path), record, None, error="scores.json cannot be read")
    if problem := RankedScores.problem(scores):
        return Job(str(path), record, None, error=f"scores.json is not in the format of a run ({problem})")
    return Job(str(path), record, scores)


def load_view(job: Job, texts: WrittenTexts | None = None) -> RunView:
    """The page's view of a scored job. Unreadable parts are left out, and `problem` of the view says why.

    Args:
        job: The job.
        texts: Reads the texts as written; None: sentences are shown as tokens.
    """
    path = Path(job.path)
    assert job.scores is not None
    if "per_type" not in job.scores:
        return RunView(job=job, problem="its scores.json has no scores by type")
    try:
        rows = list(load_records(path / "predictions.jsonl", TaggedSentence).values())
        check_fit(rows, job.scores, RunView(job=job).mode, path)
    except InputError as error:
        return RunView(job=job, problem=f"its sentences cannot be shown: {error}")
    try:
        tables, problem = analysis_tables(read_analysis(RunFolder(path))), ""
    except _DAMAGE:
        tables, problem = [], "its errors.json cannot be read"
    prompts = None
    try:
        prompts = read_prompts(path)
    except InputError as error:
        problem = problem or f"what was sent cannot be shown: {error}"
    view = RunView(job=job, rows=rows, prompts=prompts, tables=tables, problem=problem)
    try:
        return view if texts is None else replace(view, gaps=texts.gaps(job.record, rows, path))
    except InputError as error:
        return replace(view, unwritten=str(error))


def build_report(jobs: Sequence[Job], board: Mapping[str, Any], about: str, *, redact: bool) -> Report:
    """Build the report of the scored jobs, numbered in the order of the leaderboard."""
    order = {path: place for place, path in enumerate(path for row in board["rows"] for path in row["jobs"])}
    scored = sorted((job for job in jobs if job.scores is not None), key=lambda job: order[job.path])
    texts = None if redact else WrittenTexts()
    views = [replace(load_view(job, texts), number=number) for number, job in enumerate(scored, 1)]
    if redact:
        redactor = Redactor()
        names = {view.job.path: f"run {view.number}" for view in views}
        views = [redactor.redact(replace(view, job=replace(view.job, path=names[view.job.path]))) for view in views]
        board = {**board, "rows": [{**row, "jobs": [names.get(path, "a run") for path in row["jobs"]]} for row in board["rows"]]}
    phi = any((job.record.get("corpus") or {}).get("phi") for job in scored)
    paper = paper_tables([(job.record, job.scores) for job in jobs])
    return Report(views=views, board=board, paper=paper, about=about, phi=phi, redacted=redact)


def main(config: DictConfig) -> None:
    """Print and write the leaderboard, write the page with its figures, and print the paths of the page and, last, its folder."""
    if not config.folders:
        raise InputError("there is no sweep to report on", remedy="Give folders of sweeps: runs/<command>/<date_time>.")
    if not isinstance(config.redact, bool):
        raise InputError(f"redact={config.redact} is neither true nor false", remedy="Use redact=true for a page without text.")
    jobs = [load_job(path) for path in find_all_jobs([str(word) for word in config.folders])]
    result = build_leaderboard(jobs)
    folder = RunFolder(output_folder())
    about = {"folders": [str(word) for word in config.folders], "ended": now(), **environment()}
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
    print(folder.path)


if __name__ == "__main__":
    run_app("report", main, listed="folders")
