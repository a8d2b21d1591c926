"""Searches of a program's knowledge base; searches on a remote Chroma server are audited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TYPE_CHECKING

from clinspan.corpora import Sentence
from clinspan.lms.remote.audit import audited
from clinspan.lms.weights.find import cache_folder

if TYPE_CHECKING:
    from clinspan.retrievers import Embedder, PassageFinder, Retriever

_BYTES = 4  # per vector component


def open_knowledge_base(
    retriever: Retriever | PassageFinder, embedder: Embedder | None, sentences: Sequence[Sentence]
) -> tuple[Callable[[list[str]], Sequence[Sequence[str]]], dict[str, object]]:
    """Open the knowledge base: the function that finds the chunks of texts, and the facts for the run's record.

    Args:
        retriever: The settings of the retriever, or a retriever of the user's own.
        embedder: The loaded embedder; None for a retriever of the user's own.
        sentences: The sentences that will be tagged. The knowledge base is searched for leaks of them.
    """
    from clinspan.retrievers import build_base, PassageFinder

    if isinstance(retriever, PassageFinder):
        return retriever.find, {"phi": bool(retriever.holds_phi), "knowledge": type(retriever).__name__}
    assert embedder is not None
    if retriever.url is None:
        base = build_base(retriever, embedder, sentences, cache_folder())
        return base.find, base.facts
    url = retriever.url
    with audited(url, model="chroma: knowledge base", size=0, documents=(), sentences=0):
        base = build_base(retriever, embedder, sentences, cache_folder())
    width: Any = embedder.model.get_sentence_embedding_dimension() or 0

    def find(texts: list[str]) -> Sequence[Sequence[str]]:
        """The chunks of each text. The vectors of the texts are sent to the server."""
        with audited(url, model="chroma: search", size=len(texts) * int(width) * _BYTES, sentences=len(texts)):
            return base.find(texts)

    return find, base.facts
