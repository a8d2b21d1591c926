"""Vectors of a pool of texts, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clinspan.retrievers.embedders import Embedder, Vectors

_MANY = 1000


def pool_vectors(texts: Sequence[str], embedder: Embedder, cache: Path | None) -> Vectors:
    """The vectors of texts, of shape (texts, width), read from the cache if it has them.

    Args:
        texts: The texts.
        embedder: Embeds them.
        cache: Folder for the vectors, in a file named by a hash of texts and embedder; None: no cache on disk.
    """
    if cache is None:
        return embedder.passages(texts)
    key = hashlib.sha256("\0".join([embedder.id, *texts]).encode()).hexdigest()[:24]
    path = cache / f"{key}.npy"
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
        if vectors.ndim == 2 and len(vectors) == len(texts):
            return vectors
    except (OSError, ValueError, EOFError):
        pass  # missing or truncated: it is computed again
    vectors = embedder.passages(texts, progress=len(texts) > _MANY)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_suffix(".part.npy")
    np.save(scratch, vectors)
    scratch.replace(path)
    return vectors
