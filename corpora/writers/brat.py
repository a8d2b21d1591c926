"""Writer of brat standoff: a `.txt` with the text and an `.ann` with the mentions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from clinspan.corpora.fidelity import has_offsets, tagged_entities
from clinspan.corpora.file_names import file_name
from clinspan.corpora.types import Corpus, Entity


def write_brat(corpus: Corpus, folder: Path, *, from_tags: bool = False) -> None:
    """Write each split to a sub-folder: the unchanged text and the annotations at their own offsets, with their pieces.

    Args:
        corpus: The corpus.
        folder: A new folder.
        from_tags: Whether the mentions are those of the tags instead: flat, and with the ends of tokens. Documents without
            annotations of their own, as column files have them, are always written from tags.
    """
    for split, documents in corpus.splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for document in documents:
            stem = folder / split / file_name(document.id)
            stem.parent.mkdir(parents=True, exist_ok=True)
            stem.with_name(stem.name + ".txt").write_bytes(document.text.encode())
            entities = tagged_entities(document) if from_tags or not has_offsets(document) else document.entities
            stem.with_name(stem.name + ".ann").write_bytes(annotation_lines(document.text, entities).encode())


def annotation_lines(text: str, entities: Iterable[Entity], notes: Sequence[str] = ()) -> str:
    """The content of an `.ann` file: one `T` line for each entity, and an `AnnotatorNotes` line below it if it has a note.

    Line ends and other white space in a mention become blanks. White space in a label, which brat does not allow, becomes `_`.

    Args:
        text: The document's text.
        entities: Its entities.
        notes: The note of each entity, empty for none; by default no entity has one.
    """
    rows = []
    for number, (entity, note) in enumerate(zip_longest(entities, notes, fillvalue=""), 1):
        assert isinstance(entity, Entity)
        places = ";".join(f"{start} {end}" for start, end in entity.fragments)
        mention = " ".join(re.sub(r"\s", " ", text[start:end]) for start, end in entity.fragments)
        rows.append(f"T{number}\t{brat_type(entity.label)} {places}\t{mention}\n")
        rows += [f"#{number}\tAnnotatorNotes T{number}\t{note}\n"] if note else []
    return "".join(rows)


def brat_type(label: str) -> str:
    """
    >>> brat_type("Rare Disease")
    'Rare_Disease'
    """
    return re.sub(r"\s", "_", label)
