r"""Reader of PubTator files: documents of a title, an abstract and mentions, with an empty line between documents.

    227508|t|Naloxone reverses the effect of clonidine.
    227508|a|In rats ...
    227508	0	8	Naloxone	Chemical	D009270

Offsets count the title, one separating character and the abstract. Relations are counted and skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.offsets import fit, Placed
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Entity

SUFFIXES = (".pubtator", ".txt")
_TEXT = re.compile(r"([^|\t]+)\|([a-z])\|(.*)")
_REMEDY = "Lines read ID|t|title, ID|a|abstract or ID<TAB>start<TAB>end<TAB>mention<TAB>type<TAB>id."


@dataclass(slots=True)
class _Parts:
    """One document while it is being read."""

    id: str
    line: int
    texts: list[str] = field(default_factory=list)
    found: list[tuple[int, Placed]] = field(default_factory=list)
    acts: Counter[str] = field(default_factory=Counter)


def load_pubtator(path: Path, *, cutting: Cutting, policies: Policies, **about: Unpack[About]) -> Corpus:
    """Read one file, or a folder with its splits."""

    def read(_split: str, place: Place) -> Iterator[Part]:
        for file, parts in ((one, parts) for one in place.files for parts in _documents(one)):
            reading = fit("\n".join(parts.texts), [placed for _, placed in parts.found])
            for (line, _), entity in zip(parts.found, reading.entities, strict=True):
                if entity.end > len(reading.text):
                    problem = f"the span ends at {entity.end}, past the end of the text ({len(reading.text)} characters)"
                    raise InputError(problem, path=file, line=line, remedy="Repair the line.")
            document, tagging_acts = build_document(parts.id, reading.text, reading.entities, cutting=cutting, policies=policies)
            yield document, parts.acts + reading.acts + tagging_acts

    return read_splits(find_splits(path, SUFFIXES), read, **about)


def _documents(path: Path) -> Iterator[_Parts]:
    current: _Parts | None = None
    for number, line in enumerate(re.split(r"\r\n|\r|\n", read_text(path).removeprefix("\ufeff")), 1):
        text = _TEXT.fullmatch(line)
        if text is not None:
            if current is None or current.id != text[1]:
                if current is not None:
                    yield current
                current = _Parts(text[1], number)
            current.texts.append(text[3])
        elif line.strip():
            if current is None or line.partition("\t")[0] != current.id:
                raise InputError("is not a PubTator line", path=path, line=number, remedy=_REMEDY)
            _annotation(line.split("\t"), current, number, path)
    if current is None:
        raise InputError("holds no document", path=path, remedy=_REMEDY)
    yield current


def _annotation(fields: list[str], document: _Parts, number: int, path: Path) -> None:
    if len(fields) >= 2 and not fields[1].strip().isdecimal():
        document.acts["relations"] += 1
        return
    if len(fields) < 5 or not fields[2].strip().isdecimal() or len(fields[1]) > 15 or len(fields[2]) > 15:
        raise InputError("is not a PubTator mention", path=path, line=number, remedy=_REMEDY)
    start, end, label = int(fields[1]), int(fields[2]), fields[4].strip()
    if start >= end:
        wrong = "is empty" if start == end else "ends before it begins"
        raise InputError(f"the span {start} {end} {wrong}", path=path, line=number, remedy="Repair the line.")
    try:
        check_tag(f"B-{label}")
    except ValueError as error:
        raise InputError(str(error), path=path, line=number, remedy="Repair the line.") from None
    document.found.append((number, Placed(Entity(label, ((start, end),)), fields[3])))
