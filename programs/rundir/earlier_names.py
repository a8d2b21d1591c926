"""Maps class names in run folders of earlier versions to their current modules."""

from __future__ import annotations

from typing import Any

_ROOMS = ("corpora", "lms", "metrics", "programs", "reports", "retrievers", "tuning")
_MOVED = {
    "programs.analysis": "clinspan.programs.inference.error_report",
    "programs.prompts": "clinspan.programs.tagging.instructions",
    "programs.scoring": "clinspan.metrics.scoring",
    "programs.strategy": "clinspan.programs.tagging.strategy",
    "programs.tracing": "clinspan.programs.telemetry.tracing",
    "programs.tracking": "clinspan.programs.telemetry.tracking",
}


def current_name(target: str) -> str:
    """The current name of a class. A name that never belonged to this package stays unchanged.

    >>> current_name("programs.scoring.Metric"), current_name("lms.LocalModel"), current_name("os.system")
    ('clinspan.metrics.scoring.Metric', 'clinspan.lms.LocalModel', 'os.system')
    """
    module, _, name = target.rpartition(".")
    if module in _MOVED:
        return f"{_MOVED[module]}.{name}"
    return f"clinspan.{target}" if module.split(".")[0] in _ROOMS else target


def with_current_names(value: Any) -> Any:
    """Replace each `_target_` in a parsed JSON value with its current name.

    >>> with_current_names({"model": {"_target_": "lms.Wire", "k": ["programs.scoring.Metric"]}})
    {'model': {'_target_': 'clinspan.lms.Wire', 'k': ['programs.scoring.Metric']}}
    """
    if isinstance(value, dict):
        renamed = {key: current_name(item) if key == "_target_" and isinstance(item, str) else item for key, item in value.items()}
        return {key: with_current_names(item) for key, item in renamed.items()}
    return [with_current_names(item) for item in value] if isinstance(value, list) else value
