"""The rules that cut texts into sentences and tokens, as a program brings them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import Corpus
from clinspan.corpora.build import Cutting


def with_cut(config: DictConfig, cut: Cutting | None, overrides: frozenset[str]) -> DictConfig:
    """The config with the rules that cut texts, where they are a choice and the user has made none.

    Args:
        config: The config of a command.
        cut: The rules of the program; None if it names none: notes are then cut into words, as before there were other tokens.
        overrides: Keys that the user has set.
    """
    own = config.copy()
    names = (cut or Cutting("punctuation", "clinical")).names
    for key, name in names.items():
        if key in own and own[key] is None:
            own[key] = name
        if cut is not None and key in own.get("corpus", {}) and f"corpus.{key}" not in overrides and own.get("program") is not None:
            own.corpus[key] = name
    return own


def note_other_cut(content: Mapping[str, Any], corpus: Corpus) -> None:
    """Say on standard error that a program was made on texts that were cut in another way than those of the corpus."""
    made, here = content.get("cut"), corpus.cut
    if made and here and made != here:
        shown = [f"tokenizer={names['tokenizer']} sentences={names['sentences']}" for names in (made, here)]
        print(
            f"clinspan: the program was made on texts cut with {shown[0]}; {corpus.name} is cut with {shown[1]}: "
            "their scores cannot be compared",
            file=sys.stderr,
        )
