"""Settings that corpus sources share: labels, their map, the division of documents, and how texts are cut and tagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clinspan.corpora.bio import Crossing, Discontinuous, Overlap, Partial, Policies
from clinspan.corpora.build import Cutting, FIT
from clinspan.corpora.collector import collector_paused
from clinspan.corpora.division import Division
from clinspan.corpora.errors import InputError
from clinspan.corpora.fitted_tokens import fit_rules, Rules
from clinspan.corpora.full_mentions import check_mentions, Mentions, with_full_mentions
from clinspan.corpora.labels import check_labels, flat_definitions, label_list
from clinspan.corpora.relabelling import relabelled
from clinspan.corpora.types import Corpus, Label


def data_folder(path: str | int | float | None, choice: str) -> Path:
    """The place of the data of a `corpus=` option. Hydra reads a name of digits as a number.

    Raises:
        InputError: It is not set.
    """
    if path is None or path == "":
        raise InputError(f"corpus={choice} needs corpus.path", remedy="Add corpus.path=FOLDER.")
    return Path(str(path)).expanduser()


class Loader(Protocol):
    """A reader of texts with annotations."""

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
class Described:
    """Settings of every format.

    Attributes:
        path: The data: a folder or a file.
        name: The name in tables; None: that of the path.
        phi: Whether the texts may hold protected health information.
        labels: The labels in order; None: those of the data.
        definitions: Definitions for prompts, by label.
        advice: Further advice for hand-written prompts.
        guidelines: A file of annotation guidelines, for `prompt=guidelines`.
        map: Other names of labels, or None to leave one out; see `corpora.relabelling`.
        split, folds, fold, split_seed, group: How documents are divided; see `corpora.division`.
    """

    path: str | None = None
    name: str | None = None
    phi: bool = True
    labels: Sequence[str] | str | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""
    guidelines: str | None = None
    map: Mapping[str, str | None] | None = None
    split: Sequence[float] | None = None
    folds: int | None = None
    fold: int | None = None
    split_seed: int = 0
    group: str | None = None

    def _named(self, path: Path) -> str:
        return str(self.name or path.resolve().name)

    def _labels(self) -> tuple[Label, ...]:
        """The labels to read: all of the data if they are mapped to others afterwards."""
        return () if self.map else label_list(self.labels, self.definitions)

    def _definitions(self) -> dict[str, str]:
        return {} if self.map else flat_definitions(self.definitions)

    def _read(self, loader: Loader, path: Path, cutting: Cutting, policies: Policies) -> Corpus:
        return loader(
            path,
            name=self._named(path),
            labels=self._labels(),
            definitions=self._definitions(),
            phi=self.phi,
            cutting=cutting,
            policies=policies,
        )

    def _ready(self, corpus: Corpus, policies: Policies | None = None, *, mentions: Mentions = "flat") -> Corpus:
        """The corpus with its labels mapped, its full mentions and its documents divided, as far as the settings say so.

        Raises:
            InputError: Two of the labels differ only in case or separators, or `mentions` is not known.
        """
        check_mentions("corpus.mentions", mentions)
        division = Division(self.split, self.folds, self.fold, self.split_seed, self.group)
        if self.map:
            labels = label_list(self.labels, self.definitions)
            corpus = relabelled(corpus, self.map, policies or Policies(), labels=labels, definitions=self.definitions)
        if mentions == "full":
            corpus = with_full_mentions(corpus, policies or Policies(), closed=bool(self.labels))
        check_labels([label.name for label in corpus.labels], corpus.name)
        return division(corpus)


@dataclass(frozen=True, kw_only=True)
class Tokenized(Described):
    """Settings of formats with tokens of their own, which are split into sentences and tagged by mentions of whole tokens.

    `mentions=full` keeps nested and overlapping ones beside the tags, see `corpora.full_mentions`.
    """

    sentences: str = "punctuation"
    overlap: Overlap = "longest"
    crossing: Crossing = "split"
    mentions: Mentions = "flat"

    @collector_paused()
    def _load(self, loader: Loader, choice: str) -> Corpus:
        policies = Policies(overlap=self.overlap, crossing=self.crossing)
        corpus = self._read(loader, data_folder(self.path, choice), Cutting(sentences=self.sentences), policies)
        return self._ready(corpus, policies, mentions=self.mentions)


@dataclass(frozen=True, kw_only=True)
class Texts(Described):
    """Settings of formats with character offsets: how texts are cut, see `corpora.build.Cutting`, and tagged, see `Policies`.

    `mentions=full` keeps nested and overlapping mentions and those in pieces beside the tags, see `corpora.full_mentions`.
    """

    tokenizer: str = "clinical"
    rules: Mapping[str, Any] | None = None
    sentences: str = "clinical"
    overlap: Overlap = "longest"
    discontinuous: Discontinuous = "first"
    crossing: Crossing = "split"
    partial: Partial = "expand"
    mentions: Mentions = "flat"

    def _policies(self) -> Policies:
        return Policies(self.overlap, self.discontinuous, self.crossing, self.partial)

    @collector_paused()
    def _load(self, loader: Loader, choice: str) -> Corpus:
        path = data_folder(self.path, choice)
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

    def _cut(self, loader: Loader, path: Path, cutting: Cutting) -> Corpus:
        corpus = self._read(loader, path, cutting, self._policies())
        return self._ready(cutting.of(corpus), self._policies(), mentions=self.mentions)
