"""A verdict about a corpus, and what checks of a corpus look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clinspan.corpora.bio import tag_spans
from clinspan.corpora.types import Corpus, Document, SPLITS

Level = Literal["ok", "warning", "error"]
LEVELS: tuple[Level, ...] = ("error", "warning", "ok")
"""All levels, the worst first."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one check.

    Attributes:
        check: The name of the check, the same in every version of the text.
        level: `ok`; `warning`: think about it; `error`: scores would be untrue or impossible.
        number: How many were found; 0 for `ok`.
        text: What was found, in one clause without a full stop.
        remedy: What the user can do; empty for `ok`.
    """

    check: str
    level: Level
    number: int
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the checks look at.

    Attributes:
        corpus: The corpus.
        splits: Its documents by split, without empty splits. If the corpus is divided into folds later, all are `test`.
        mentions: The number of mentions of each label in each split, by tags.
        counts: All counts of the conversion.
        folds: The number of folds; None: no cross-validation.
    """

    corpus: Corpus
    splits: Mapping[str, Sequence[Document]]
    mentions: Mapping[str, Counter[str]]
    counts: Counter[str]
    folds: int | None = None

    @classmethod
    def of(cls, corpus: Corpus, folds: int | None = None) -> Parts:
        """The parts of a corpus. Labels that the config names and no tag has are counted as 0."""
        splits = {split: corpus.splits[split] for split in SPLITS if corpus.splits.get(split)}
        mentions = {split: Counter(label for s in corpus.sentences(split) for _, _, label in tag_spans(s.tags)) for split in splits}
        return cls(corpus, splits, mentions, sum(corpus.conversion.values(), Counter[str]()), folds)

    @property
    def by_sentence(self) -> bool:
        """Whether each sentence counts as a document, as the files mark no documents."""
        return bool(self.counts["sentences_as_documents"])

    @property
    def total(self) -> int:
        """The number of mentions in all splits."""
        return sum(counts.total() for counts in self.mentions.values())

    @property
    def annotations(self) -> int:
        """The number of annotations as they were made, or of mentions where that is larger."""
        made = sum(len(document.entities) for documents in self.splits.values() for document in documents)
        return max(self.total, made)


Check = Callable[[Parts], Iterator[Verdict]]


def named(ids: Sequence[str]) -> str:
    """Some of the ids in brackets, with a blank before; empty without ids.

    >>> named(["a", "b"]), named([])
    (' (a, b)', '')
    """
    return f" ({listed(ids)})" if ids else ""


def listed(items: Iterable[str]) -> str:
    """Some of the items, and how many more there are."""
    every = list(items)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
