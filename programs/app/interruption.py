"""What a command says when it is interrupted: how to go on."""

from __future__ import annotations

from clinspan.programs.app.error_text import Watched
from clinspan.programs.rundir.printed_commands import resume_command, same_command, shown_path
from clinspan.programs.sweeps.failed_jobs import Sweeps


def interruption(command: str) -> str:
    """The message of an interrupted command, with the whole command that continues it if it has computed anything."""
    folder = Watched.folder
    if Sweeps.folder is not None:
        again = same_command(command, "hydra.sweep.dir", shown_path(Sweeps.folder))
    elif folder is None or not (folder / "run.json").is_file():
        return "interrupted"
    else:
        again = same_command(command, "output", shown_path(folder)) if command == "annotate" else resume_command(folder)
    return f"interrupted; results so far are on disk: continue with: {again}"
