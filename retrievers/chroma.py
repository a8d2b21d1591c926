"""The knowledge base in a Chroma index on disk (or on a Chroma server), with a manifest that says what it holds.

An index is rebuilt if its manifest names other content, another embedder or other chunk settings. If the index and its
manifest do not agree, an error names the folder to delete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clinspan.corpora import InputError
from clinspan.retrievers.chunks import Chunk, Passage
from clinspan.retrievers.embedders import Embedder

_BATCH = 256
_COLLECTION = "chunks"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content and settings that an index was built from."""

    embedder: str
    size: int
    overlap: int
    content: str
    chunks: int
    phi: bool = False


class ChromaIndex:
    """A vector index of chunks.

    Args:
        folder: Where the index lives, or where its manifest does if `url` is given.
        embedder: Embeds chunks and queries.
        url: A Chroma server (`http://host:port`) instead of the embedded database.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, url: str | None = None) -> None:
        self.folder, self.embedder, self.url = folder, embedder, url
        self._collection: Any = None

    def open(self, chunks: Sequence[Chunk], manifest: Manifest) -> str:
        """Make the index ready for queries.

        Args:
            chunks: The chunks that it must hold.
            manifest: The manifest that it must have.

        Returns:
            `loaded`, `built` or `rebuilt`.

        Raises:
            InputError: The index is corrupt, or the server does not answer.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        client = self._client()
        stored = self._manifest()
        if stored == manifest:
            self._collection = self._checked(client, manifest)
            return "loaded"
        self._build(client, chunks, manifest)
        return "rebuilt" if stored else "built"

    def query(self, texts: Sequence[str], top_k: int) -> list[list[Passage]]:
        """The texts of the `top_k` nearest chunks of each query, nearest first, with their ids."""
        vectors = self.embedder.queries(texts)
        found: list[list[Passage]] = []
        for at in range(0, len(texts), _BATCH):
            rows = self._collection.query(
                query_embeddings=vectors[at : at + _BATCH], n_results=top_k, include=["documents", "metadatas"]
            )
            for row, origins in zip(rows["documents"], rows["metadatas"], strict=True):
                ids = [f"{origin['article']}:{origin['number']}" for origin in origins]
                found.append([Passage.of(text, id) for text, id in zip(row, ids, strict=True)])
        return found

    def _client(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        try:
            if self.url:
                parts = urlsplit(self.url)
                port = parts.port or (443 if parts.scheme == "https" else 8000)
                return chromadb.HttpClient(
                    host=parts.hostname or "localhost", port=port, ssl=parts.scheme == "https", settings=settings
                )
            return chromadb.PersistentClient(path=str(self.folder / "chroma"), settings=settings)
        except Exception as error:  # chromadb raises errors of its Rust core, of sqlite and of httpx
            raise self._corrupt(type(error).__name__) from None

    def _manifest(self) -> Manifest | None:
        path = self.folder / "manifest.json"
        if not path.exists():
            return None
        try:
            return Manifest(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise self._corrupt("its manifest cannot be read") from None

    def _checked(self, client: Any, manifest: Manifest) -> Any:
        try:
            collection = client.get_collection(_COLLECTION, embedding_function=None)
            held = collection.count()
            if held:
                probe = collection.peek(limit=1)["embeddings"]
                collection.query(query_embeddings=probe, n_results=1)
        except Exception as error:  # see _client
            raise self._corrupt(type(error).__name__) from None
        if held != manifest.chunks:
            raise self._corrupt(f"it holds {held} chunks, its manifest says {manifest.chunks}")
        return collection

    def _build(self, client: Any, chunks: Sequence[Chunk], manifest: Manifest) -> None:
        path = self.folder / "manifest.json"
        path.unlink(missing_ok=True)
        try:
            if _COLLECTION in [collection.name for collection in client.list_collections()]:
                client.delete_collection(_COLLECTION)
            collection = client.create_collection(_COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
        except Exception as error:  # see _client
            raise self._corrupt(type(error).__name__) from None
        vectors = self.embedder.passages([chunk.text for chunk in chunks], progress=len(chunks) > _BATCH)
        for at in range(0, len(chunks), _BATCH):
            part = chunks[at : at + _BATCH]
            collection.add(
                ids=[str(at + i) for i in range(len(part))],
                embeddings=vectors[at : at + _BATCH],
                documents=[chunk.text for chunk in part],
                metadatas=[{"article": chunk.article, "number": chunk.number} for chunk in part],
            )
        path.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        self._collection = collection

    def _corrupt(self, why: str) -> InputError:
        if self.url:
            return InputError(f"the Chroma server cannot be used ({why})", path=self.url, remedy="Start it: chroma run")
        remedy = "Delete the folder; the index is built again at the next run."
        return InputError(f"the index is corrupt ({why})", path=self.folder, remedy=remedy)
