"""Helpers for tests of compiling: small budgets, and overrides that connect a command to a scripted model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import load
from support.scripted_server import ScriptedServer

SNAKE = ["disease", "rare_disease", "skin_rare_disease", "sign", "symptom"]
SMALL = {
    "labeled": ["optimizer.k=4"],
    "bootstrap": ["optimizer.candidates=3", "optimizer.threshold=0.5"],
    "copro": ["optimizer.breadth=2", "optimizer.depth=1"],
    "mipro": ["optimizer.candidates=3", "optimizer.trials=3"],
    "gepa": ["optimizer.calls=60", "optimizer.train_limit=12"],
    "simba": ["optimizer.steps=2", "optimizer.batch=6", "optimizer.train_limit=12"],
    "infer_rules": ["optimizer.candidates=2", "optimizer.train_limit=6"],
    "guidelines": ["optimizer.breadth=2", "optimizer.rounds=2", "optimizer.examples=6"],
    "ensemble": ["optimizer.pool=4"],
    "coverage": ["optimizer.starts=2", "optimizer.rounds=2", "optimizer.proposals=2"],
    "grid": ["optimizer.space=['label_wording=corpus,snake','strategy.k=2,8']"],
    "optuna": ["optimizer.space=['format=bio_lines','strategy.k=2,8','seed=0,1']", "optimizer.trials=4"],
}
WRITES = ("copro", "mipro", "gepa", "infer_rules", "guidelines")


def local(server: ScriptedServer) -> list[str]:
    return ["model=openai", "model.id=student", f"model.api_base={server.address}/v1", "model.concurrency=4", "dev_limit=18"]


def writer(server: ScriptedServer, id: str = "writer") -> list[str]:
    return ["reflection_model=openai", f"reflection_model.id={id}", f"reflection_model.api_base={server.address}/v1"]


def program(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = load(folder / "program.json")
    return content
