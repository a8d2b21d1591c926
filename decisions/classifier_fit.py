"""Fits the decisions of a trained token classifier on dev: which of the mentions that it finds possible are mentions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinspan.corpora import Sentence
from clinspan.corpora.bio import span_tags, tag_spans, without_marks
from clinspan.corpora.viterbi import Floats, Lattice
from clinspan.corpora.words import Words
from clinspan.decisions.classifier_spans import SpanDecider
from clinspan.decisions.fit import fit_decisions, FitSettings, Fitted, ScoredSentence
from clinspan.decisions.rule import Decisions
from clinspan.decisions.train_counts import TrainCounts
from clinspan.metrics import add_counts, count_sentence, Counts

_FOLDS = 6
LEAST = 500
"""Mentions on dev, in at least `_FOLDS` documents, below which the division into folds decides what is fitted (docs/results.md)."""
_STRENGTH = 0.03
"""Inverse of the regularization, chosen on dev of ncbi-disease and raremini among .01 to 3."""
_TAGS, _COUNTS = "tags", "regression with counts of train"


@dataclass(frozen=True)
class ClassifierFit:
    """What a fit is worth.

    Attributes:
        decisions: The best ones, fitted to all dev sentences; None: the most probable legal tags are as good.
        counted: Whether they weigh counts of train.
        f1: Micro F1 on dev by name: `tags`, the most probable legal tags, and each kind of decisions, where those for a document
            are fitted to others.
    """

    decisions: Decisions | None
    counted: bool
    f1: Mapping[str, float]


def fit_classifier_decisions(
    lattice: Lattice,
    labels: Sequence[str],
    dev: Sequence[Sentence],
    tables: Sequence[Floats],
    *,
    counts: TrainCounts | None = None,
    least: int = LEAST,
    seed: int = 0,
) -> ClassifierFit | None:
    """Fit decisions, and keep the kind with the highest F1 on dev if it is higher than that of the most probable legal tags.

    There are up to three kinds: offsets on the classifier's own probabilities, a logistic regression on them and on what else it
    says about a phrase, and one that weighs counts of train too.

    Args:
        lattice: The tags of the classifier.
        labels: Their labels.
        dev: Sentences that the classifier was not trained on.
        tables: For each of them the logarithms of the tags' probabilities, shape (words, tags).
        counts: How often train annotates phrases like a phrase; None: the third kind is not tried.
        least: Mentions that dev must have.
        seed: Seed of the division into folds of documents.

    Returns:
        None if dev has fewer than `least` mentions, or mentions in fewer than six documents.
    """
    gold = [tag_spans(sentence.tags) for sentence in dev]
    documents = {sentence.document for sentence, spans in zip(dev, gold, strict=True) if spans}
    if len(documents) < _FOLDS or sum(map(len, gold)) < least:
        return None

    def scored(weighed: TrainCounts | None) -> list[ScoredSentence]:
        decider = SpanDecider(lattice, labels, counts=weighed)
        rows = zip(dev, gold, tables, strict=True)
        return [ScoredSentence(one.id, one.document, spans, decider.phrases(table, Words.of(one))) for one, spans, table in rows]

    plain = scored(None)
    kinds = {"offsets": (plain, False), "regression": (plain, True)}
    kinds |= {} if counts is None else {_COUNTS: (scored(counts), True)}
    fits: dict[str, Fitted] = {}
    f1 = {_TAGS: _f1(dev, [without_marks(lattice.decode(t), one.words)[0] for one, t in zip(dev, tables, strict=True)], labels)}
    for name, (sentences, regression) in kinds.items():
        fits[name] = fitted = fit_decisions(
            sentences, labels, FitSettings(regression=regression, strength=_STRENGTH, folds=_FOLDS, seed=seed)
        )
        predicted = [span_tags(len(one.tokens), [found[:3] for found in fitted.predictions[one.id]]) for one in dev]
        f1[name] = _f1(dev, predicted, labels)
    best = max(f1, key=lambda name: f1[name])
    return ClassifierFit(fits[best].decisions if best in fits else None, best == _COUNTS, f1)


def _f1(dev: Sequence[Sentence], predicted: Sequence[Sequence[str]], labels: Sequence[str]) -> float:
    tables = (count_sentence(one.tags, tags, labels, "conlleval") for one, tags in zip(dev, predicted, strict=True))
    return sum(add_counts(tables, labels).values(), Counts()).f1
