"""Builds the instructions of a program from a `prompt=` option.

An option of `prompt=` names a function that gets the labels and returns the instructions. If the function has a parameter `advice`
that its option does not set, it gets the advice of the corpus, `corpus.advice`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from omegaconf import DictConfig

from clinspan.corpora import Corpus, Label
from clinspan.programs.config.composition import build, object_of


def build_instructions(config: DictConfig, labels: Sequence[Label], corpus: Corpus) -> str:
    """The instructions of the config's prompt.

    Args:
        config: The config of a command.
        labels: The labels as prompts show them.
        corpus: The corpus of the config, or one without splits, for labels of a program: then there is no advice.
    """
    takes = inspect.signature(object_of(config.prompt._target_)).parameters
    advised = "advice" in takes and "advice" not in config.prompt
    more = {"advice": _advice(config) if corpus.splits else ""} if advised else {}
    return str(build(config.prompt, labels=labels, **more))


def _advice(config: DictConfig) -> str:
    return " ".join(str(config.corpus.get("advice") or "").split())
