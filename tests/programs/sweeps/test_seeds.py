"""Tests of seeds that have no effect: they are said, and a sweep does not run them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.sources import RareMini
from clinspan.programs.app.report_content import load_job
from clinspan.programs.config.composition import compose
from clinspan.programs.sweeps.seeds import drawn
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.terminal.leaderboard_table import markdown
from conftest import Command, folder_of, load
from support.scripted_models import NAMES

SERVER = ["model=openai", "model.id=m", "model.api_base=http://localhost:1/v1"]


@pytest.mark.parametrize(
    ("command_name", "words", "expected"),
    [
        ("run", ["strategy=zero_shot"], []),
        ("run", ["strategy=knn"], []),
        ("run", ["strategy=knn_few_shot"], ["demonstrations"]),
        ("run", ["strategy=rag"], []),
        ("run", ["strategy=few_shot"], ["demonstrations"]),
        ("run", ["strategy=rag_few_shot"], ["demonstrations"]),
        ("run", ["strategy=few_shot", "strategy.ids=[a:0]"], []),
        ("run", ["strategy=few_shot", "strategy.examples=a.jsonl"], []),
        ("run", ["strategy=zero_shot", "strategy.votes=3"], ["answers"]),
        ("run", ["strategy=zero_shot", "sample=random"], []),
        ("run", ["strategy=zero_shot", "sample=random", "limit=3"], ["sentences"]),
        ("run", ["strategy=few_shot", "sample=random", "limit_documents=3"], ["sentences", "demonstrations"]),
        ("run", ["program=somewhere"], []),
        ("run", ["program=somewhere", "strategy.k=2"], ["demonstrations"]),
        ("run", ["strategy=zero_shot", *SERVER], []),
        ("run", ["strategy=zero_shot", *SERVER, "model.temperature=0.5"], ["answers"]),
        ("run", ["strategy=zero_shot", *SERVER, "model.temperature=null"], ["answers"]),
        ("run", ["strategy=zero_shot", *SERVER, "model.reasoning_effort=low"], ["answers"]),
        ("run", ["strategy=few_shot", "corpus.split_seed=4", "corpus=brat"], ["demonstrations"]),
        ("finetune", ["strategy=zero_shot"], ["weights"]),
        ("optimize", ["strategy=zero_shot"], ["program"]),
    ],
)
def test_what_a_seed_draws(command_name: str, words: list[str], expected: list[str]) -> None:
    config, _, given = compose(command_name, words)
    assert drawn(config, given) == expected


@pytest.mark.long
def test_a_seed_without_effect_is_said_and_not_swept(command: Command, tmp_path: Path) -> None:
    sentences = list(RareMini(labels=NAMES, definitions={}).load().sentences("test"))[:4]
    lines = [{"id": one.id, "output": "\n".join(f"{word} : O" for word in one.words)} for one in sentences]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["model=replay", "model.path=a.jsonl", "limit=4", "format=bio_lines"]
    line = "clinspan: seed has no effect on these answers: nothing is drawn (no demonstrations)"
    single = command("run", *words, "strategy=zero_shot", "seed=5")
    assert single.stderr.count(line) == 1 and load(folder_of(single) / "run.json")["drawn"] == []
    assert "seed has no effect" not in command("run", *words, "strategy=zero_shot").stderr
    assert "seed has no effect" not in command("run", *words, "strategy=few_shot", "seed=5").stderr
    done = command("run", "-m", *words, "strategy=zero_shot,few_shot", "seed=1,2", "hydra.sweep.dir=runs/sweep")
    assert done.returncode == 0 and done.stderr.count("seed has no effect") == 1
    assert f"{line}; not run again for seed=2" in done.stderr
    jobs = [load(path) for path in sorted((tmp_path / "runs" / "sweep").glob("*/run.json"))]
    assert [(job["choices"]["strategy"], job["seed"]) for job in jobs] == [("zero_shot", 1), ("few_shot", 1), ("few_shot", 2)]
    cells = ["hydra/sweeper=cells", "hydra.sweeper.cells=['strategy=zero_shot']", "seed=1,2", "hydra.sweep.dir=runs/cells"]
    assert command("run", "-m", *words, *cells).stderr.count("not run again for seed=2") == 1
    assert len(list((tmp_path / "runs" / "cells").glob("*/run.json"))) == 1


def test_equal_scores_of_several_seeds_count_once(tmp_path: Path) -> None:
    for n, (drew, f1) in enumerate([([], 0.5), ([], 0.5), (["demonstrations"], 0.3), (["demonstrations"], 0.3)]):
        path = tmp_path / str(n)
        path.mkdir()
        record: dict[str, Any] = {"status": "finished", "drawn": drew, "seed": n, "choices": {"strategy": str(drew)}}
        scores = {"signature": "match:exact|v2", "sentences": 4, "micro": {"f1": f1}, "macro": {"f1": f1}}
        (path / "run.json").write_text(json.dumps({**record, "config": {"seed": n}}))
        (path / "scores.json").write_text(json.dumps(scores))
    text = markdown(build_leaderboard([load_job(tmp_path / str(n)) for n in range(4)]))
    assert "±" not in text and "| 1 | 0.5000 | 0.5000 |" in text
    assert "- a1: 2 jobs count once: seed has no effect" in text and "- a2: 2 jobs count once: the same scores" in text
