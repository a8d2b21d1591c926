"""The run folder: its files, their schemas, locks, and the errors of a run."""
