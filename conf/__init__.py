"""Hydra configs: one group per choice, one file per option."""

from pathlib import Path

CONF = Path(__file__).resolve().parent
"""The folder of the configs."""
