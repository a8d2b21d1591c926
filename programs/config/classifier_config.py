"""Settings that concern prompts only. Token classifiers reject them."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import InputError

_GROUPS = ("strategy", "format", "prompt", "retriever")
PROMPT_KEYS = frozenset((*_GROUPS, "alignment", "label_order", "label_wording", "constrained", "draft"))
"""Groups and keys that apply only to models that answer prompts."""
_OWN = ("name", "concurrency", "endpoints", "price", "build")
AnySpec = lms.ModelSpec | lms.ClassifierModel


def without_prompt(config: DictConfig, overrides: Iterable[str], *, what: str) -> DictConfig:
    """The config without the keys that concern prompts.

    Args:
        config: The config of a run or a training.
        overrides: Keys and groups that the user has set.
        what: The choice that uses no prompt, for the message.

    Raises:
        InputError: An override concerns prompts.
    """
    refuse_prompt_keys(overrides, what=what)
    own = config.copy()
    OmegaConf.set_struct(own, False)
    for key in PROMPT_KEYS:
        own.pop(key, None)
    OmegaConf.set_struct(own, True)
    return own


def refuse_prompt_keys(overrides: Iterable[str], *, what: str) -> None:
    """Refuse overrides that concern prompts.

    Raises:
        InputError: An override concerns prompts; the message names its key.
    """
    if stray := sorted(key for key in overrides if key.split(".")[0] in PROMPT_KEYS):
        problem = f"{stray[0]} is for models that answer prompts, and {what} classifies tokens without one"
        raise InputError(problem, remedy=f"Leave {stray[0]} out.")


def prompted(spec: AnySpec, why: str) -> lms.ModelSpec:
    """The spec of a model that answers prompts.

    Raises:
        InputError: The model does not answer prompts; the message says why it must. Or it is of a class that lacks what
            `lms.OwnModel` asks for.
    """
    if isinstance(spec, lms.ClassifierModel):
        remedy = "Use a model that answers prompts, such as model=smollm2."
        raise InputError(f"model={spec.name} classifies tokens without a prompt, {why}", remedy=remedy)
    if not isinstance(spec, lms.LocalModel | lms.AzureModel | lms.OpenAIModel | lms.ReplayModel):
        lacking = [name for name in _OWN if not hasattr(spec, name)]
        if lacking:
            problem = f"the class {type(spec).__name__} of the model has no {', '.join(lacking)}"
            raise InputError(problem, remedy="See lms.OwnModel for what a model class needs.")
    return spec
