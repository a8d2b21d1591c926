"""Starts or resumes a run: its folder, config and record."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.app.error_text import watch
from clinspan.programs.app.observability import FOLLOWERS, observers, without_observers
from clinspan.programs.building.build_run import Overrides, program_settings
from clinspan.programs.config.classifier_config import PROMPT_KEYS, refuse_prompt_keys, without_prompt
from clinspan.programs.config.composition import build, chosen_options, folder_path, is_sweep, overridden_keys
from clinspan.programs.config.project_source import project_record
from clinspan.programs.config.saved_data import check_recorded_hosts, composed_config, restored_config
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.run_folder import environment, now, RunFolder
from clinspan.programs.rundir.run_names import check_labels, LABELS
from clinspan.programs.sweeps.seeds import drawn, no_effect

RESUME_KEYS = frozenset({"debug", "resume", "stop_after"})
"""Settings that a resumed run takes from the command line, besides tracking, tracing and the addresses of its servers."""


@contextmanager
def prepared(config: DictConfig, output: Path, *, command: str = "run") -> Iterator[tuple[RunFolder, DictConfig, dict[str, Any]]]:
    """The result of `prepare`, while a lock keeps other processes from writing into the folder.

    Raises:
        RunError: Another process is writing into it.
    """
    path = RunFolder(output).path if config.resume is None else folder_path(config.resume)
    with one_writer(path) if config.resume is None or (path / "run.json").is_file() else nullcontext():
        folder, own, record = prepare(config, output, command=command)
        watch(own, folder.path)
        yield folder, own, record


def prepare(config: DictConfig, output: Path, *, command: str = "run") -> tuple[RunFolder, DictConfig, dict[str, Any]]:
    """The folder, config and record of a new run, or those of the run that is resumed.

    If the folder already holds the same job, as in a restarted sweep, that job is resumed, unless it has finished.

    Raises:
        InputError: `resume` names no run, the settings differ from those that the run began with, or a name is not valid.
    """
    if config.resume is None:
        check_labels(config.name, config.tags)
        config, record = new_record(config, Overrides.now(), command)
        if not record["drawn"] and "seed" in record["given"] and not is_sweep():
            print(printable(no_effect(config)), file=sys.stderr)
        folder = RunFolder(output)
        return folder, config, _again(folder, record)
    path = folder_path(config.resume)
    if not (path / "run.json").is_file():
        raise InputError("holds no run.json, so there is no run to resume", path=path, remedy="Give a run's folder.")
    folder = RunFolder(path)
    record = _begun(folder)
    record["config"] = saved_config(record, command, path / "run.json")
    _move(record["config"], config)
    changed = {key: config[key] for key in RESUME_KEYS & overridden_keys()}
    began = OmegaConf.create({**record["config"], **changed, "resume": None, **observers(config, overridden_keys())})
    assert isinstance(began, DictConfig)
    if promptless := _promptless(began, record["choices"], command):
        refuse_prompt_keys(overridden_keys(), what=promptless)
    _check_overrides(config, began, record["choices"], path)
    if command != "optimize" or not finished(record):  # a run retries failed sentences; a compilation has its result
        record["status"] = "started"
        record.pop("error", None)
        record.pop("reason", None)
        record.setdefault("resumed", []).append(now())
    return folder, began, record


def new_record(config: DictConfig, overrides: Overrides, command: str) -> tuple[DictConfig, dict[str, Any]]:
    """The config of a new run with the settings of the program that it names, and the run's first record."""
    config, chosen = program_settings(config, overrides)
    chosen = without_observers({**overrides.choices, **chosen})
    if promptless := _promptless(config, chosen, command):
        config = without_prompt(config, overrides.keys, what=promptless)
        chosen = {key: option for key, option in chosen.items() if key not in PROMPT_KEYS}
    record = {
        "status": "started",
        "started": now(),
        "config": OmegaConf.to_container(config, resolve=True),
        "choices": chosen,
        "given": sorted(overrides.keys),
        **project_record(config),
        "seed": config.seed,
        "drawn": drawn(config, overrides.keys),
        **environment(),
    }
    return config, record


def part_record(folder: RunFolder, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run that is a part of another one, such as a fold: the new record, with what its folder holds already.

    Raises:
        InputError: The record in the folder is damaged.
    """
    if not (folder.path / "run.json").is_file():
        return dict(record)
    old = _begun(folder)
    settings = {key: record[key] for key in ("config", "choices", "given", "seed")}
    return {**record, **old, **settings}


def saved_config(record: Mapping[str, Any], command: str, path: Path) -> dict[str, Any]:
    """The config that a run began with: values come from its record, classes from `conf/`.

    Args:
        record: The content of `run.json`.
        command: The command.
        path: The file, for messages.

    Raises:
        InputError: The record names a class, an option or a setting that the command does not have.
    """
    choices, config = record.get("choices"), record.get("config")
    if not isinstance(choices, dict) or not isinstance(config, dict):
        raise InputError("has no config of a run", path=path, remedy="Give a run's folder.")
    composed = composed_config(command, choices, path=path)
    for key in PROMPT_KEYS - config.keys():
        composed.pop(key, None)
    restored = restored_config(composed, config, path=path)
    check_recorded_hosts(restored, overridden_keys(), path=path)
    return restored


def _check_overrides(config: DictConfig, began: DictConfig, choices: Mapping[str, Any], path: Path) -> None:
    """Refuse overrides that change a setting of a resumed run, except settings that may change.

    Raises:
        InputError: There is such an override; the message names its key and the value that the run began with.
    """
    others = f"{', '.join(sorted(RESUME_KEYS))}, tracking, tracing and server addresses"
    remedy = f"Leave it out: a resumed run keeps its own settings, except {others}."
    for key in sorted(overridden_keys()):
        if key in RESUME_KEYS or key.split(".")[0] in FOLLOWERS:
            continue
        chosen = chosen_options()
        if key in chosen or key in choices:
            before, given = choices.get(key), chosen.get(key)
        else:
            before, given = OmegaConf.select(began, key), OmegaConf.select(config, key)
        if before != given:
            problem = f"the run began with {key}={_shown(before)}, now {key}={_shown(given)} is given"
            raise InputError(problem, path=path, remedy=remedy)


def _shown(value: object) -> object:
    """The value as an override writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else value


def _move(began: dict[str, Any], config: DictConfig) -> None:
    """Let a resumed run use the same models at other servers: the address of a model has no effect on its answers."""
    for group in ("model", "reflection_model"):
        if f"{group}.api_base" in overridden_keys() and "api_base" in (began.get(group) or {}):
            plain = OmegaConf.to_container(config[group], resolve=True)
            assert isinstance(plain, dict)
            began[group]["api_base"] = plain["api_base"]


def _promptless(config: DictConfig, chosen: Mapping[str, str], command: str) -> str | None:
    """The choice that makes a run or a training classify tokens without prompts; None if it uses prompts."""
    if command == "finetune":
        from clinspan.tuning import Encoder

        return f"tuning={chosen['tuning']}" if isinstance(build(config.tuning), Encoder) else None
    if command == "run" and isinstance(build(config.model), lms.ClassifierModel):
        return f"model={chosen['model']}"
    return None


def finished(record: dict[str, Any]) -> bool:
    """Whether there is nothing left to do, as for a finished job of a restarted sweep."""
    return bool(record["status"] == "finished")


def _again(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    """The record of the same job if the folder holds one, otherwise the new record.

    Raises:
        InputError: The folder holds another job.
    """
    if not (folder.path / "run.json").is_file():
        return record
    old = _begun(folder)
    if "given" not in old:  # it failed before it began
        return record
    if _decisive(old.get("config")) != _decisive(record["config"]):
        raise InputError("holds a job with other settings", path=folder.path, remedy="Choose another hydra.sweep.dir.")
    if not finished(old):
        old |= {"status": "started", "resumed": [*old.get("resumed", []), now()]}
        old.pop("error", None)
        old.pop("reason", None)
    return old


def _decisive(config: Any) -> dict[str, Any]:
    """The settings that have an effect on what a run does. A run that was renamed is still the same job."""
    return {key: value for key, value in without_observers(config).items() if key not in (*LABELS, "debug")}


def _begun(folder: RunFolder) -> dict[str, Any]:
    """The record of a run that has started.

    Raises:
        InputError: The record is damaged; the message says how to reuse the predictions beside it.
    """
    try:
        return folder.read("run.json")
    except InputError:
        remedy = (
            f"To keep the results so far, remove it and start again with the run's own settings and hydra.run.dir={folder.path}"
        )
        raise InputError("is damaged", path=folder.path / "run.json", remedy=remedy) from None
