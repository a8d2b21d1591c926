"""Training of local models on prompts and their right answers: `tune(spec, records, dev, options, ...) -> TuningResult`."""

from tuning.causal import tune
from tuning.options import Full, Lora, Options
from tuning.records import Record
from tuning.results import Epoch, TuningResult

__all__ = ["Epoch", "Full", "Lora", "Options", "Record", "TuningResult", "tune"]
