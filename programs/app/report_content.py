"""The content of an HTML report: the jobs of folders, and the page that a run writes beside its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clinspan.corpora import Corpus, InputError
from clinspan.programs.app.written_texts import WrittenTexts
from clinspan.programs.inference.error_report import read_analysis
from clinspan.programs.rundir.printed_commands import shown_path
from clinspan.programs.rundir.prompt_log import read_prompts
from clinspan.programs.rundir.records import RankedScores, TaggedSentence
from clinspan.programs.rundir.run_folder import load_records, RunFolder
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.rundir.scores_fit import check_fit
from clinspan.reports.leaderboard import build_leaderboard, Job
from clinspan.reports.page.error_tables import analysis_tables
from clinspan.reports.page.page import Report, write_page
from clinspan.reports.page.redaction import Redactor
from clinspan.reports.paper.paper_tables import paper_tables
from clinspan.reports.run_views import folder_name, RunView

_DAMAGE = (AttributeError, InputError, KeyError, TypeError, ValueError)


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
        if texts is None:
            return view
        record = RunRecord.checked(job.record, path / "run.json", "Give the folder of a run.")
        return replace(view, gaps=texts.gaps(record, rows, path))
    except InputError as error:
        return replace(view, unwritten=str(error))


def build_report(
    jobs: Sequence[Job], board: Mapping[str, Any], about: str, *, redact: bool, corpus: Corpus | None = None
) -> Report:
    """Build the report of the scored jobs, numbered in the order of the leaderboard.

    Args:
        jobs: The jobs.
        board: Their leaderboard.
        about: When and with what the report was made.
        redact: Whether texts are replaced by hashes.
        corpus: A corpus of the jobs, if it is at hand; others are read again.
    """
    order = {path: place for place, path in enumerate(path for row in board["rows"] for path in row["jobs"])}
    scored = sorted((job for job in jobs if job.scores is not None), key=lambda job: order[job.path])
    texts = None if redact else WrittenTexts(corpus)
    views = [replace(load_view(job, texts), number=number) for number, job in enumerate(scored, 1)]
    names = {job.path: "a run" if redact else _named(job.path) for job in jobs}
    if redact:
        names |= {view.job.path: f"run {view.number}" for view in views}
    views = [replace(view, job=replace(view.job, path=names[view.job.path])) for view in views]
    board = {**board, "rows": [{**row, "jobs": [names[path] for path in row["jobs"]]} for row in board["rows"]]}
    if redact:
        redactor = Redactor()
        views = [redactor.redact(view) for view in views]
    phi = any((job.record.get("corpus") or {}).get("phi") for job in scored)
    paper = paper_tables([(job.record, job.scores) for job in jobs])
    return Report(views=views, board=board, paper=paper, about=about, phi=phi, redacted=redact)


def _named(path: str) -> str:
    """A run's folder as pages name it: relative to the current folder, or its last part, so that no page has an absolute path."""
    shown = shown_path(Path(path))
    return folder_name(shown) if Path(shown).is_absolute() else shown


def write_run_page(folder: RunFolder, corpus: Corpus) -> Path:
    """Write the page `report.html` of a finished run into its folder, without figures, and return its path.

    Args:
        folder: The run's folder.
        corpus: The corpus that the run tagged.
    """
    job = load_job(folder.path)
    commit = (job.record.get("git") or {}).get("commit") or "of no checkout"
    about = f"Made {job.record.get('ended')} by clinspan {commit[:7]} from one run. clinspan report adds figures and other runs."
    report = build_report([job], build_leaderboard([job]), about, redact=False, corpus=corpus)
    return write_page(report, folder.path, figures=False)
