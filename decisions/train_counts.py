"""How often the train split annotates phrases that are like a phrase: what decisions weigh beside a model's probabilities.

Phrases are alike in one of the ways of `WAYS`, with small and capital letters taken as equal. For each way and label there is the
logarithm of a ratio: how often like phrases of train have the label, over how often any candidate phrase has it. It is smoothed, so
that it is 0 where train has no like phrase.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property

from clinspan.corpora import Sentence
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.words import Words
from clinspan.decisions.candidates import candidates, WORDS

_SMOOTHING = 2.0
"""Like phrases that are added with the share of the label among all candidate phrases."""
Key = tuple[str, ...]
Counts = dict[tuple[str, str | None], Counter[Key]]
"""How many phrases there are by way and label (None: with any label or none), and by what they have in common."""
Like = Callable[[Sequence[str], int, int], Key]
WAYS: Mapping[str, Like] = {
    "same": lambda words, start, end: tuple(words[start:end]),
    "first": lambda words, start, end: (words[start],),
    "last": lambda words, start, end: (words[end - 1],),
    "before": lambda words, start, end: tuple(words[max(0, start - 1) : start]),
    "two before": lambda words, start, end: tuple(words[max(0, start - 2) : start]),
    "behind": lambda words, start, end: tuple(words[end : end + 1]),
}
"""What two phrases have in common: all words, the first or the last one, or the words around them."""


class TrainCounts:
    """The counts of a train split.

    Args:
        sentences: Its sentences.
        labels: Names of the labels.
        words: Most words of a candidate phrase.
    """

    def __init__(self, sentences: Sequence[Sentence], labels: Sequence[str], words: int = WORDS) -> None:
        self.labels, self._words = tuple(labels), words
        self._documents: dict[str, list[Sentence]] = defaultdict(list)
        self._of_words: dict[Key, set[str]] = defaultdict(set)
        for sentence in sentences:
            self._documents[sentence.document].append(sentence)
            self._of_words[sentence.words].add(sentence.document)
        self._all = self._counted(sentences)
        self._last: tuple[frozenset[str], Counts] = frozenset(), {}
        phrases = sum(self._all[("same", None)].values())
        found = {label: sum(self._all[("same", label)].values()) for label in self.labels}
        self._shares = {label: max(1, number) / max(1, phrases) for label, number in found.items()}

    def rates(self, words: Sequence[str], span: tuple[int, int], without: Collection[str] = ()) -> dict[str, float]:
        """The logarithms of the ratios for a phrase, by way and label, `same:Sign`.

        Args:
            words: The words of its sentence, case folded.
            span: Its tokens, half-open.
            without: Documents of train whose phrases do not count, above all the one that the sentence is from.
        """
        own = self._of_documents(frozenset(without) & self._documents.keys())
        rates: dict[str, float] = {}
        for way, like in WAYS.items():
            key = like(words, *span)
            all_like = self._number(way, None, key, own)
            for label in self.labels:
                share = self._shares[label]
                with_label = self._number(way, label, key, own)
                rates[f"{way}:{label}"] = math.log((with_label + _SMOOTHING * share) / (all_like + _SMOOTHING) / share)
        return rates

    def supports(self, words: Sequence[str], spans: Iterable[tuple[int, int]]) -> list[float]:
        """For each phrase the sum of the ratios' logarithms over all ways, for the label with the highest one.

        Phrases of documents with a sentence of these words do not count, so a sentence of train has no advantage.

        Args:
            words: The words of the sentence as they are.
            spans: Tokens of each phrase, half-open.
        """
        folded, own = [word.casefold() for word in words], self._of_words.get(tuple(words), ())
        rows = (self.rates(folded, span, own) for span in spans)
        return [max(math.fsum(rates[f"{way}:{label}"] for way in WAYS) for label in self.labels) for rates in rows]

    @cached_property
    def digest(self) -> str:
        """A hash of the words and tags that were counted."""
        rows = [[list(sentence.words), list(sentence.tags)] for some in self._documents.values() for sentence in some]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def _of_documents(self, names: frozenset[str]) -> Counts:
        """The counts of some documents; the last ones are kept, as phrases of a document come one after another."""
        if not names:
            return {}
        last = self._last
        if last[0] != names:
            self._last = last = names, self._counted([sentence for name in sorted(names) for sentence in self._documents[name]])
        return last[1]

    def _number(self, way: str, label: str | None, key: Key, own: Counts) -> int:
        number = self._all[(way, label)][key]
        return number - own[(way, label)][key] if own else number

    def _counted(self, sentences: Sequence[Sentence]) -> Counts:
        """The candidate phrases and mentions of some sentences."""
        counts: Counts = {(way, label): Counter() for way in WAYS for label in (None, *self.labels)}
        for sentence in sentences:
            words = [word.casefold() for word in sentence.words]
            gold = {(start, end): label for start, end, label in tag_spans(sentence.tags)}
            for span in {*candidates(Words.of(sentence), self._words), *gold}:
                for way, like in WAYS.items():
                    key = like(words, *span)
                    counts[(way, None)][key] += 1
                    if gold.get(span) in self.labels:
                        counts[(way, gold[span])][key] += 1
        return counts
