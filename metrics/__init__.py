"""Scores of predicted tags against gold tags: counts first, then precision, recall and F1."""

from clinspan.metrics.calibration import calibration, entity_confidence, judge_entities
from clinspan.metrics.counts import add_counts, count_sentence, Counts, Mode
from clinspan.metrics.errors import classify, count_errors, ErrorKind, SpanError
from clinspan.metrics.feedback import feedback
from clinspan.metrics.intervals import document_intervals
from clinspan.metrics.paired import compare_systems, Difference
from clinspan.metrics.scores import Scores, signature

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
    "document_intervals",
    "entity_confidence",
    "feedback",
    "judge_entities",
    "signature",
]
