"""Retrieval: chunks of a knowledge base, and the nearest training sentences."""

from clinspan.retrievers.build import Base, build_base, PassageFinder, Retriever
from clinspan.retrievers.chunks import Passage
from clinspan.retrievers.embedders import Embedder, EmbedderSpec
from clinspan.retrievers.nearest import NearestSentences
from clinspan.retrievers.rankings import LEXICAL

__all__ = [
    "LEXICAL",
    "Base",
    "Embedder",
    "EmbedderSpec",
    "NearestSentences",
    "Passage",
    "PassageFinder",
    "Retriever",
    "build_base",
]
