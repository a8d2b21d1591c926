"""Scores of tags against tags: counts first, precision, recall and F1 after."""

from metrics.bootstrap import document_bootstrap
from metrics.calibration import calibration, entity_confidence, judge_entities
from metrics.counts import add_counts, count_sentence, Counts, Mode
from metrics.errors import classify, count_errors, ErrorKind, SpanError
from metrics.feedback import feedback
from metrics.paired import compare_systems, Difference
from metrics.scores import Scores, signature

__all__ = [
    "Counts",
    "Difference",
    "ErrorKind",
    "Mode",
    "Scores",
    "SpanError",
    "add_counts",
    "calibration",
    "classify",
    "compare_systems",
    "count_errors",
    "count_sentence",
    "document_bootstrap",
    "entity_confidence",
    "feedback",
    "judge_entities",
    "signature",
]
