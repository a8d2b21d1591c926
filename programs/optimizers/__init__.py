"""Optimizers: each searches for a better program with train and dev, without access to test."""

from clinspan.metrics.seqeval_f1 import SeqevalF1
from clinspan.programs.optimizers.candidate_evaluator import CandidateEvaluator, Halving
from clinspan.programs.optimizers.confidence import FittedConfidence
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.coverage import Coverage
from clinspan.programs.optimizers.decisions import FittedDecisions
from clinspan.programs.optimizers.demonstrations import Bootstrap, Labeled, Nearest
from clinspan.programs.optimizers.ensemble import Voting
from clinspan.programs.optimizers.finetuned import BootstrapFinetune
from clinspan.programs.optimizers.guidelines import Guidelines
from clinspan.programs.optimizers.instructions import Copro, Gepa, InferRules, Mipro, Simba
from clinspan.programs.optimizers.search import Grid, Optuna

__all__ = [
    "Bootstrap",
    "BootstrapFinetune",
    "CandidateEvaluator",
    "Copro",
    "Coverage",
    "FittedConfidence",
    "FittedDecisions",
    "Gepa",
    "Grid",
    "Guidelines",
    "Halving",
    "InferRules",
    "Labeled",
    "Mipro",
    "Nearest",
    "OptimizationContext",
    "Optimizer",
    "Optuna",
    "SeqevalF1",
    "Simba",
    "Voting",
]
