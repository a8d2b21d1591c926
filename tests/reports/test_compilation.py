"""Tests of the last words of a compilation."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.reports.terminal.compilation import outcome_lines, print_compiled

SCORES = {
    "micro": {"f1": 0.7},
    "macro": {"f1": 0.65},
    "signature": "match:exact|mode:strict|avg:micro|types:1|failed:0/36",
    "sentences": 36,
    "documents": 6,
    "failed": 0,
}
RECORD = {
    "corpus": {"name": "visits"},
    "model": {"name": "tiny"},
    "optimizer": {"name": "labeled"},
    "choices": {"strategy": "few_shot", "format": "entities"},
    "config": {"program": None},
    "start": {"key": "a", "f1": 0.3889},
    "target": "micro",
    "tokens": {},
    "seconds": 3.0,
    "cost": None,
}


def trial(number: int, key: str, f1: float, *, best: bool = False, reached: int = 36) -> dict[str, Any]:
    return {"number": number, "key": key, "by": "labeled", "f1": {str(reached): f1}, "reached": reached, "best": best}


def test_a_better_candidate_is_named_with_the_number_of_those_measured_on_all_of_dev() -> None:
    lines = outcome_lines(RECORD, [trial(1, "b", 0.7, best=True), trial(0, "a", 0.3889), trial(2, "c", 0.9, reached=20)], SCORES)
    assert lines == [
        "kept: candidate 1 (labeled), the best of 2 measured on all of dev, with the start",
        "start: micro F1 0.3889; kept: micro F1 0.7000, macro F1 0.6500",
        "measured on dev: exact spans, strict IOB2; 36 sentences, 6 documents, none failed",
    ]


def test_the_start_is_kept_if_nothing_is_better(capsys: pytest.CaptureFixture[str]) -> None:
    trials = [trial(0, "a", 0.3889, best=True), trial(1, "b", 0.3)]
    print_compiled(RECORD, trials, SCORES, "clinspan run program=x corpus=jsonl")
    said = capsys.readouterr().out
    assert "starting program: few_shot, format entities" in said
    assert "kept: the start, as no other candidate is better (1 more was measured on all of dev)" in said
    assert "to score it on test:\nclinspan run program=x corpus=jsonl\n" in said
    assert "to read its prompt as the model gets it:\nclinspan run program=x corpus=jsonl split=dev plan=true\n" in said
    assert "hand-written start" in said
    print_compiled({**RECORD, "config": {"program": "x"}, "test_sentences": 0}, trials, SCORES, "clinspan run program=x")
    said = capsys.readouterr().out
    assert "start, a saved program" in said
    assert "and the corpus has no test split" in said and "to score it" not in said


def test_a_pool_of_demonstrations_that_is_cut_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_compiled({**RECORD, "pool": 20}, [trial(0, "a", 0.3889, best=True)], SCORES, "clinspan run program=x")
    assert "the program keeps a pool of 20 train sentences; strategy.pool=null uses all of train" in capsys.readouterr().out
    print_compiled(RECORD, [trial(0, "a", 0.3889, best=True)], SCORES, "clinspan run program=x")
    assert "pool" not in capsys.readouterr().out
