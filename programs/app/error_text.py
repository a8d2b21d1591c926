"""Messages and tracebacks of unexpected errors, such as those of a user's own class. They can quote texts.

They are shown where all texts of the job are public, or with `debug=true`. Otherwise they go to a file in the job's folder, which
only its owner can read.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from omegaconf import DictConfig

from clinspan.corpora.printable import printable
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.privacy import wordless
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.run_folder import write_whole

ERROR_FILE = "error.txt"


class Watched:
    """The job of this process.

    Attributes:
        config: The settings that it runs with; None while those of a resumed run are not known.
        folder: Its folder; None while there is none.
    """

    config: ClassVar[DictConfig | None] = None
    folder: ClassVar[Path | None] = None


def watch(config: DictConfig | None, folder: Path | None = None) -> None:
    """Say what an error that comes now is about; see `Watched`."""
    Watched.config, Watched.folder = config, folder


def error_report(error: BaseException, *, debug: bool, place: bool = True) -> str:
    """What to print about an unexpected error. The text is written to a file if it may not be shown.

    Args:
        error: The error.
        debug: Whether the user wants to see its text.
        place: Whether to print where it came from, if its text is not shown.
    """
    text = printable("".join(traceback.format_exception(error)).rstrip())
    if debug or _is_public(Watched.config):
        return text
    lines = [wordless(error)] if place else []
    if Watched.folder is not None:
        path = Watched.folder / ERROR_FILE
        with suppress(RunError), writing(Watched.folder):
            write_whole(path, (text + "\n").encode())
            path.chmod(0o600)
            lines.append(f"clinspan: its message is in {path}, which only you can read; debug=true shows it here")
    return "\n".join(lines)


def unexpected_cause(error: BaseException, expected: tuple[type[BaseException], ...]) -> BaseException | None:
    """The error of another kind that an expected error names as its cause."""
    cause = error.__cause__
    return None if cause is None or isinstance(cause, expected) else cause


def _is_public(config: DictConfig | None) -> bool:
    """Whether no text that a job reads may hold protected health information."""
    if config is None or "corpus" not in config or config.corpus is None or config.corpus.get("phi", True) is not False:
        return False
    try:
        return not any(text.phi for text in protected_texts(config))
    except Exception:  # what cannot be read is not known to be public
        return False
