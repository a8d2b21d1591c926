"""Corpus sources: one class per `corpus=` option, built from its config, with `load() -> Corpus`.

`advice` is what a corpus' guideline says about mentions. It is not part of the corpus but of prompts, see
`programs.building.build_instructions`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from clinspan.corpora.bio import Policies
from clinspan.corpora.build import Cutting, PROTOCOL
from clinspan.corpora.collector import collector_paused
from clinspan.corpora.full_mentions import check_mentions, Mentions, with_full_mentions
from clinspan.corpora.labels import check_labels, label_list
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
from clinspan.corpora.source_settings import data_folder, Described, Texts, Tokenized
from clinspan.corpora.types import Corpus

RAREMINI = Path(__file__).parent / "raremini"
ARTICLES = RAREMINI / "articles"


class CorpusSource(Protocol):
    """Interface of every corpus choice."""

    def load(self) -> Corpus:
        """Read the corpus; raise `InputError` if it is not valid."""
        ...


@dataclass(frozen=True, kw_only=True)
class RareMini:
    """The bundled corpus, written for this project; see `corpora/raremini/GUIDELINES.md`."""

    labels: Sequence[str]
    definitions: Mapping[str, str]
    phi: bool = False
    advice: str = ""
    guidelines: str | None = None

    def load(self) -> Corpus:
        labels = label_list(self.labels, self.definitions)
        check_labels([label.name for label in labels], "raremini")
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
    guidelines: str | None = None
    mentions: Mentions = "flat"

    def load(self) -> Corpus:
        check_mentions("corpus.mentions", self.mentions)
        labels = label_list(self.labels, self.definitions)
        check_labels([label.name for label in labels], "raredis")
        corpus = replace(load_raredis(data_folder(self.path, "raredis"), labels=labels, phi=self.phi), cut=PROTOCOL)
        return with_full_mentions(corpus, Policies(), closed=True) if self.mentions == "full" else corpus


GUIDELINES = {RareMini: RAREMINI / "GUIDELINES.md", RareDis: Path(__file__).parent / "raredis_guidelines.md"}
"""Annotation guidelines by corpus: raremini's own, and a summary of how RareDis is annotated."""


@dataclass(frozen=True, kw_only=True)
class Brat(Texts):
    """Any brat folder: sub-folders `train`, `dev`, `test`, or a flat folder as `test`."""

    triggers: Triggers = "keep"

    def load(self) -> Corpus:
        return self._load(functools.partial(load_brat, triggers=self.triggers), "brat")


@dataclass(frozen=True, kw_only=True)
class Jsonl(Texts):
    """JSON lines: documents with or without tokens and tags, in the format of this project or of annotation tools."""

    def load(self) -> Corpus:
        return self._load(load_jsonl, "jsonl")


@dataclass(frozen=True, kw_only=True)
class I2b2(Texts):
    """The concepts of i2b2/VA 2010: `.txt` of one sentence a line, `.con` by line and word."""

    tokenizer: str = "whitespace"
    sentences: str = "lines"

    def load(self) -> Corpus:
        return self._load(load_i2b2, "i2b2")


@dataclass(frozen=True, kw_only=True)
class PubTator(Texts):
    """Files of PubTator: title, abstract and mentions of many documents."""

    def load(self) -> Corpus:
        return self._load(load_pubtator, "pubtator")


@dataclass(frozen=True, kw_only=True)
class BioC(Texts):
    """BioC collections, XML or JSON."""

    def load(self) -> Corpus:
        return self._load(load_bioc, "bioc")


@dataclass(frozen=True, kw_only=True)
class Conll(Described):
    """Token/tag files."""

    train: str | None = None
    dev: str | None = None
    test: str | None = None
    scheme: str = "auto"

    @collector_paused()
    def load(self) -> Corpus:
        path = data_folder(self.path, "conll")
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
class HuggingFace(Texts):
    """A dataset of Hugging Face: rows of tokens and tags, or BigBIO's schema `kb`; from files, a folder or the hub."""

    config: str | None = None
    revision: str | None = None
    tokens_column: str = "tokens"
    tags_column: str = "ner_tags"
    document_column: str | None = None
    tag_names: Sequence[str] | None = None
    scheme: str = "auto"

    def load(self) -> Corpus:
        rows = RowFormat(self.tokens_column, self.tags_column, self.document_column, tuple(self.tag_names or ()), self.scheme)

        def load(path: Path, **arguments: Any) -> Corpus:
            return load_hf(str(path), rows=rows, config=self.config, revision=self.revision, **arguments)

        return self._load(load, "hf")


@dataclass(frozen=True, kw_only=True)
class Gliner(Tokenized):
    """GLiNER's training data: lists of tokens, and mentions by their first and last token."""

    sentences: str = "lines"

    def load(self) -> Corpus:
        return self._load(load_gliner, "gliner")


@dataclass(frozen=True, kw_only=True)
class Spacy(Tokenized):
    """spaCy's DocBin, with spaCy's tokens."""

    spans_key: str | None = None

    def load(self) -> Corpus:
        return self._load(functools.partial(load_spacy, spans_key=self.spans_key), "spacy")


@dataclass(frozen=True, kw_only=True)
class Csv(Texts):
    """Tables of mentions, CSV or TSV, beside texts in files or tables."""

    texts: str | None = None

    def load(self) -> Corpus:
        texts = None if self.texts is None else data_folder(self.texts, "csv")

        def load(path: Path, **arguments: Any) -> Corpus:
            return load_mentions(path, texts=texts, **arguments)

        return self._load(load, "csv")
