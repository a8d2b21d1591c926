"""Verdicts about the corpus of a command: `check` shows all of them, `run` and `finetune` the most important ones."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from clinspan.corpora import Corpus
from clinspan.corpora.verdict import Verdict
from clinspan.corpora.verdicts import verdicts
from clinspan.programs.config.all_folds import has_all_folds, of_fold, whole
from clinspan.programs.config.composition import load_corpus
from clinspan.reports.terminal.verdict_lines import verdict_line

_SAID_ELSEWHERE = ("splits", "demonstrations", "few_documents", "rare_labels", "triggers", "document_marks")
"""Checks whose subject a run says itself: in a refusal, under its table or when it reads the corpus."""
_MOST = 3
_told: set[str] = set()


def checked_corpus(config: DictConfig) -> tuple[Corpus, list[Verdict]]:
    """The corpus of a config and all verdicts about it. One that is divided into folds later has all documents in `test`.

    Raises:
        InputError: The corpus cannot be read or divided.
    """
    if not has_all_folds(config):
        corpus = load_corpus(config)
        return corpus, verdicts(corpus)
    corpus = whole(load_corpus(of_fold(config, 0)))
    return corpus, verdicts(corpus, folds=config.corpus.folds)


def warn(corpus: Corpus, *, folds: int | None = None) -> None:
    """Say on standard error what is wrong with a corpus: at most three lines, once for each corpus of a process."""
    if corpus.name in _told:
        return
    _told.add(corpus.name)
    found = [one for one in verdicts(corpus, folds=folds) if one.level != "ok" and one.check not in _SAID_ELSEWHERE]
    for verdict in found[:_MOST]:
        print(f"clinspan: {verdict_line(verdict, sys.stderr)}", file=sys.stderr)
    if len(found) > _MOST:
        print(f"clinspan: {len(found) - _MOST} more: clinspan check shows all", file=sys.stderr)
