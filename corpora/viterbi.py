"""Viterbi decoding of per-token class scores under the BIO constraints, and posterior probabilities.

The probability of a tag sequence is the product of its tags' probabilities, normalized over all legal sequences. In a legal
sequence each `I-X` follows a `B-X` or an `I-X`. This is a linear-chain model with transition weights of 1 or 0, so the Viterbi
and forward-backward algorithms are exact (Rabiner 1989, III).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinspan.corpora.bio import split_tag

Floats = NDArray[np.float64]
_LEAST = -1e6
"""Stands for the logarithm of 0, so that an impossible tag loses to every other and sums stay finite."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The allowed transitions between BIO tags.

    Attributes:
        tags: The tags, in the order of the scores' columns.
        begins: Shape (tags,): 0 where a sequence may begin with a tag, else `-inf`.
        follows: Shape (tags, tags): 0 where the column's tag may follow the row's, else `-inf`.
    """

    tags: tuple[str, ...]
    begins: Floats
    follows: Floats

    @classmethod
    def of(cls, tags: Sequence[str]) -> Lattice:
        """The lattice of BIO tags.

        Raises:
            ValueError: The tags are not BIO tags, not distinct, or lack `O`.
        """
        parts = [split_tag(tag) for tag in tags]
        if None in parts or len(set(tags)) < len(tags) or "O" not in tags:
            raise ValueError(f"{', '.join(tags)}: different BIO tags with O among them are needed")
        inside = np.array([part is not None and part[0] == "I" for part in parts])
        label = np.array([part[1] if part is not None else "" for part in parts])
        open_ = np.array([part is not None and part[0] != "O" for part in parts])
        legal = ~inside[None, :] | (open_[:, None] & (label[:, None] == label[None, :]))
        return cls(tuple(tags), np.where(inside, -np.inf, 0.0), np.where(legal, 0.0, -np.inf))

    def decode(self, log_probs: Floats) -> list[str]:
        """The most probable legal tag sequence.

        Between equally probable sequences, the last token at which they differ decides: the tag that is first in `tags` wins.

        Args:
            log_probs: Shape (tokens, tags): logarithms of each tag's probability at each token.

        Returns:
            One tag per token.

        Raises:
            ValueError: The scores have another shape, or one is not a number.
        """
        scores = self._checked(log_probs)
        if not len(scores):
            return []
        best = scores[0] + self.begins
        back = np.empty(scores.shape, dtype=np.intp)
        for t in range(1, len(scores)):
            paths = best[:, None] + self.follows
            back[t] = paths.argmax(0)
            best = paths[back[t], np.arange(len(self.tags))] + scores[t]
        path = [int(best.argmax())]
        for t in range(len(scores) - 1, 0, -1):
            path.append(int(back[t, path[-1]]))
        return [self.tags[tag] for tag in reversed(path)]

    def posteriors(self, log_probs: Floats) -> Floats:
        """Each tag's probability at each token, given that the whole sequence is legal.

        Args:
            log_probs: As for `decode`.

        Returns:
            Shape (tokens, tags); each row is in [0, 1] and sums to 1.

        Raises:
            ValueError: As `decode`.
        """
        scores = self._checked(log_probs)
        if not len(scores):
            return np.zeros(scores.shape)
        forward, backward = self._sums(scores)
        total = forward + backward
        weights = np.exp(total - total.max(1, keepdims=True))
        return np.asarray(weights / weights.sum(1, keepdims=True))

    def mentions(self, log_probs: Floats, least: float) -> dict[tuple[int, int], dict[str, float]]:
        """The posterior probabilities of mentions: that a legal sequence has this mention, with these two ends.

        Args:
            log_probs: As for `decode`.
            least: Mentions that are less probable are left out.

        Returns:
            Probabilities by token range, half-open, and label.

        Raises:
            ValueError: As `decode`.
        """
        scores = self._checked(log_probs)
        found: dict[tuple[int, int], dict[str, float]] = {}
        if not len(scores):
            return found
        forward, backward = self._sums(scores)
        total = np.logaddexp.reduce(forward[-1])
        enter = np.concatenate([[0.0], np.logaddexp.reduce(forward[:-1], axis=1)]) - total
        ends_before = np.append(np.logaddexp.reduce((scores + backward)[:, self.begins == 0], axis=1), 0.0)
        """Sums over the sequences from a token on that do not continue a mention there; behind the last token nothing is left."""
        begin = np.exp(np.minimum(forward + backward - total, 0.0))
        for column, tag in enumerate(self.tags):
            if not tag.startswith("B-"):
                continue
            label = tag.removeprefix("B-")
            going_on = scores[:, self.tags.index(f"I-{label}")] if f"I-{label}" in self.tags else np.full(len(scores), _LEAST)
            inside = np.concatenate([[0.0], np.cumsum(going_on)])
            for start in np.flatnonzero(begin[:, column] >= least).tolist():
                logs = enter[start] + scores[start, column] + inside[start + 1 :] - inside[start + 1] + ends_before[start + 1 :]
                probable = np.exp(np.minimum(logs, 0.0))
                for place in np.flatnonzero(probable >= least).tolist():
                    found.setdefault((start, start + 1 + place), {})[label] = float(probable[place])
        return found

    def _sums(self, scores: Floats) -> tuple[Floats, Floats]:
        """Logarithms of the sums over legal sequences up to each token with a tag there, and from the next token on."""
        forward, backward = scores.copy(), np.zeros(scores.shape)
        forward[0] += self.begins
        for t in range(1, len(scores)):
            forward[t] += np.logaddexp.reduce(forward[t - 1][:, None] + self.follows, axis=0)
        for t in range(len(scores) - 2, -1, -1):
            backward[t] = np.logaddexp.reduce(self.follows + (scores[t + 1] + backward[t + 1])[None, :], axis=1)
        return forward, backward

    def confidence(self, log_probs: Floats, tags: Sequence[str]) -> list[float]:
        """The posterior probability of each of these tags; `log_probs` as for `decode`, one tag per token."""
        columns = {tag: n for n, tag in enumerate(self.tags)}
        table = self.posteriors(log_probs)
        return [float(row[columns[tag]]) for row, tag in zip(table, tags, strict=True)]

    def _checked(self, log_probs: Floats) -> Floats:
        scores = np.asarray(log_probs, dtype=np.float64)
        if scores.ndim != 2 or scores.shape[1] != len(self.tags):
            raise ValueError(f"scores of shape {scores.shape} for {len(self.tags)} tags")
        if np.isnan(scores).any():
            raise ValueError("a score is not a number")
        return np.maximum(scores, _LEAST)
