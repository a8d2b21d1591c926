"""Scores of tags against tags: counts first, precision, recall and F1 after."""

from metrics.bootstrap import document_bootstrap
from metrics.counts import add_counts, count_sentence, Counts, Mode
from metrics.scores import Scores, signature

__all__ = ["add_counts", "count_sentence", "Counts", "document_bootstrap", "Mode", "Scores", "signature"]
