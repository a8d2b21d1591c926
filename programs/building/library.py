"""Corpora and models for scripts, by the names and settings of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.programs.config.composition import build, compose
from clinspan.programs.config.composition import load_corpus as load_configured

if TYPE_CHECKING:
    import dspy


def load_corpus(name: str = "raremini", *settings: str) -> Corpus:
    """Load a corpus that `corpus=` can name.

    Args:
        name: An option of `conf/corpus/`: `raremini`, `brat`, `conll`, `jsonl`, `bioc`, ...
        settings: Its settings as on the command line, such as `path=notes` or `labels=[Drug,Dose]`.

    Returns:
        Documents by split, with tokens and tags.

    Raises:
        InputError: There is no such option or setting, or the corpus cannot be read; the message names file and line.

    >>> load_corpus().name
    'raremini'
    """
    composed, _, _ = compose("stats", [f"corpus={name}", *(f"corpus.{setting}" for setting in settings)])
    return load_configured(composed)


def local_lm(name: str = "smollm2", *settings: str) -> dspy.LM:
    """A language model that `model=` can name, for `dspy.configure(lm=...)`. Calls of several threads are batched.

    Args:
        name: An option of `conf/model/`: `smollm2`, `qwen3`, `hf`, ...
        settings: Its settings as on the command line, such as `path=FOLDER`.

    Raises:
        InputError: There is no such option or setting.
        ModelError: The model is not available; the message says what to do.
    """
    composed, _, _ = compose("run", [f"model={name}", *(f"model.{setting}" for setting in settings)])
    return lms.build(build(composed.model))
