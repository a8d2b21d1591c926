"""Training of local models.

`tune(spec, records, dev, options, ...)` trains on prompts and their gold answers, `tune_classifier(spec, sentences, dev, options,
...)` on the tags of words.
"""

from clinspan.tuning.causal import tune
from clinspan.tuning.classifier import tune_classifier
from clinspan.tuning.options import Encoder, Full, LabelSupervised, Lora, Options
from clinspan.tuning.records import Record
from clinspan.tuning.results import Epoch, TuningResult

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
