"""Files and weights that a run depends on: their digests and revisions are recorded, and a resumed run needs the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import InputError
from clinspan.programs.config.composition import folder_path


def file_fact(config: DictConfig, key: str) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of the file that a setting names, by the setting; empty if it names none."""
    value = OmegaConf.select(config, key)
    if value is None or not folder_path(value).is_file():
        return {}
    digest = hashlib.sha256(folder_path(value).read_bytes()).hexdigest()
    return {key: {"path": str(value), "sha256": digest}}


def check_files(record: Mapping[str, Any], facts: Mapping[str, Any], path: Path) -> None:
    """Refuse to resume a run if a file that its prompts were made from has changed.

    Args:
        record: The record of the run so far.
        facts: The facts of the program as it is built now.
        path: The folder of the run.

    Raises:
        InputError: A file has changed; the message names the setting.
    """
    for key, before in (record.get("files") or {}).items():
        now = (facts.get("files") or {}).get(key)
        if now is not None and now["sha256"] != before["sha256"]:
            problem = f"the file of {key}, {before['path']}, has changed since the run began"
            raise InputError(problem, path=path, remedy="Restore it, or start a new run.")


def check_revision(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Refuse to resume a run with other weights than it began with: another commit of the repository, or other files.

    Args:
        before: The model in the record of the run so far; without a revision if it ended before the model was loaded.
        now: The model as it is loaded now.
        path: The folder of the run.

    Raises:
        InputError: The revision is another one; the message names both.
    """
    if before.get("revision") is not None and before["revision"] != now.get("revision"):
        problem = f"the run began with revision {before['revision']} of {before.get('id')}, now {now.get('revision')} was found"
        raise InputError(problem, path=path, remedy="Get that revision, or start a new run; model.revision=COMMIT keeps to one.")
