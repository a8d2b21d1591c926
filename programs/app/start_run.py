"""Starts or resumes a run: its folder, config and record."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
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
from clinspan.programs.config.composition import build, chosen_options, folder_path, is_sweep, overridden_keys, plain_settings
from clinspan.programs.config.project_source import project_record
from clinspan.programs.config.saved_data import check_recorded_hosts, composed_config, restored_config
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_folder import environment, now, RunFolder
from clinspan.programs.rundir.run_names import check_labels, LABELS
from clinspan.programs.rundir.run_record import RunFacts, RunRecord
from clinspan.programs.sweeps.seeds import drawn, no_effect

RESUME_KEYS = frozenset({"budget", "debug", "report", "resume", "stop_after"})
"""Settings that a resumed run takes from the command line, besides tracking, tracing and the addresses of its servers."""


@contextmanager
def prepared(config: DictConfig, output: Path, *, command: str = "run") -> Iterator[tuple[OpenRun, DictConfig]]:
    """The result of `prepare`, while a lock keeps other processes from writing into the folder.

    Raises:
        RunError: Another process is writing into it.
    """
    path = RunFolder(output).path if config.resume is None else folder_path(config.resume)
    with one_writer(path) if config.resume is None or (path / "run.json").is_file() else nullcontext():
        run, own = prepare(config, output, command=command)
        watch(own, run.folder.path)
        yield run, own


def prepare(config: DictConfig, output: Path, *, command: str = "run") -> tuple[OpenRun, DictConfig]:
    """A new run and its config, or the run that is resumed and the config that it began with.

    If the folder already holds the same job, as in a restarted sweep, that job is resumed, unless it has finished.

    Raises:
        InputError: `resume` names no run, the settings differ from those that the run began with, or a name is not valid.
    """
    if config.resume is None:
        check_labels(config.name, config.tags)
        config, record = new_record(config, Overrides.now(), command)
        if not record.drawn and "seed" in record.given and not is_sweep():
            print(printable(no_effect(config)), file=sys.stderr)
        folder = RunFolder(output)
        return OpenRun(folder, _again(folder, record)), config
    return _resume(config, command)


def _resume(config: DictConfig, command: str) -> tuple[OpenRun, DictConfig]:
    path = folder_path(config.resume)
    if not (path / "run.json").is_file():
        raise InputError("holds no run.json, so there is no run to resume", path=path, remedy="Give a run's folder.")
    folder = RunFolder(path)
    record = _begun(folder)
    record = record.plus(RunFacts(config=_moved(saved_config(record, command, path / "run.json"), config)))
    changed = {key: config[key] for key in RESUME_KEYS & overridden_keys()}
    began = OmegaConf.create({**record.config, **changed, "resume": None, **observers(config, overridden_keys())})
    assert isinstance(began, DictConfig)
    if reason := _promptless(began, record.choices, command):
        refuse_prompt_keys(overridden_keys(), what=reason)
    _check_overrides(config, began, record.choices, path)
    if command != "optimize" or not record.finished:  # a run retries failed sentences; a compilation has its result
        record = record.begun_again(now())
    return OpenRun(folder, record), began


def first_record(config: DictConfig, choices: Mapping[str, str], given: Collection[str]) -> RunRecord:
    """The first record of a command: its settings and where it runs.

    Args:
        config: Its config.
        choices: The option of each group.
        given: Keys and groups that the user has set.
    """
    settings = RunFacts(config=plain_settings(config), choices=dict(choices), given=sorted(given))
    project = project_record(config)
    facts = settings.plus(RunFacts(project=project)) if project else settings
    return RunRecord(status="started", started=now()).plus(facts).plus(environment())


def new_record(config: DictConfig, overrides: Overrides, command: str) -> tuple[DictConfig, RunRecord]:
    """The config of a new run with the settings of the program that it names, and the run's first record."""
    config, chosen = program_settings(config, overrides)
    chosen = without_observers({**overrides.choices, **chosen})
    if reason := _promptless(config, chosen, command):
        config = without_prompt(config, overrides.keys, what=reason)
        chosen = {key: option for key, option in chosen.items() if key not in PROMPT_KEYS}
    facts = RunFacts(seed=config.seed, drawn=drawn(config, overrides.keys))
    return config, first_record(config, chosen, overrides.keys).plus(facts)


def part_record(folder: RunFolder, record: RunRecord) -> RunRecord:
    """The record of a run that is a part of another one, such as a fold: the new record, with what its folder holds already.

    Raises:
        InputError: The record in the folder is damaged.
    """
    if not (folder.path / "run.json").is_file():
        return record
    return record.plus(_begun(folder)).plus(record.only("config", "choices", "given", "seed"))


def saved_config(record: RunRecord, command: str, path: Path) -> dict[str, Any]:
    """The config that a run began with: values come from its record, classes from `conf/`.

    Args:
        record: The record.
        command: The command.
        path: The file, for messages.

    Raises:
        InputError: The record names a class, an option or a setting that the command does not have.
    """
    if not {"choices", "config"} <= record.model_fields_set:
        raise InputError("has no config of a run", path=path, remedy="Give a run's folder.")
    composed = composed_config(command, record.choices, path=path)
    for key in PROMPT_KEYS - record.config.keys():
        composed.pop(key, None)
    restored = restored_config(composed, record.config, path=path)
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


def _moved(began: Mapping[str, Any], config: DictConfig) -> dict[str, Any]:
    """The config that a run began with, with the models at the servers that the user names now, which has no effect on answers."""
    moved = dict(began)
    for group in ("model", "reflection_model"):
        if f"{group}.api_base" in overridden_keys() and "api_base" in (began.get(group) or {}):
            moved[group] = {**began[group], "api_base": plain_settings(config[group])["api_base"]}
    return moved


def _promptless(config: DictConfig, chosen: Mapping[str, str], command: str) -> str | None:
    """The choice that makes a run or a training classify tokens without prompts; None if it uses prompts."""
    if command == "finetune":
        from clinspan.tuning import Encoder

        return f"tuning={chosen['tuning']}" if isinstance(build(config.tuning), Encoder) else None
    if command == "run" and isinstance(build(config.model), lms.ClassifierModel):
        return f"model={chosen['model']}"
    return None


def _again(folder: RunFolder, record: RunRecord) -> RunRecord:
    """The record of the same job if the folder holds one, otherwise the new record.

    Raises:
        InputError: The folder holds another job.
    """
    if not (folder.path / "run.json").is_file():
        return record
    old = _begun(folder)
    if "given" not in old.model_fields_set:  # it failed before it began
        return record
    if _decisive(old.config) != _decisive(record.config):
        raise InputError("holds a job with other settings", path=folder.path, remedy="Choose another hydra.sweep.dir.")
    return old if old.finished else old.begun_again(now())


def _decisive(config: Any) -> dict[str, Any]:
    """The settings that have an effect on what a run does. A run that was renamed is still the same job."""
    return {key: value for key, value in without_observers(config).items() if key not in (*LABELS, *RESUME_KEYS)}


def _begun(folder: RunFolder) -> RunRecord:
    """The record of a run that has started.

    Raises:
        InputError: The record is damaged; the message says how to reuse the predictions beside it.
    """
    path = folder.path / "run.json"
    remedy = f"To keep the results so far, remove it and start again with the run's own settings and hydra.run.dir={folder.path}"
    try:
        content = folder.read("run.json")
    except InputError:
        raise InputError("is damaged", path=path, remedy=remedy) from None
    return RunRecord.checked(content, path, remedy)
