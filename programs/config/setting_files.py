"""Files and weights that a run depends on: their digests and revisions are recorded, and a resumed run needs the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import InputError
from clinspan.programs.config.composition import folder_path
from clinspan.programs.rundir.run_record import FileRecord, ModelRecord, RunFacts


def file_fact(config: DictConfig, key: str) -> dict[str, FileRecord]:
    """Path and SHA-256 of the file that a setting names, by the setting; empty if it names none."""
    value = OmegaConf.select(config, key)
    if value is None or not folder_path(value).is_file():
        return {}
    digest = hashlib.sha256(folder_path(value).read_bytes()).hexdigest()
    return {key: FileRecord(path=str(value), sha256=digest)}


def check_files(record: RunFacts, facts: RunFacts, path: Path) -> None:
    """Refuse to resume a run if a file that its prompts were made from has changed.

    Args:
        record: The record of the run so far.
        facts: The facts of the program as it is built now.
        path: The folder of the run.

    Raises:
        InputError: A file has changed; the message names the setting.
    """
    for key, before in (record.files or {}).items():
        now = (facts.files or {}).get(key)
        if now is not None and now.sha256 != before.sha256:
            problem = f"the file of {key}, {before.path}, has changed since the run began"
            raise InputError(problem, path=path, remedy="Restore it, or start a new run.")


def check_revision(record: RunFacts, facts: RunFacts, path: Path) -> None:
    """Refuse to resume a run with other weights than it began with: another commit of the repository, or other files.

    Args:
        record: The record of the run so far; its model has no revision if it ended before the model was loaded.
        facts: The facts of the model as it is loaded now.
        path: The folder of the run.

    Raises:
        InputError: The revision is another one; the message names both.
    """
    before, now = record.model or ModelRecord(), facts.model or ModelRecord()
    if before.revision is not None and before.revision != now.revision:
        problem = f"the run began with revision {before.revision} of {before.id}, now {now.revision} was found"
        raise InputError(problem, path=path, remedy="Get that revision, or start a new run; model.revision=COMMIT keeps to one.")
