"""Reads a corpus split by split: what the readers of texts with annotations have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypedDict, Unpack

from clinspan.corpora.build import build_corpus
from clinspan.corpora.splits import Place, Splits
from clinspan.corpora.types import Corpus, Document, Label

Part = tuple[Document | None, Counter[str]]
"""A document, or None where a text has no token, and how often each conversion was applied to it."""


class About(TypedDict):
    """The name of a corpus, its labels, their definitions, and whether its texts may be protected, see `build_corpus`."""

    name: str
    labels: tuple[Label, ...]
    definitions: dict[str, str]
    phi: bool


def read_splits(found: Splits, read: Callable[[str, Place], Iterable[Part]], **about: Unpack[About]) -> Corpus:
    """Read all splits and build the corpus.

    Args:
        found: Where the splits are. `read` may add to its `passed_over`.
        read: Gives the documents of a split, by the name of the split and its place.
        about: What `build_corpus` gets beside them.
    """
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, place in found.places.items():
        splits[split], conversion[split] = [], Counter()
        for document, acts in read(split, place):
            splits[split] += [document] if document else []
            conversion[split] += acts
    return build_corpus(splits=splits, conversion=conversion, passed_over=+found.passed_over, **about)
