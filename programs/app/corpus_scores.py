"""Scores of a corpus that another system annotated against the gold corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf

from clinspan.corpora import Corpus, Document, InputError
from clinspan.corpora.pairing import pair_documents
from clinspan.corpora.recognition import corpus_format
from clinspan.metrics import Mode
from clinspan.metrics.mention_scores import MENTION_MATCHES, score_mentions
from clinspan.metrics.readings import check_match, MATCHES, score_reading
from clinspan.metrics.scoring import Metric
from clinspan.programs.config.composition import group_option, load_corpus

AUTO = "auto"
COLUMNS = "conll"
_TOKEN_MATCHES = tuple(match for match in MATCHES if match not in ("offsets", "full"))
_WITHOUT_FILE = "documents_without_ann"


@dataclass(frozen=True, slots=True)
class TwoCorpora:
    """The documents of two corpora, paired.

    Attributes:
        documents: Gold and predicted document by name; None where a gold document was not predicted.
        labels: The labels of gold, then those that only the predictions have.
        foreign: The latter.
        extra: Names of predicted documents that gold does not have.
        unannotated: How many predicted documents have no annotation file.
        by_tokens: Whether tags are compared token by token, as both are column files; otherwise annotations by their characters.
    """

    documents: dict[str, tuple[Document, Document | None]]
    labels: tuple[str, ...]
    foreign: tuple[str, ...]
    extra: tuple[str, ...]
    unannotated: int
    by_tokens: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the gold documents that were not predicted."""
        return tuple(name for name, (_, found) in self.documents.items() if found is None)


def load_two(gold: Path, predicted: Path, formats: tuple[str, str], split: str) -> TwoCorpora:
    """Read two corpora and pair their documents.

    Args:
        gold: File or folder of the gold corpus.
        predicted: File or folder of the other one.
        formats: The option of `corpus=` for each; `auto`: recognised by the files.
        split: The split of gold, or `all`.

    Raises:
        InputError: A corpus cannot be read, only one is of column files, or the documents are not of the same texts.
    """
    places = gold, predicted
    options = [corpus_format(path) if option == AUTO else option for path, option in zip(places, formats, strict=True)]
    if options.count(COLUMNS) == 1:
        raise InputError(
            f"gold is read as {options[0]} and predicted as {options[1]}, but CoNLL columns have no texts and offsets",
            remedy="Compare CoNLL with CoNLL, or give both with character offsets.",
        )
    truth, guess = (_load(path, option) for path, option in zip(places, options, strict=True))
    by_tokens = COLUMNS in options
    paired = pair_documents(truth, guess, split=split, by_order=by_tokens)
    documents: dict[str, tuple[Document, Document | None]] = {**paired.shared} | {
        name: (document, None) for name, document in paired.missing.items()
    }
    known = _labels(truth, (document for document, _ in documents.values()))
    found = _labels(guess, (document for _, document in documents.values() if document is not None))
    foreign = tuple(label for label in found if label not in known)
    unannotated = sum(counts[_WITHOUT_FILE] for counts in guess.conversion.values())
    return TwoCorpora(documents, (*known, *foreign), foreign, paired.extra, unannotated, by_tokens)


def score_two(two: TwoCorpora, match: str | None, *, mode: Mode | None) -> list[dict[str, Any]]:
    """Score the predicted annotations, or tags, in one reading.

    Args:
        two: The documents.
        match: The reading; None: all that these corpora allow.
        mode: How tags are read; None: `conlleval` or, with all readings, both ways.

    Raises:
        InputError: The reading is not possible for these corpora.
    """
    allowed: Sequence[str] = _TOKEN_MATCHES if two.by_tokens else MENTION_MATCHES
    if match is not None and match not in allowed:
        check_match(match)
        what = "CoNLL columns" if two.by_tokens else "annotations by characters"
        raise InputError(f"match={match} is not possible for {what}", remedy=f"Use one of {', '.join(allowed)}.")
    if not two.by_tokens:
        annotations = {name: (gold.entities, found.entities if found else ()) for name, (gold, found) in two.documents.items()}
        chosen = [known for known in MENTION_MATCHES if match in (None, known)]
        missing = len(two.missing)
        return [score_mentions(annotations, two.labels, one, missing=missing) for one in chosen]
    modes: Sequence[Mode] = [mode] if mode else get_args(Mode) if match is None else ["conlleval"]
    rows = [row for name, (gold, found) in two.documents.items() for row in _rows(name, gold, found)]
    metrics = [Metric(mode=one) for one in modes]
    readings = [known for known in _TOKEN_MATCHES if match in (None, known)]
    return [score_reading(rows, two.labels, metric, one, alignment="tokens") for one in readings for metric in metrics]


def _load(path: Path, option: str) -> Corpus:
    content = group_option("corpus", option)
    if "path" not in content:
        raise InputError(f"the corpus option {option} reads no path", remedy="Use one of brat, bioc, jsonl, conll.")
    return load_corpus(OmegaConf.create({"corpus": {**content, "path": str(path)}}))


def _labels(corpus: Corpus, documents: Iterable[Document]) -> list[str]:
    """The labels of a corpus and of these annotations, some of which tags may not express."""
    own = [label.name for label in corpus.labels]
    return [*own, *sorted({entity.label for document in documents for entity in document.entities} - set(own))]


def _rows(name: str, gold: Document, found: Document | None) -> list[dict[str, Any]]:
    """The sentences of a document as lines of predictions; those of a missing document failed."""
    error = "missing_document" if found is None else None
    tags = [list(s.tags) for s in found.sentences] if found else [["O"] * len(s.tags) for s in gold.sentences]
    return [
        {"document": name, "tokens": list(s.words), "gold": list(s.tags), "pred": pred, "repairs": {}, "error": error}
        for s, pred in zip(gold.sentences, tags, strict=True)
    ]
