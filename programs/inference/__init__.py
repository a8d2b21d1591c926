"""Sentences to predictions: the prediction loop, failures, the error report of a run."""
