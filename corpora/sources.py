"""Where a corpus comes from: one class a `corpus=` choice. Each is built by its config and has `load() -> Corpus`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from corpora.bio import Crossing, Discontinuous, Overlap, Partial, Policies
from corpora.brat import load_brat
from corpora.build import Cutting, label_list
from corpora.conll import load_conll
from corpora.errors import InputError
from corpora.jsonl import load_jsonl
from corpora.raredis import load_raredis
from corpora.types import Corpus, Label

RAREMINI = Path(__file__).parent / "raremini"
ARTICLES = RAREMINI / "articles"


class CorpusSource(Protocol):
    """What every corpus choice can do."""

    def load(self) -> Corpus:
        """Read the corpus; `InputError` says what is wrong with it."""
        ...


def _folder(path: str | None, choice: str) -> Path:
    if not path:
        raise InputError(f"corpus={choice} needs the data's place", remedy="Add corpus.path=FOLDER.")
    return Path(path).expanduser()


@dataclass(frozen=True, kw_only=True)
class RareMini:
    """The bundled corpus, written for this project; see `corpora/raremini/GUIDELINES.md`."""

    labels: Sequence[str]
    definitions: Mapping[str, str]
    phi: bool = False

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        return load_brat(
            RAREMINI, name="raremini", labels=labels, definitions={}, phi=self.phi, cutting=Cutting(), policies=Policies()
        )


@dataclass(frozen=True, kw_only=True)
class RareDis:
    """The paper's corpus, from the user's own copy."""

    labels: Sequence[str]
    definitions: Mapping[str, str]
    path: str | None = None
    phi: bool = False

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        return load_raredis(_folder(self.path, "raredis"), labels=labels, phi=self.phi)


@dataclass(frozen=True, kw_only=True)
class _Described:
    path: str | None = None
    name: str | None = None
    phi: bool = True
    labels: Sequence[str] | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)

    def _named(self, path: Path) -> str:
        return self.name or path.resolve().name

    def _labels(self) -> tuple[Label, ...]:
        return label_list(self.labels, self.definitions)


@dataclass(frozen=True, kw_only=True)
class _Texts(_Described):
    tokenizer: str = "punctuation"
    sentences: str = "punctuation"
    overlap: Overlap = "longest"
    discontinuous: Discontinuous = "first"
    crossing: Crossing = "split"
    partial: Partial = "expand"

    def _policies(self) -> Policies:
        return Policies(self.overlap, self.discontinuous, self.crossing, self.partial)


@dataclass(frozen=True, kw_only=True)
class Brat(_Texts):
    """Any brat folder: sub-folders `train`, `dev`, `test`, or a flat folder as `test`."""

    def load(self) -> Corpus:
        path = _folder(self.path, "brat")
        cutting = Cutting(self.tokenizer, self.sentences)
        return load_brat(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=dict(self.definitions),
            phi=self.phi,
            cutting=cutting,
            policies=self._policies(),
        )


@dataclass(frozen=True, kw_only=True)
class Jsonl(_Texts):
    """Documents as JSON lines, cut and tagged already or not."""

    def load(self) -> Corpus:
        path = _folder(self.path, "jsonl")
        cutting = Cutting(self.tokenizer, self.sentences)
        return load_jsonl(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=dict(self.definitions),
            phi=self.phi,
            cutting=cutting,
            policies=self._policies(),
        )


@dataclass(frozen=True, kw_only=True)
class Conll(_Described):
    """Token/tag files."""

    train: str | None = None
    dev: str | None = None
    test: str | None = None
    scheme: str = "auto"

    def load(self) -> Corpus:
        path = _folder(self.path, "conll")
        return load_conll(
            path,
            name=self._named(path),
            files={"train": self.train, "dev": self.dev, "test": self.test},
            scheme=self.scheme,
            labels=self._labels(),
            definitions=dict(self.definitions),
            phi=self.phi,
        )
