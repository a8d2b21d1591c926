"""Corpus sources: one class per `corpus=` option, built from its config, with `load() -> Corpus`.

`advice` is what a corpus' guideline says about mentions. It is not part of the corpus but of prompts, see
`programs.app.build_instructions`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from clinspan.corpora.bio import Crossing, Discontinuous, Overlap, Partial, Policies
from clinspan.corpora.build import Cutting, FIT, PROTOCOL
from clinspan.corpora.collector import collector_paused
from clinspan.corpora.division import Division
from clinspan.corpora.errors import InputError
from clinspan.corpora.fitted_tokens import fit_rules, Rules
from clinspan.corpora.labels import flat_definitions, label_list
from clinspan.corpora.readers.bioc import load_bioc
from clinspan.corpora.readers.brat import load_brat, Triggers
from clinspan.corpora.readers.conll import load_conll
from clinspan.corpora.readers.gliner import load_gliner
from clinspan.corpora.readers.hf import load_hf, RowFormat
from clinspan.corpora.readers.i2b2 import load_i2b2
from clinspan.corpora.readers.jsonl import load_jsonl
from clinspan.corpora.readers.mentions import load_mentions
from clinspan.corpora.readers.pubtator import load_pubtator
from clinspan.corpora.readers.raredis import load_raredis
from clinspan.corpora.readers.spacy import load_spacy
from clinspan.corpora.relabelling import relabelled
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
    advice: str = ""

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        corpus = load_brat(
            RAREMINI, name="raremini", labels=labels, definitions={}, phi=self.phi, cutting=Cutting(), policies=Policies()
        )
        return replace(corpus, passed_over={}, cut=PROTOCOL)  # leave out its guidelines and articles


@dataclass(frozen=True, kw_only=True)
class RareDis:
    """The paper's corpus, from the user's own copy."""

    labels: Sequence[str]
    definitions: Mapping[str, str]
    path: str | None = None
    phi: bool = False
    advice: str = ""

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        return replace(load_raredis(_folder(self.path, "raredis"), labels=labels, phi=self.phi), cut=PROTOCOL)


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
    labels: Sequence[str] | str | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""
    map: Mapping[str, str | None] | None = None
    split: Sequence[float] | None = None
    folds: int | None = None
    fold: int = 0
    split_seed: int = 0
    group: str | None = None

    def _named(self, path: Path) -> str:
        return str(self.name or path.resolve().name)

    def _labels(self) -> tuple[Label, ...]:
        """The labels to read: all of the data if they are mapped to others afterwards."""
        return () if self.map else label_list(self.labels, self.definitions)

    def _definitions(self) -> dict[str, str]:
        return {} if self.map else flat_definitions(self.definitions)

    def _ready(self, corpus: Corpus, policies: Policies | None = None) -> Corpus:
        """The corpus with its labels mapped and its documents divided, as far as the settings say so."""
        division = Division(self.split, self.folds, self.fold, self.split_seed, self.group)
        if self.map:
            labels = label_list(self.labels, self.definitions)
            corpus = relabelled(corpus, self.map, policies or Policies(), labels=labels, definitions=self.definitions)
        return division(corpus)


@dataclass(frozen=True, kw_only=True)
class _Texts(_Described):
    tokenizer: str = "clinical"
    rules: Mapping[str, Any] | None = None
    sentences: str = "clinical"
    overlap: Overlap = "longest"
    discontinuous: Discontinuous = "first"
    crossing: Crossing = "split"
    partial: Partial = "expand"

    def _policies(self) -> Policies:
        return Policies(self.overlap, self.discontinuous, self.crossing, self.partial)

    @collector_paused()
    def _load(self, loader: _Loader, choice: str) -> Corpus:
        path = _folder(self.path, choice)
        if self.tokenizer != FIT:
            return self._cut(loader, path, Cutting(self.tokenizer, self.sentences))
        rules = None if self.rules is None else Rules.of(self.rules)
        if rules is None:
            train = self._cut(loader, path, Cutting("clinical", self.sentences)).splits.get("train")
            if not train:
                remedy = "Divide the documents, for example corpus.split=[0.6,0.2,0.2], or use tokenizer=clinical."
                raise InputError("corpus.tokenizer=fit learns from a train split, and there is none", remedy=remedy)
            rules = fit_rules(train)
        return self._cut(loader, path, Cutting(FIT, self.sentences, rules))

    def _cut(self, loader: _Loader, path: Path, cutting: Cutting) -> Corpus:
        corpus = loader(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
            cutting=cutting,
            policies=self._policies(),
        )
        return self._ready(cutting.of(corpus), self._policies())


@dataclass(frozen=True, kw_only=True)
class Brat(_Texts):
    """Any brat folder: sub-folders `train`, `dev`, `test`, or a flat folder as `test`."""

    triggers: Triggers = "keep"

    def load(self) -> Corpus:
        return self._load(functools.partial(load_brat, triggers=self.triggers), "brat")


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

    @collector_paused()
    def load(self) -> Corpus:
        path = _folder(self.path, "conll")
        corpus = load_conll(
            path,
            name=self._named(path),
            files={"train": self.train, "dev": self.dev, "test": self.test},
            scheme=self.scheme,
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
        )
        return self._ready(corpus)


@dataclass(frozen=True, kw_only=True)
class HuggingFace(_Texts):
    """A dataset of Hugging Face: rows of tokens and tags, or BigBIO's schema `kb`; from files, a folder or the hub."""

    config: str | None = None
    revision: str | None = None
    tokens_column: str = "tokens"
    tags_column: str = "ner_tags"
    document_column: str | None = None
    tag_names: Sequence[str] | None = None
    scheme: str = "auto"

    @collector_paused()
    def load(self) -> Corpus:
        path = _folder(self.path, "hf")
        corpus = load_hf(
            str(path),
            name=self._named(path),
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
            cutting=Cutting(self.tokenizer, self.sentences),
            policies=self._policies(),
            rows=RowFormat(self.tokens_column, self.tags_column, self.document_column, tuple(self.tag_names or ()), self.scheme),
            config=self.config,
            revision=self.revision,
        )
        return self._ready(corpus, self._policies())


@dataclass(frozen=True, kw_only=True)
class Gliner(_Described):
    """GLiNER's training data: lists of tokens, and mentions by their first and last token."""

    sentences: str = "lines"
    overlap: Overlap = "longest"
    crossing: Crossing = "split"

    @collector_paused()
    def load(self) -> Corpus:
        path = _folder(self.path, "gliner")
        corpus = load_gliner(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
            cutting=Cutting(sentences=self.sentences),
            policies=Policies(overlap=self.overlap, crossing=self.crossing),
        )
        return self._ready(corpus, Policies(overlap=self.overlap, crossing=self.crossing))


@dataclass(frozen=True, kw_only=True)
class Spacy(_Described):
    """spaCy's DocBin, with spaCy's tokens."""

    spans_key: str | None = None
    sentences: str = "punctuation"
    overlap: Overlap = "longest"
    crossing: Crossing = "split"

    @collector_paused()
    def load(self) -> Corpus:
        path = _folder(self.path, "spacy")
        corpus = load_spacy(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
            cutting=Cutting(sentences=self.sentences),
            policies=Policies(overlap=self.overlap, crossing=self.crossing),
            spans_key=self.spans_key,
        )
        return self._ready(corpus, Policies(overlap=self.overlap, crossing=self.crossing))


@dataclass(frozen=True, kw_only=True)
class Csv(_Texts):
    """Tables of mentions, CSV or TSV, beside texts in files or tables."""

    texts: str | None = None

    def load(self) -> Corpus:
        texts = None if self.texts is None else _folder(self.texts, "csv")

        def load(path: Path, **arguments: Any) -> Corpus:
            return load_mentions(path, texts=texts, **arguments)

        return self._load(load, "csv")
