"""Builds a retriever from a `retriever=` option."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, Protocol, runtime_checkable

from clinspan.corpora import check_number, InputError, Sentence
from clinspan.retrievers.chroma import ChromaIndex, Manifest
from clinspan.retrievers.chunks import cut, Passage
from clinspan.retrievers.embedders import Embedder, EmbedderSpec
from clinspan.retrievers.knowledge import content_hash, knowledge_version, load_knowledge
from clinspan.retrievers.leaks import find_leaks, Leak, without_leaks
from clinspan.retrievers.lexical_chunks import fuse, LexicalChunks
from clinspan.retrievers.rankings import By, LEXICAL

_SPECIAL_TOKENS = 2
_FUSED = 50  # chunks of each ranking that are fused
PUBLIC = ("bundled", "hpo")
"""Knowledge bases without protected health information."""


@runtime_checkable
class PassageFinder(Protocol):
    """A `retriever=` option of a class of one's own, which finds passages in its own way, without an index built here.

    Attributes:
        holds_phi: Whether the passages may hold protected health information.
    """

    holds_phi: bool

    def find(self, texts: list[str]) -> list[list[str]]:
        """The passages for each text, the best first. Called with many texts at once, never by two threads at a time.

        A run records which passages a prompt had: by their `id` if they are `retrievers.Passage`, else by a hash of the text.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Retriever:
    """The settings of a `retriever=` choice.

    Attributes:
        embedder: The embedder, for chunks and for nearest demonstrations.
        knowledge: `bundled`, `hpo`, or a folder of .txt and .md files; None: `bundled`.
        phi: Whether its texts may hold protected health information; None: only those of a folder may.
        size: Tokens of a chunk, including the two special tokens of the embedder.
        overlap: Tokens that a chunk repeats from the previous one.
        top_k: Number of chunks for a sentence.
        exclude_leaks: Whether to leave out chunks that contain a sentence of the split to be tagged.
        url: A Chroma server instead of the embedded database.
        by: What makes demonstrations and chunks near: `dense` (embeddings), `tfidf` or `bm25` (words), or `hybrid` (embeddings and
            BM25 by reciprocal rank fusion).
    """

    embedder: EmbedderSpec
    knowledge: str | None = None
    phi: bool | None = None
    size: int = 512
    overlap: int = 50
    top_k: int = 2
    exclude_leaks: bool = False
    url: str | None = None
    by: By = "dense"

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise InputError(f"retriever.by={self.by} is not known", remedy=f"Use one of {', '.join(get_args(By))}.")
        check_number("retriever.top_k", self.top_k, 1)
        check_number("retriever.size", self.size, 16)

    @property
    def base(self) -> str:
        """The name of the knowledge base."""
        return self.knowledge or "bundled"

    @property
    def holds_phi(self) -> bool:
        """Whether the knowledge base may hold protected health information."""
        return self.base not in PUBLIC if self.phi is None else self.phi


@dataclass(frozen=True, slots=True)
class Base:
    """A knowledge base ready for queries, and its facts for the record of a run.

    Attributes:
        index: The vectors of its chunks; None if chunks are found by words alone.
        lexical: The chunks by their words; None if they are found by vectors alone.
        top_k: Number of chunks for a text.
        leaks: The sentences to tag that its articles contain.
        facts: What the record of a run says about it.
    """

    index: ChromaIndex | None
    lexical: LexicalChunks | None
    top_k: int
    leaks: list[Leak]
    facts: dict[str, object] = field(default_factory=dict)

    def find(self, texts: list[str]) -> list[list[Passage]]:
        """The chunks of each text, nearest first."""
        if self.index is None:
            assert self.lexical is not None
            return self.lexical.query(texts, self.top_k)
        if self.lexical is None:
            return self.index.query(texts, self.top_k)
        most = max(_FUSED, self.top_k)
        both = zip(self.index.query(texts, most), self.lexical.query(texts, most), strict=True)
        return [fuse(rankings)[: self.top_k] for rankings in both]


def build_base(retriever: Retriever, embedder: Embedder, sentences: Iterable[Sentence], cache: Path) -> Base:
    """Load or build the index, and search the articles for the sentences.

    Args:
        retriever: The settings.
        embedder: The loaded embedder.
        sentences: The sentences that will be tagged, for leak detection.
        cache: Folder under which indexes are kept.
    """
    if retriever.size > embedder.window:
        remedy = f"Set retriever.size to at most {embedder.window}."
        raise InputError(f"chunks of {retriever.size} tokens do not fit the embedder's {embedder.window}", remedy=remedy)
    articles = load_knowledge(retriever.base)
    leaks = find_leaks(sentences, articles)
    size = retriever.size - _SPECIAL_TOKENS
    chunks = list(cut(articles, embedder.tokenizer, size=size, overlap=retriever.overlap))
    total = len(chunks)
    if retriever.exclude_leaks:
        chunks = without_leaks(chunks, leaks)
        if not chunks:
            raise InputError("every chunk of the knowledge base holds a test sentence", remedy="Use another base.")
    content = content_hash(articles) + (f"-{total - len(chunks)}-excluded" if len(chunks) < total else "")
    manifest = Manifest(embedder.id, retriever.size, retriever.overlap, content, len(chunks), phi=retriever.holds_phi)
    index = None
    if retriever.by not in LEXICAL:
        index = ChromaIndex(cache / "indexes" / _folder_name(retriever, embedder), embedder, url=retriever.url)
    state = "none" if index is None else index.open(chunks, manifest)
    by: By = "bm25" if retriever.by == "hybrid" else retriever.by
    lexical = None if by == "dense" else LexicalChunks(chunks, by)
    facts: dict[str, object] = {
        "phi": retriever.holds_phi,
        "knowledge": knowledge_version(retriever.base) or retriever.base,
        "articles": len(articles),
        "chunks": len(chunks),
        "excluded_chunks": total - len(chunks),
        "content_sha256": content_hash(articles),
        "embedder": embedder.id,
        "by": retriever.by,
        "index": state,
        "leaked_sentences": len({leak.sentence for leak in leaks}),
    }
    return Base(index, lexical, retriever.top_k, leaks, facts)


def _folder_name(retriever: Retriever, embedder: Embedder) -> str:
    place = str(Path(retriever.base).expanduser().resolve())
    digest = hashlib.sha256(f"{place}|{retriever.url}|{retriever.exclude_leaks}".encode()).hexdigest()[:8]
    return f"{Path(place).name}-{digest}-{embedder.spec.name}-{retriever.size}-{retriever.overlap}"
