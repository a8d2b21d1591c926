"""`python -m programs.report FOLDER [FOLDER ...]`: a leaderboard of the jobs of sweeps.

A FOLDER is a sweep's, with one folder a job, or a single job's own. Jobs that agree in all but the seed are one row.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from corpora import InputError
from programs.door import open_door, output_folder
from programs.records import environment, now, RunFolder
from programs.sweeps import job_folders
from reports.leaderboard import build_leaderboard, Job
from reports.standings import markdown, print_leaderboard


def find_jobs(folder: Path) -> list[Path]:
    """The folders of the jobs: the folder itself if it is one, else those in it that are named by numbers.

    Raises:
        InputError: It is no folder, or holds no job.
    """
    if not folder.is_dir():
        raise InputError("is no folder", path=folder, remedy="Give the folder of a sweep, runs/<door>/<date_time>.")
    if (folder / "run.json").is_file():
        return [folder]
    found = job_folders(folder)
    if not found:
        remedy = "Give the folder of a sweep, runs/<door>/<date_time>, or of one job."
        raise InputError("holds no run.json and no numbered folders, so it is no sweep and no job", path=folder, remedy=remedy)
    return found


def load_job(path: Path) -> Job:
    """Read a job's folder; one that left nothing to read is a job with an error, not an error."""
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
        return Job(str(path), record, folder.read("scores.json"))
    except InputError:
        return Job(str(path), record, None, error="scores.json cannot be read")


def main(config: DictConfig) -> None:
    """Print the leaderboard; write `leaderboard.json` and `leaderboard.md`; print their folder last."""
    if not config.folders:
        raise InputError("there is no sweep to report on", remedy="Give folders of sweeps: runs/<door>/<date_time>.")
    folders = [Path(str(path)).expanduser() for path in config.folders]
    paths = {path.resolve(): path for folder in folders for path in find_jobs(folder)}  # one given twice counts once
    result = build_leaderboard([load_job(path) for path in paths.values()])
    folder = RunFolder(output_folder())
    about = {"folders": [str(path) for path in folders], "ended": now(), **environment()}
    folder.write("leaderboard.json", {**about, **result})
    (folder.path / "leaderboard.md").write_text(markdown(result), encoding="utf-8")
    print_leaderboard(result)
    print(folder.path)


if __name__ == "__main__":
    open_door("report", main, listed="folders")
