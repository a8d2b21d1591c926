"""The costs of ten million notes in docs/annotate-a-million-notes.md follow from the page's own figures."""

from __future__ import annotations

import re

import pytest
from omegaconf import OmegaConf

from benchmarks.outlay import dollars, worker_hours, workers_for
from conftest import ROOT

SENTENCES = 10_000_000 * 20
PAGE = (ROOT / "docs" / "annotate-a-million-notes.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def test_hours_and_workers_follow_from_the_paces() -> None:
    rows = [row for row in ROWS if row[1].startswith(("measured (", "assumed ("))]
    assert len(rows) >= 4
    for way, _, pace, hours, workers in rows:
        expected = worker_hours(SENTENCES, number(pace))
        assert number(hours) == pytest.approx(expected, abs=0.51), way
        assert number(workers) == workers_for(expected, 7), way


def test_dollars_follow_from_the_tokens_and_the_prices_of_the_models() -> None:
    sizes = re.search(r"([\d.]+) prompt and ([\d.]+) answer tokens a sentence", " ".join(PAGE.split()))
    assert sizes is not None
    rows = [row for row in ROWS if row[1].startswith("tokens measured")]
    assert len(rows) >= 2
    for model, _, price, single, batch in rows:
        config = OmegaConf.load(ROOT / "conf" / "model" / f"{model.strip('`')}.yaml")
        listed = (float(config.price_input), float(config.price_output))
        assert tuple(map(float, price.split(" and "))) == listed, model
        tokens = (float(sizes[1]), float(sizes[2]))
        assert number(single) == pytest.approx(dollars(SENTENCES, tokens, listed), abs=1), model
        assert number(batch) == pytest.approx(dollars(SENTENCES, tokens, listed, batch=True), abs=1), model


def test_a_pace_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="pace must be positive"):
        worker_hours(1, 0)
