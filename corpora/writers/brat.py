"""Writer of brat standoff: a `.txt` with the text and an `.ann` with the mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora.bio import tag_spans
from clinspan.corpora.file_names import file_name
from clinspan.corpora.types import Corpus, Sentence


def write_brat(corpus: Corpus, folder: Path) -> None:
    """Write each split to a sub-folder: the unchanged text, and the spans of the tags as continuous mentions.

    The mentions come from the tags, not from the annotations. Reading the files back with the same `Cutting` gives the same
    sentences and tags.
    """
    for split, documents in corpus.splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for document in documents:
            stem = folder / split / file_name(document.id)
            stem.parent.mkdir(parents=True, exist_ok=True)
            stem.with_name(stem.name + ".txt").write_bytes(document.text.encode())
            spans = [span for sentence in document.sentences for span in character_spans(sentence)]
            stem.with_name(stem.name + ".ann").write_bytes(annotation_lines(document.text, spans).encode())


def character_spans(sentence: Sentence) -> list[tuple[int, int, str]]:
    """`(start, end, label)` of a sentence's tags, in characters of its document's text."""
    tokens = sentence.tokens
    return [(tokens[first].start, tokens[last - 1].end, label) for first, last, label in tag_spans(sentence.tags)]


def annotation_lines(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """The content of an `.ann` file: one `T` line for each `(start, end, label)`.

    Line ends and other white space in a mention become blanks. White space in a label, which brat does not allow, becomes `_`.
    """
    mentions = (re.sub(r"\s", " ", text[start:end]) for start, end, _ in spans)
    rows = enumerate(zip(spans, mentions, strict=True), 1)
    return "".join(f"T{n}\t{brat_type(label)} {start} {end}\t{mention}\n" for n, ((start, end, label), mention) in rows)


def brat_type(label: str) -> str:
    """
    >>> brat_type("Rare Disease")
    'Rare_Disease'
    """
    return re.sub(r"\s", "_", label)
