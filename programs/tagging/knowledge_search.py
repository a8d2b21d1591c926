"""Searches of a program's knowledge base; searches on a remote Chroma server are audited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TYPE_CHECKING

from clinspan.corpora import Sentence
from clinspan.lms.remote.audit import audited
from clinspan.lms.weights.find import cache_folder

if TYPE_CHECKING:
    from clinspan.retrievers import Embedder, Retriever

_BYTES = 4  # of a number of a vector


def open_knowledge_base(
    retriever: Retriever, embedder: Embedder, sentences: Sequence[Sentence]
) -> tuple[Callable[[list[str]], list[list[str]]], dict[str, object]]:
    """What finds the chunks of texts, and what a run's record says of it.

    Args:
        retriever: What is wanted.
        embedder: The loaded embedder.
        sentences: Those that will be tagged, for the search for leaks.
    """
    from clinspan.retrievers import build_base

    if retriever.url is None:
        base = build_base(retriever, embedder, sentences, cache_folder())
        return base.find, base.facts
    url = retriever.url
    with audited(url, model="chroma: knowledge base", size=0, documents=(), sentences=0):
        base = build_base(retriever, embedder, sentences, cache_folder())
    width: Any = embedder.model.get_sentence_embedding_dimension() or 0

    def find(texts: list[str]) -> list[list[str]]:
        """The chunks of each text; vectors of the texts are sent."""
        with audited(url, model="chroma: search", size=len(texts) * int(width) * _BYTES, sentences=len(texts)):
            return base.find(texts)

    return find, base.facts
