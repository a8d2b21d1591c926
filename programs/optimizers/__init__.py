"""Optimizers: each finds a better program with train and dev, and knows nothing of test."""

from programs.optimizers.coverage import Coverage
from programs.optimizers.demonstrations import Bootstrap, Labeled, Nearest
from programs.optimizers.ensemble import Voting
from programs.optimizers.finetuned import BootstrapFinetune
from programs.optimizers.instructions import Copro, Gepa, InferRules, Mipro, Simba
from programs.optimizers.judge import Halving, Judge
from programs.optimizers.objective import Objective
from programs.optimizers.search import Grid, Optuna
from programs.optimizers.workshop import Optimizer, Workshop

__all__ = [
    "Bootstrap",
    "BootstrapFinetune",
    "Copro",
    "Coverage",
    "Gepa",
    "Grid",
    "Halving",
    "InferRules",
    "Judge",
    "Labeled",
    "Mipro",
    "Nearest",
    "Objective",
    "Optimizer",
    "Optuna",
    "Simba",
    "Voting",
    "Workshop",
]
