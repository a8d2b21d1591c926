"""Counts the requests that an optimizer makes beside its candidates."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

import dspy
from dspy.utils.usage_tracker import UsageTracker

from clinspan.programs.rundir.run_folder import RunFolder

_BESIDES = "besides.json"


class _OneTracker(UsageTracker):
    """One tracker for all threads. DSPy gives each of its threads a copy, whose counts it drops."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _OneTracker:
        return self


class Besides:
    """Counts by model of an optimizer's requests outside its candidates and of their tokens, saved to disk during the compilation.

    The tokens of a candidate are in the candidate's own folder.

    Args:
        folder: The run's folder. Tokens that an earlier process spent there are included.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._usage = folder, _OneTracker()
        self._before: dict[str, dict[str, int]] = folder.read(_BESIDES) if (folder.path / _BESIDES).is_file() else {}

    def counting(self) -> AbstractContextManager[None]:
        """Count the requests within the block, also those of threads that DSPy starts."""
        return dspy.context(usage_tracker=self._usage)  # type: ignore[no-any-return]

    def tokens(self) -> dict[str, Counter[str]]:
        """`prompt_tokens`, `answer_tokens` and `requests` of each model."""
        usage = {model: Counter(counts) for model, counts in self._before.items()}
        for model, counts in self._usage.get_total_tokens().items():
            spent = {"prompt_tokens": counts.get("prompt_tokens"), "answer_tokens": counts.get("completion_tokens")}
            spent["requests"] = len(self._usage.usage_data[model])
            usage.setdefault(model, Counter()).update({key: int(n or 0) for key, n in spent.items()})
        return usage

    def write(self) -> None:
        """Write the counts to disk."""
        self._folder.write(_BESIDES, self.tokens())
