"""Cost estimate for annotating many notes, from speeds, token counts and prices; see docs/annotate-a-million-notes.md."""

from __future__ import annotations

import math


def worker_hours(sentences: float, pace: float) -> float:
    """Hours that one worker takes.

    Args:
        sentences: Number of sentences.
        pace: Sentences per second of one worker.

    Raises:
        ValueError: The pace is not positive.

    >>> worker_hours(7_200, 2.0)
    1.0
    """
    if pace <= 0:
        raise ValueError("pace must be positive")
    return sentences / pace / 3600


def workers_for(hours: float, days: float) -> int:
    """Number of workers that do `hours` of one worker's work in `days` days.

    >>> workers_for(169, 7), workers_for(168, 7)
    (2, 1)
    """
    return math.ceil(hours / (24 * days))


def dollars(sentences: float, tokens: tuple[float, float], price: tuple[float, float], *, batch: bool = False) -> float:
    """Price of a server in US dollars.

    Args:
        sentences: Number of sentences.
        tokens: Prompt tokens and answer tokens per sentence.
        price: US dollars per million prompt tokens and per million answer tokens.
        batch: Use the Batch API, at half the price.

    >>> dollars(1_000_000, (700, 40), (10.0, 30.0)), dollars(1_000_000, (700, 40), (10.0, 30.0), batch=True)
    (8200.0, 4100.0)
    """
    whole = sentences * sum(n * usd for n, usd in zip(tokens, price, strict=True)) / 1e6
    return whole / 2 if batch else whole
