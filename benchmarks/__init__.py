"""Benchmarks of the engine: baselines, scaling, plots. Not part of the installed package."""
