"""Sampling of tokens: temperature, top-k and top-p, with random numbers that depend on the request alone.

The random number of a decision is a function of the seed, the prompt and the decision's position in the answer. So the same
request gets the same answer whatever else is in its batch and whether or not a draft is verified speculatively, and answers to
different prompts are independent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of an answer are drawn.

    Attributes:
        temperature: Divides the logits; greater than 0.
        top_p: Draw among the most probable tokens that together have this probability; 1: among all.
        top_k: Draw among so many of the most probable tokens; 0: among all.
        seed: Requests with different seeds get independent answers.
    """

    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def stream(self, ids: tuple[int, ...]) -> bytes:
        """What the random numbers of an answer to a prompt are derived from."""
        return hashlib.blake2b(np.asarray([self.seed, *ids], dtype=np.int64).tobytes(), digest_size=32).digest()

    def draw(self, logits: NDArray[Any], uniform: float) -> int:
        """The index of the token that is drawn.

        Args:
            logits: Of the allowed tokens, shape (tokens,); minus infinity where a token is not allowed.
            uniform: A random number between 0 and 1.

        >>> Sampling(1.0).draw(np.log([0.2, 0.3, 0.5]), 0.49), Sampling(1.0, top_k=1).draw(np.log([0.2, 0.3, 0.5]), 0.0)
        (1, 2)
        """
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature
        weights = np.exp(scaled - scaled.max())
        if self.top_k or self.top_p < 1:
            weights = np.where(self._nucleus(weights), weights, 0.0)
        cumulative = np.cumsum(weights)
        drawn = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
        return min(drawn, int(np.flatnonzero(weights)[-1]))

    def _nucleus(self, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which tokens top-k and top-p leave; always the most probable one."""
        order = np.argsort(-weights, kind="stable")
        before = np.cumsum(weights[order]) - weights[order]
        left = before < self.top_p * weights.sum()
        if self.top_k:
            left[self.top_k :] = False
        left[0] = True
        inside = np.zeros(len(weights), dtype=np.bool_)
        inside[order[left]] = True
        return inside


def uniform(stream: bytes, position: int) -> float:
    """The random number, at least 0 and less than 1, of a position in an answer."""
    digest = hashlib.blake2b(position.to_bytes(8, "little"), key=stream, digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << (_BITS - 11))
