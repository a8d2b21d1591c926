r"""Reader of i2b2/VA 2010 concepts: a text with one sentence per line, and a `.con` file of mentions by line and word.

    c="chest pain" 3:1 3:2||t="problem"

Lines are numbered from 1. Words are separated by white space and numbered from 0. The last word is part of the mention. The two
files of a document have the same name. They are in one folder or, as distributed, in separate folders (`txt/`, `concept/`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

from clinspan.corpora.bio import Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Entity

_LINE = re.compile(r'c="(.*)" ([0-9]{1,9}):([0-9]{1,9}) ([0-9]{1,9}):([0-9]{1,9})\|\|t="([^"]+)".*')
_WORD = re.compile(r"\S+")


def load_i2b2(path: Path, *, cutting: Cutting, policies: Policies, **about: Unpack[About]) -> Corpus:
    """Read a folder with one sub-folder per split; a folder without such sub-folders is `test`."""
    folders = find_splits(path)

    def read(_: str, place: Place) -> Iterator[Part]:
        files, skipped = files_below(place.root)
        texts, concepts = _by_stem(files, ".txt"), _by_stem(files, ".con")
        folders.passed_over.update(skipped)
        folders.passed_over.update(kind(file) for file in files if kind(file) not in (".txt", ".con"))
        if not texts:
            raise InputError("holds no .txt file", path=place.root, remedy="Set corpus.path to a folder of .txt and .con files.")
        if alone := sorted(concepts.keys() - texts.keys()):
            raise InputError("has no .txt", path=concepts[alone[0]], remedy=f"Put {alone[0]}.txt beside it.")
        for stem, file in sorted(texts.items()):
            text = read_text(file)
            entities, acts = parse_concepts(text, concepts[stem]) if stem in concepts else ([], Counter(documents_without_con=1))
            document, tagging_acts = build_document(stem, text, entities, cutting=cutting, policies=policies)
            yield document, acts + tagging_acts

    return read_splits(folders, read, **about)


def _by_stem(files: Sequence[Path], suffix: str) -> dict[str, Path]:
    """The files of a kind by their name without suffix, in which texts and concepts agree.

    Raises:
        InputError: Two files have the same name.
    """
    named: dict[str, Path] = {}
    for file in files:
        if kind(file) == suffix:
            if file.stem in named:
                raise InputError(f"has the same name as {named[file.stem]}", path=file, remedy="Give each document its own name.")
            named[file.stem] = file
    return named


def parse_concepts(text: str, path: Path) -> tuple[list[Entity], Counter[str]]:
    """Parse a `.con` file into mentions with character offsets, and count `mention_differs_from_text`.

    Raises:
        InputError: A line is not a concept, names a word that the text lacks, or its span ends before it begins.
    """
    places = [[word.span() for word in _WORD.finditer(line)] for line in text.split("\n")]
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    entities: list[Entity] = []
    acts: Counter[str] = Counter()
    for number, line in enumerate(read_text(path).removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            remedy = 'A line reads c="chest pain" 3:1 3:2||t="problem".'
            raise InputError("is not a concept line", path=path, line=number, remedy=remedy)
        mention, label = match[1], match[6]
        first, begin, last, end = (int(match[i]) for i in range(2, 6))
        try:
            if first < 1 or last < first:
                raise IndexError
            start, stop = starts[first - 1] + places[first - 1][begin][0], starts[last - 1] + places[last - 1][end][1]
        except IndexError:
            problem = f"{first}:{begin} {last}:{end} is not a position in the text"
            remedy = "Lines are counted from 1 and words from 0: give the text that belongs to these concepts."
            raise InputError(problem, path=path, line=number, remedy=remedy) from None
        if start >= stop:
            raise InputError(
                f"the span {first}:{begin} {last}:{end} ends before it begins", path=path, line=number, remedy="Repair it."
            )
        entities.append(Entity(label, ((start, stop),)))
        acts["mention_differs_from_text"] += text[start:stop].casefold().split() != mention.casefold().split()
    return entities, +acts
