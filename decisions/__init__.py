"""How probabilities become mentions: the decision rule, its fit, and what it weighs besides a model's probabilities."""

from clinspan.decisions.classifier_fit import ClassifierFit, fit_classifier_decisions
from clinspan.decisions.classifier_spans import SpanDecider
from clinspan.decisions.fit import fit_decisions, FitSettings, Mention, ScoredSentence
from clinspan.decisions.rule import decide, Decisions, NONE, Phrase, read_decisions
from clinspan.decisions.train_counts import TrainCounts

__all__ = [
    "NONE",
    "ClassifierFit",
    "Decisions",
    "FitSettings",
    "Mention",
    "Phrase",
    "ScoredSentence",
    "SpanDecider",
    "TrainCounts",
    "decide",
    "fit_classifier_decisions",
    "fit_decisions",
    "read_decisions",
]
