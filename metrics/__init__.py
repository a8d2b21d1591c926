"""Scores of tags against tags: counts first, precision, recall and F1 after."""

from metrics.bootstrap import document_bootstrap
from metrics.calibration import calibration, judge_entities
from metrics.counts import add_counts, count_sentence, Counts, Mode
from metrics.paired import compare_systems, Difference
from metrics.scores import Scores, signature

__all__ = [
    "Counts",
    "Difference",
    "Mode",
    "Scores",
    "add_counts",
    "calibration",
    "compare_systems",
    "count_sentence",
    "document_bootstrap",
    "judge_entities",
    "signature",
]
