"""The run folder: its files, their typed records, locks, and the errors of a run."""
