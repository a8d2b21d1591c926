"""Hydra configs: one group per choice, one file per option."""
