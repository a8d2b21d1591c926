"""Training of local models.

`tune(spec, records, dev, options, ...)` on prompts and their right answers, `tune_classifier(spec, sentences, dev, options, ...)`
on the tags of words.
"""

from tuning.causal import tune
from tuning.classifier import tune_classifier
from tuning.options import Encoder, Full, LabelSupervised, Lora, Options
from tuning.records import Record
from tuning.results import Epoch, TuningResult

__all__ = [
    "Encoder",
    "Epoch",
    "Full",
    "LabelSupervised",
    "Lora",
    "Options",
    "Record",
    "TuningResult",
    "tune",
    "tune_classifier",
]
