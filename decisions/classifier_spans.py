"""Mentions of a token classifier by decisions that were fitted on dev, instead of its most probable legal tags.

Each mention that the model finds possible is a phrase, as in `format=phrases`. The model says how probable it is with each
label and exactly these ends (`Lattice.mentions`), how sure its tokens are, and whether the tokens around it are in mentions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clinspan.corpora.bio import has_letter, span_tags
from clinspan.corpora.viterbi import Floats, Lattice
from clinspan.corpora.words import Words
from clinspan.decisions.rule import decide, Decisions, NONE, Phrase
from clinspan.decisions.train_counts import TrainCounts

LEAST = 0.01
"""Mentions that are less probable, with all labels together, are no phrases."""
_EDGE = 1e-4
"""The least probability that features tell from 0, and the most that they tell from 1."""


class SpanDecider:
    """Chooses mentions among those that a token classifier finds possible.

    Args:
        lattice: The tags of the classifier.
        labels: Their labels.
        decisions: The parameters.
        counts: How often train annotates phrases like a phrase; None: decisions do not weigh that.
    """

    def __init__(
        self, lattice: Lattice, labels: Sequence[str], decisions: Decisions | None = None, counts: TrainCounts | None = None
    ) -> None:
        self.labels, self.decisions, self.counts = tuple(labels), decisions or Decisions(), counts
        self._lattice, self._outside = lattice, lattice.tags.index("O")

    def phrases(self, log_probs: Floats, words: Words) -> list[Phrase]:
        """The possible mentions of a sentence.

        Args:
            log_probs: Logarithms of the probabilities of the tags, shape (words, tags).
            words: The words. A mention without a letter or digit is left out.
        """
        within = np.log(np.maximum(1 - np.exp(log_probs[:, self._outside]), _EDGE)).tolist()
        folded = [word.casefold() for word in words] if self.counts else []
        found = []
        for (start, end), row in sorted(self._lattice.mentions(log_probs, _EDGE).items()):
            total = min(sum(row.values()), 1 - _EDGE)
            if total < LEAST or not has_letter(words[start:end]):
                continue
            none = math.log1p(-total)
            types = {label: math.log(max(row.get(label, 0.0), _EDGE)) for label in self.labels} | {NONE: none}
            model = {
                "odds": math.log(total) - none,
                "inside": sum(within[start:end]) / (end - start),
                "before": within[start - 1] if start else math.log(_EDGE),
                "behind": within[end] if end < len(words) else math.log(_EDGE),
            }
            further = self.counts.rates(folded, (start, end)) if self.counts else {}
            found.append(Phrase(start, end, words.number(start, end), types, model, further))
        return found

    def tags(self, log_probs: Floats, words: Words) -> tuple[list[str], list[float]]:
        """Tags of a sentence, and the confidence in each; arguments as for `phrases`."""
        spans, confidence = decide(self.decisions, self.phrases(log_probs, words), len(words))
        outside = np.exp(log_probs[:, self._outside]).tolist()
        sure = [float(own) if given is None else given for own, given in zip(outside, confidence, strict=True)]
        return span_tags(len(words), spans), sure
