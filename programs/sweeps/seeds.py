"""What the key `seed` draws with the settings of a run: nothing, for many runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from omegaconf import DictConfig, open_dict

from clinspan.corpora.printable import printable
from clinspan.programs.building.build_demonstrations import DRAWN, GIVEN
from clinspan.programs.config.composition import build, keys_of, options_of

_SEED = "seed="
_REDRAWN = frozenset({"strategy", "strategy.demonstrations", *DRAWN, *GIVEN})
"""Settings that replace the demonstrations of a program."""


def drawn(config: DictConfig, given: Collection[str] = ()) -> list[str]:
    """What differs between runs with these settings and another seed. Nothing: their answers and scores are the same.

    The sample of sentences in `errors.json` is left out, because no score depends on it. `corpus.split_seed` is another seed.

    Args:
        config: The config of a run, a training or a compilation, with the settings of the program that it names.
        given: Keys and groups that the user has set.
    """
    if "tuning" in config:
        return ["weights"]
    if "optimizer" in config:
        return ["program"]
    found = []
    limited = config.get("limit") is not None or config.get("limit_documents") is not None
    if limited and config.get("sample") == "random":
        found.append("sentences")
    strategy = config.get("strategy") or {}
    named = strategy.get("examples") is not None or strategy.get("ids") is not None
    saved = config.get("program") is not None and not _REDRAWN & set(given)
    draws = strategy.get("demonstrations") == "fixed" or strategy.get("shared")
    if draws and not named and not saved:
        found.append("demonstrations")
    if strategy.get("votes", 1) > 1 or _samples(config.model):
        found.append("answers")
    return found


def _samples(model: DictConfig) -> bool:
    """Whether a model's answers are sampled, so that two runs are two samples: at a temperature that is not 0."""
    if "temperature" not in model:
        return False
    settings: Any = getattr(build(model), "request_settings", None)
    return bool(getattr(settings, "temperature", model.temperature) != 0)


def no_effect(config: DictConfig) -> str:
    """The line that says that the seed has no effect in a run for which `drawn` finds nothing."""
    strategy = config.get("strategy") or {}
    kind = {"none": "no demonstrations", "nearest": "the nearest demonstrations", "fixed": "given demonstrations"}
    why = kind.get(str(strategy.get("demonstrations")), "a token classifier")
    return f"clinspan: seed has no effect on these answers: nothing is drawn ({why})"


def without_repetitions(jobs: list[list[str]], composed: Callable[[Sequence[str]], DictConfig]) -> list[list[str]]:
    """The jobs of a sweep without those that differ from an earlier one only in a seed that has no effect, which is said.

    Args:
        jobs: The overrides of each job.
        composed: Composes the config of a job, with Hydra's own part.
    """
    if len({word for job in jobs for word in job if word.startswith(_SEED)}) < 2:
        return jobs
    kept: list[list[str]] = []
    left_out: dict[str, list[str]] = {}
    seen: set[tuple[str, ...]] = set()
    for job in jobs:
        rest = tuple(word for word in job if not word.startswith(_SEED))
        line = _without_effect(composed(job)) if rest in seen else None
        if line is None:
            kept.append(job)
            seen.add(rest)
        else:
            left_out.setdefault(line, []).extend(word.removeprefix(_SEED) for word in job if word.startswith(_SEED))
    for line, seeds in left_out.items():
        print(printable(f"{line}; not run again for seed={','.join(dict.fromkeys(seeds))}"), file=sys.stderr)
    return kept


def _without_effect(composed: DictConfig) -> str | None:
    """The line on a seed that has no effect; None if it has one, or if that is not known as the config is not valid."""
    from clinspan.programs.building.build_run import Overrides, program_settings

    own = composed.copy()
    choices, given = options_of(own.hydra), keys_of(own.hydra.overrides.task)
    with open_dict(own):
        del own["hydra"]
    try:
        config, _ = program_settings(own, Overrides(choices, frozenset(given)))
        return None if drawn(config, given) else no_effect(config)
    except Exception:  # the job itself reports what is wrong
        return None
