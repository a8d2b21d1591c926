"""Builds the fixed demonstrations of a program: drawn from the train split, named by ids, or read from a file of the user's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.bio import Policies, tag_spans
from clinspan.corpora.build import Cutting
from clinspan.corpora.printable import printable
from clinspan.corpora.readers.conll import load_conll
from clinspan.corpora.readers.jsonl import load_jsonl, SUFFIXES
from clinspan.corpora.sources import RareDis, RareMini
from clinspan.programs.config.composition import folder_path, object_of
from clinspan.programs.tagging.demonstrations import demonstrations_by_id, draw_balanced, draw_covering, what_they_show
from clinspan.programs.tagging.strategy import as_demonstration, demonstration_pool, fixed_demonstrations, Strategy

DRAWN = frozenset({"strategy.k", "strategy.shared", "strategy.pool", "strategy.draw"})
"""Settings of drawn demonstrations."""
GIVEN = frozenset({"strategy.examples", "strategy.ids"})
"""Settings of demonstrations that the user gives."""


def of_the_paper(config: DictConfig) -> bool:
    """Whether the corpus is RareDis or raremini, whose results must stay comparable with the paper's."""
    source = object_of(config.corpus._target_)
    return isinstance(source, type) and issubclass(source, (RareMini, RareDis))


def check_drawn(config: DictConfig, given: Collection[str]) -> None:
    """Refuse settings of a draw for demonstrations that are not drawn.

    Args:
        config: The config of a command.
        given: Keys that the user has set.

    Raises:
        InputError: There is such a setting.
    """
    own = [key for key in sorted(GIVEN) if config.strategy.get(key.split(".")[1]) is not None]
    if own and (stray := sorted(DRAWN & set(given))):
        raise InputError(f"{stray[0]} has no effect with {own[0]}, whose sentences are all shown", remedy="Leave it out.")


def build_demonstrations(config: DictConfig, strategy: Strategy, corpus: Corpus) -> list[dict[str, Any]]:
    """The fixed demonstrations that the strategy describes, or those that all its prompts show before the nearest ones.

    Raises:
        InputError: The train split is too small, an id is unknown, or the file cannot be used.
    """
    if strategy.examples is not None:
        return demonstrations_of_file(folder_path(strategy.examples), corpus)
    if strategy.ids is not None:
        return demonstrations_by_id(corpus, list(strategy.ids))
    pool = demonstration_pool(corpus, strategy)
    number = strategy.shared if strategy.demonstrations == "nearest" else strategy.k
    if strategy.draw == "random" or (strategy.draw == "auto" and of_the_paper(config)):
        return fixed_demonstrations(pool, number, config.seed)
    draw = draw_balanced if strategy.draw == "balanced" else draw_covering
    return draw(pool, [label.name for label in corpus.labels], number, config.seed)


def tell(demonstrations: Sequence[Mapping[str, Any]], corpus: Corpus) -> None:
    """Say on standard error what the fixed demonstrations of a program show, if it has any."""
    if demonstrations:
        print(f"clinspan: {printable(what_they_show(demonstrations, [label.name for label in corpus.labels]))}", file=sys.stderr)


def demonstrations_of_file(path: Path, corpus: Corpus) -> list[dict[str, Any]]:
    """The sentences of a file, in its order; their ids begin with the name of the file.

    Texts without tokens of their own are cut as those of the corpus.

    Args:
        path: JSON lines as `corpus=jsonl` reads them, or CoNLL columns.
        corpus: The corpus that the program is for.

    Raises:
        InputError: The file cannot be read, has a label that the corpus lacks, or has a sentence of the test split.
    """
    if not path.is_file():
        raise InputError("there is no such file", path=path, remedy="Set strategy.examples to a file of sentences with tags.")
    read = _of_json if path.suffix.lower() in SUFFIXES else _of_columns
    found = [sentence for sentence in read(path, corpus).sentences("test") if sentence.tokens]
    if not found:
        raise InputError("has no sentence", path=path, remedy="Give at least one sentence with its tags.")
    names = [label.name for label in corpus.labels]
    for sentence in found:
        if strange := [label for _, _, label in tag_spans(sentence.tags) if label not in names]:
            problem = f"sentence {sentence.id} has a mention of {strange[0]}, a label that {corpus.name} lacks"
            raise InputError(problem, path=path, remedy=f"The labels are {', '.join(names)}.")
    train = {sentence.words for sentence in corpus.sentences("train")}
    test = {sentence.words: sentence.id for sentence in corpus.sentences("test")}
    for sentence in found:
        if sentence.words in test and sentence.words not in train:
            problem = f"sentence {sentence.id} has the words of {test[sentence.words]}, a sentence of the test split"
            raise InputError(problem, path=path, remedy="Remove it: a score on seen sentences says nothing.")
    return [as_demonstration(replace(sentence, id=f"{path.name}/{sentence.id}")) for sentence in found]


def _of_json(path: Path, corpus: Corpus) -> Corpus:
    cutting = Cutting(**corpus.cut) if corpus.cut else Cutting()
    return load_jsonl(path, name=path.name, labels=(), definitions={}, phi=corpus.phi, cutting=cutting, policies=Policies())


def _of_columns(path: Path, corpus: Corpus) -> Corpus:
    files: dict[str, str | None] = {}
    return load_conll(path, name=path.name, files=files, scheme="auto", labels=(), definitions={}, phi=corpus.phi)
