"""Corpus sources: one class per `corpus=` option, built from its config, with `load() -> Corpus`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from clinspan.corpora.bio import Crossing, Discontinuous, Overlap, Partial, Policies
from clinspan.corpora.build import Cutting
from clinspan.corpora.errors import InputError
from clinspan.corpora.labels import flat_definitions, label_list
from clinspan.corpora.readers.bioc import load_bioc
from clinspan.corpora.readers.brat import load_brat
from clinspan.corpora.readers.conll import load_conll
from clinspan.corpora.readers.i2b2 import load_i2b2
from clinspan.corpora.readers.jsonl import load_jsonl
from clinspan.corpora.readers.pubtator import load_pubtator
from clinspan.corpora.readers.raredis import load_raredis
from clinspan.corpora.types import Corpus, Label

RAREMINI = Path(__file__).parent / "raremini"
ARTICLES = RAREMINI / "articles"


class CorpusSource(Protocol):
    """Interface of every corpus choice."""

    def load(self) -> Corpus:
        """Read the corpus; raise `InputError` if it is not valid."""
        ...


def _folder(path: str | int | float | None, choice: str) -> Path:
    if path is None or path == "":
        raise InputError(f"corpus={choice} needs corpus.path", remedy="Add corpus.path=FOLDER.")
    return Path(str(path)).expanduser()


@dataclass(frozen=True, kw_only=True)
class RareMini:
    """The bundled corpus, written for this project; see `corpora/raremini/GUIDELINES.md`."""

    labels: Sequence[str]
    definitions: Mapping[str, str]
    phi: bool = False

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        corpus = load_brat(
            RAREMINI, name="raremini", labels=labels, definitions={}, phi=self.phi, cutting=Cutting(), policies=Policies()
        )
        return replace(corpus, passed_over={})  # leave out its guidelines and articles


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


class _Loader(Protocol):
    def __call__(
        self,
        path: Path,
        *,
        name: str,
        labels: tuple[Label, ...],
        definitions: dict[str, str],
        phi: bool,
        cutting: Cutting,
        policies: Policies,
    ) -> Corpus: ...


@dataclass(frozen=True, kw_only=True)
class _Described:
    path: str | None = None
    name: str | None = None
    phi: bool = True
    labels: Sequence[str] | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)

    def _named(self, path: Path) -> str:
        return str(self.name or path.resolve().name)

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

    def _load(self, loader: _Loader, choice: str) -> Corpus:
        path = _folder(self.path, choice)
        return loader(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=flat_definitions(self.definitions),
            phi=self.phi,
            cutting=Cutting(self.tokenizer, self.sentences),
            policies=self._policies(),
        )


@dataclass(frozen=True, kw_only=True)
class Brat(_Texts):
    """Any brat folder: sub-folders `train`, `dev`, `test`, or a flat folder as `test`."""

    def load(self) -> Corpus:
        return self._load(load_brat, "brat")


@dataclass(frozen=True, kw_only=True)
class Jsonl(_Texts):
    """JSON lines: documents with or without tokens and tags, in the format of this project or of annotation tools."""

    def load(self) -> Corpus:
        return self._load(load_jsonl, "jsonl")


@dataclass(frozen=True, kw_only=True)
class I2b2(_Texts):
    """The concepts of i2b2/VA 2010: `.txt` of one sentence a line, `.con` by line and word."""

    tokenizer: str = "whitespace"
    sentences: str = "lines"

    def load(self) -> Corpus:
        return self._load(load_i2b2, "i2b2")


@dataclass(frozen=True, kw_only=True)
class PubTator(_Texts):
    """Files of PubTator: title, abstract and mentions of many documents."""

    def load(self) -> Corpus:
        return self._load(load_pubtator, "pubtator")


@dataclass(frozen=True, kw_only=True)
class BioC(_Texts):
    """BioC collections, XML or JSON."""

    def load(self) -> Corpus:
        return self._load(load_bioc, "bioc")


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
            definitions=flat_definitions(self.definitions),
            phi=self.phi,
        )
