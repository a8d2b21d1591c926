"""The strip of facts above the sentences."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinspan.metrics.paired import compare_systems
from clinspan.metrics.scoring import count_documents
from clinspan.programs.app.report_content import load_job, load_view
from clinspan.reports.page.strip import strip_facts
from clinspan.reports.run_views import group_runs
from support.report_runs import LABELS, sentence, some_sentences, write_run


def facts_of(*folders: Path) -> dict[str, Any]:
    views = [replace(load_view(load_job(path)), number=number) for number, path in enumerate(folders, 1)]
    (group,) = group_runs(views)
    return {fact.name: fact for fact in strip_facts(group)}


def random_rows(seed: int, share: float) -> list[dict[str, Any]]:
    """Forty sentences in twenty documents, with the gold span found in a random share of them."""
    rng = random.Random(seed)
    return [sentence(n, "a cough came", ".S.", ".S." if rng.random() < share else "S..") for n in range(40)]


def test_one_run_leads_over_none(tmp_path: Path) -> None:
    facts = facts_of(write_run(tmp_path / "a", some_sentences()))
    assert list(facts) == ["Run", "Weakest type", "Documents", "Failures"]
    assert facts["Run"].value == "1 few_shot"
    assert facts["Run"].more == "micro F1 0.200, no interval"
    assert (facts["Weakest type"].value, facts["Weakest type"].more) == ("Disease", "F1 0.000 in run 1, 2 gold mentions")
    assert (facts["Failures"].value, facts["Failures"].alarming) == ("1", True)
    assert facts["Documents"].more == "6 sentences; too few documents for intervals"


def test_the_lead_has_the_interval_of_a_paired_comparison(tmp_path: Path) -> None:
    rows = {"knn": random_rows(0, 0.5), "rag": random_rows(1, 0.9)}
    facts = facts_of(*[write_run(tmp_path / name, rows[name], strategy=name) for name in rows])
    first, second = (list(count_documents(part, LABELS, "conlleval").values()) for part in rows.values())
    said = compare_systems(first, second, LABELS, samples=10, seed=0)["micro"]
    assert said.interval is not None
    assert facts["Best run"].value == "2 rag"
    assert facts["Lead"].value == f"{said.difference:+.3f} F1"
    assert f"over 1 knn; 95 % interval {said.interval[0]:+.3f} to {said.interval[1]:+.3f}" in facts["Lead"].more
    assert facts["Failures"].value == "none"


def test_equal_runs_have_no_clear_lead(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, random_rows(0, 0.5), strategy=name) for name in ("knn", "rag")]
    facts = facts_of(*runs)
    assert facts["Lead"].value == "+0.000 F1"
    assert "not clear: the interval has 0 in it" in facts["Lead"].more


@pytest.mark.parametrize("few", [2, 6])
def test_few_documents_have_no_interval(tmp_path: Path, few: int) -> None:
    runs = [write_run(tmp_path / name, some_sentences()[:few], strategy=name) for name in ("knn", "rag")]
    assert "no interval" in facts_of(*runs)["Lead"].more


def test_flips_stand_beside_f1(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", some_sentences())
    assert "Flips" not in facts_of(folder)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    rates = {"sentences": 6, "changed": 1, "share": 1 / 6, "failed": 0, "f1": 0.25}
    scores["flips"] = {"label_order": rates, "full_stop": {**rates, "sentences": 0, "share": None}}
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    fact = facts_of(folder)["Flips"]
    assert fact.value == "16.7 % / -"
    assert fact.more.startswith("mentions change in 16.7 % of 6 sentences with types in reverse order, in none of 0")
    assert fact.more.endswith("micro F1 then 0.250, 0.250")
