"""Retrieval: chunks of a knowledge base, and the nearest training sentences."""

from retrievers.build import Base, build_base, Retriever
from retrievers.embedders import Embedder, EmbedderSpec
from retrievers.nearest import NearestSentences

__all__ = ["Base", "Embedder", "EmbedderSpec", "NearestSentences", "Retriever", "build_base"]
