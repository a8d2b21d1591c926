"""Settings that concern prompts only: token classifiers have none of them, and reject them."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import InputError

_GROUPS = ("strategy", "format", "prompt", "retriever")
PROMPT_KEYS = frozenset((*_GROUPS, "alignment", "label_order", "label_wording", "constrained", "draft"))
"""Groups and keys that mean something only to models that answer prompts."""
AnySpec = lms.ModelSpec | lms.ClassifierModel


def without_prompt(config: DictConfig, overrides: Iterable[str], *, what: str) -> DictConfig:
    """The config without what concerns prompts.

    Args:
        config: A run's or a training's.
        overrides: Keys and groups that the user has set.
        what: The choice that goes without a prompt, for the message.

    Raises:
        InputError: One of them concerns prompts.
    """
    refuse_prompt_keys(overrides, what=what)
    own = config.copy()
    OmegaConf.set_struct(own, False)
    for key in PROMPT_KEYS:
        own.pop(key, None)
    OmegaConf.set_struct(own, True)
    return own


def refuse_prompt_keys(overrides: Iterable[str], *, what: str) -> None:
    """
    Raises:
        InputError: A key that the user has set concerns prompts; names it.
    """
    if stray := sorted(key for key in overrides if key.split(".")[0] in PROMPT_KEYS):
        problem = f"{stray[0]} is for models that answer prompts, and {what} classifies tokens without one"
        raise InputError(problem, remedy=f"Leave {stray[0]} out.")


def prompted(spec: AnySpec, why: str) -> lms.ModelSpec:
    """A model's spec if it answers prompts.

    Raises:
        InputError: It does not; says why that is needed.
    """
    if isinstance(spec, lms.ClassifierModel):
        remedy = "Use a model that answers prompts, such as model=smollm2."
        raise InputError(f"model={spec.name} classifies tokens without a prompt, {why}", remedy=remedy)
    return spec
