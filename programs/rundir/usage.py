"""Usage of a run: its cost, and the model versions that a server reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from clinspan.corpora.printable import plural


def changed_model(served: Mapping[str, int]) -> str:
    """The warning about a deployment that answered as several models: its scores are not those of one model."""
    models = ", ".join(f"{name} ({n} {plural(n, 'sentence')})" for name, n in served.items())
    return f"clinspan: the server answered as several models: {models}; pin one version of the model and run again"


def cost(used: Counter[str], price: tuple[float, float] | None) -> float | None:
    """The cost in US dollars, or None if the model has no prices.

    >>> cost(Counter(prompt_tokens=2_000_000, answer_tokens=1_000_000), (10.0, 30.0))
    50.0
    """
    if price is None:
        return None
    return (used["prompt_tokens"] * price[0] + used["answer_tokens"] * price[1]) / 1e6
