"""Provenance of a program: the corpora and documents of its demonstrations, and whether they are protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from clinspan.corpora import Corpus


class Source(BaseModel):
    """A corpus that something was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    sha256: str


class Origin(BaseModel):
    """What a program, a training or an index was made from.

    Attributes:
        phi: Whether any of it may hold protected health information.
        corpora: The corpora.
        documents: Documents of which a demonstration holds a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    phi: bool
    corpora: list[Source] = []
    documents: list[str] = []


UNKNOWN = Origin(phi=True)
"""The origin of content without provenance, which may hold anything."""


def origin_of(corpus: Corpus, demonstrations: Iterable[Mapping[str, Any]] = ()) -> Origin:
    """The origin of something that was made from a corpus."""
    source = Source(name=corpus.name, sha256=corpus.sha256)
    return Origin(phi=corpus.phi, corpora=[source], documents=documents_of(demonstrations))


def documents_of(demonstrations: Iterable[Mapping[str, Any]]) -> list[str]:
    """The documents of demonstrations, each once. A sentence id is the id of its document, a colon and a number.

    >>> documents_of([{"id": "note7:3"}, {"id": "note7:4"}, {"tokens": []}])
    ['note7']
    """
    ids = (str(demo.get("id") or "") for demo in demonstrations)
    return list(dict.fromkeys(filter(None, (name.rpartition(":")[0] for name in ids))))


def merged(origins: Iterable[Origin]) -> Origin:
    """The combined origin of something that was made from several things."""
    parts = list(origins)
    return Origin(
        phi=any(part.phi for part in parts),
        corpora=list(dict.fromkeys(source for part in parts for source in part.corpora)),
        documents=list(dict.fromkeys(name for part in parts for name in part.documents)),
    )


def read_origin(content: Mapping[str, Any]) -> Origin:
    """The origin in the content of a saved file; `UNKNOWN` if it is missing or invalid.

    >>> read_origin({"origin": {"phi": False}}).phi, read_origin({}).phi, read_origin({"origin": {"phi": "no"}}).phi
    (False, True, True)
    """
    try:
        return Origin.model_validate(content.get("origin"))
    except ValidationError:
        return UNKNOWN
