"""Configs that ask for all folds of a corpus, `corpus.folds=N` without `corpus.fold`."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig

from clinspan.corpora import Corpus
from clinspan.programs.rundir.folds import TEST


def has_all_folds(config: DictConfig) -> bool:
    """Whether a config asks for all folds of its corpus."""
    corpus = config.corpus
    return corpus.get("folds") is not None and corpus.get("fold") is None


def of_fold(config: DictConfig, number: int) -> DictConfig:
    """The config with one fold chosen, counted from 0."""
    own = config.copy()
    own.corpus.fold = number
    return own


def whole(corpus: Corpus) -> Corpus:
    """The corpus with all documents in one part, the same for every division."""
    documents = sorted((document for part in corpus.splits.values() for document in part), key=lambda document: document.id)
    return replace(corpus, splits={TEST: tuple(documents)})
