"""Builds the instructions of a program from a `prompt=` option.

An option of `prompt=` names a function that gets the labels and returns the instructions. If the function has a parameter `advice`
that its option does not set, it gets the advice of the corpus, `corpus.advice`; likewise `guidelines`, the file that
`corpus.guidelines` names.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from omegaconf import DictConfig

from clinspan.corpora import Corpus, Label
from clinspan.corpora.sources import GUIDELINES
from clinspan.programs.config.composition import build, folder_path, object_of
from clinspan.programs.config.setting_files import file_fact
from clinspan.programs.rundir.run_record import FileRecord


def build_instructions(config: DictConfig, labels: Sequence[Label], corpus: Corpus) -> str:
    """The instructions of the config's prompt.

    Args:
        config: The config of a command.
        labels: The labels as prompts show them.
        corpus: The corpus of the config, or one without splits, for labels of a program: then there is no advice.
    """
    takes = inspect.signature(object_of(config.prompt._target_)).parameters
    advised = "advice" in takes and "advice" not in config.prompt
    more: dict[str, str | None] = {"advice": _advice(config) if corpus.splits else ""} if advised else {}
    if "guidelines" in takes and "guidelines" not in config.prompt:
        more["guidelines"] = guidelines_file(config)
    return str(build(config.prompt, labels=labels, **more))


def instruction_files(config: DictConfig) -> dict[str, FileRecord]:
    """The files that the instructions are made from, by the setting that names each."""
    quotes = "guidelines" in inspect.signature(object_of(config.prompt._target_)).parameters and config.prompt.get("path") is None
    return file_fact(config, "prompt.path") | (file_fact(config, "corpus.guidelines") if quotes else {})


def guidelines_file(config: DictConfig) -> str | None:
    """The file of annotation guidelines that the corpus of a config has; None if it has none."""
    named = config.corpus.get("guidelines")
    if named is None:
        bundled = GUIDELINES.get(object_of(config.corpus._target_))
        return None if bundled is None else str(bundled)
    return str(folder_path(named))


def _advice(config: DictConfig) -> str:
    return " ".join(str(config.corpus.get("advice") or "").split())
