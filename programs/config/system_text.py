"""Settings of the system text, for models whose template leaves it out."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.lms.protocols import RenderingEngine
from clinspan.lms.templates import writes_system
from clinspan.programs.config.composition import object_of

_SETTINGS = ("prompt", "corpus.definitions")
_NEED_TOKENIZER = ("auto", "chat")


def check_system_text(config: DictConfig, given: Collection[str], spec: Any, engine: Any = None) -> None:
    """Refuse settings that concern only the system text, if the model's template leaves it out. Else say once that it is not sent.

    Args:
        config: The config of a command.
        given: Keys and groups that the user has set.
        spec: The model.
        engine: The loaded model; None: it is not loaded yet, and only a template that needs no tokenizer can be judged.

    Raises:
        InputError: There is such a setting; the message names it.
    """
    if _is_written(spec, engine):
        return
    for key in stray_keys(config, given):
        problem = f"{key} has no effect: the template of model={spec.name} has no place for instructions, so they are not sent"
        raise InputError(problem, remedy=f"Leave {key} out, or use another model.")
    if engine is not None:
        about = f"the template of model={spec.name} has no place for instructions and rules of the format: they are not sent"
        print(f"clinspan: {printable(about)}", file=sys.stderr)


def stray_keys(config: DictConfig, given: Collection[str]) -> list[str]:
    """The settings that concern only the system text: what the user has set, and optimizers that write instructions."""
    stray = [key for key in sorted(given) if any(key == own or key.startswith(f"{own}.") for own in _SETTINGS)]
    if "optimizer" not in config:
        return stray
    searched = [str(line).partition("=")[0].strip() for line in config.optimizer.get("space") or ()]
    stray += [f"{key} in optimizer.space" for key in searched if key.partition(".")[0] == "prompt"]
    if getattr(object_of(config.optimizer._target_), "writes_instructions", False):
        stray.append(f"optimizer={config.optimizer._target_.rpartition('.')[2]}")
    return stray


def _is_written(spec: Any, engine: Any) -> bool:
    """Whether the system text is sent, as far as it is known."""
    if engine is not None:
        return not isinstance(engine, RenderingEngine) or engine.writes_system
    named = isinstance(spec, lms.LocalModel) and spec.template not in _NEED_TOKENIZER
    return not named or writes_system(spec.template)
