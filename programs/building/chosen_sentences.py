"""Chooses the sentences of a run: a split, or a part of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from omegaconf import DictConfig

from clinspan.corpora import Corpus, InputError, Sentence, SPLITS

SAMPLES = ("first", "random")
T = TypeVar("T")


def choose_sentences(
    corpus: Corpus, split: str, limit: int | None, *, documents: int | None = None, sample: str = "first", seed: int = 0
) -> tuple[list[Sentence], list[str]]:
    """The run's sentences, in corpus order, and the ids of the whole split.

    Args:
        corpus: The corpus.
        split: The split.
        limit: The number of sentences; None: all.
        documents: The number of documents whose sentences are taken; None: all.
        sample: Whether the limits take the `first` documents and sentences, or `random` ones.
        seed: Seed of random ones.

    Raises:
        InputError: The split is unknown, missing or empty.
    """
    if split not in SPLITS:
        raise InputError(f"split={split} is not known", remedy=f"Use one of {', '.join(SPLITS)}.")
    sentences = list(corpus.sentences(split))
    if not sentences:
        splits = [name for name in SPLITS if any(corpus.sentences(name))]
        remedy = f"It has {', '.join(splits)}: choose one of these, or add the missing split." if splits else "Check corpus.path."
        raise InputError(f"the {split} split of {corpus.name} has no sentence", remedy=remedy)
    if sample not in SAMPLES:
        raise InputError(f"sample={sample} is not known", remedy=f"Use {' or '.join(SAMPLES)}.")
    names = list(dict.fromkeys(sentence.document for sentence in sentences))
    chosen = set(_taken(names, documents, sample, seed))
    part = _taken([sentence for sentence in sentences if sentence.document in chosen], limit, sample, seed)
    return part, [sentence.id for sentence in sentences]


def _taken(items: Sequence[T], number: int | None, sample: str, seed: int) -> list[T]:
    """The first or a random choice of some items, in their order; None: all."""
    if number is None or number >= len(items):
        return list(items)
    if sample == "first":
        return list(items[:number])
    return [items[n] for n in sorted(random.Random(seed).sample(range(len(items)), number))]


def sentences_of(config: DictConfig, corpus: Corpus) -> tuple[list[Sentence], list[str]]:
    """The sentences that a run's config chooses, and the ids of the whole split; see `choose_sentences`."""
    limits = {"documents": config.get("limit_documents"), "sample": config.get("sample", "first"), "seed": config.seed}
    return choose_sentences(corpus, config.split, config.limit, **limits)
