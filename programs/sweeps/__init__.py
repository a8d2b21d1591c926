"""Sweeps: sweepers and launchers of Hydra, what a seed draws, and what all jobs of a sweep share."""
