"""A page of nine runs over 1,735 sentences of random words, with recorded prompts: its size, and how long it takes in a browser."""

from __future__ import annotations

import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.app.report_content import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import write_page
from support.opened_page import Opened
from support.report_runs import sentence, write_run

RUNS, SENTENCES, TOKENS = 9, 1735, 24
CLICK = """async (selector) => {
    const began = performance.now();
    document.querySelector(selector).click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - began) / 1000;
}"""
LOADED = """async () => {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.getEntriesByType("navigation")[0].duration / 1000;
}"""


def random_rows(run: int) -> list[dict[str, Any]]:
    """Sentences of random words with a random gold span each, which a run finds in two of three; the same words for each run."""
    words, guesses, rows = random.Random(0), random.Random(run + 1), []
    for n in range(SENTENCES):
        text = " ".join(f"{words.choice('bdfgklmnprst')}{words.choice('aeiou')}{words.randrange(2000)}" for _ in range(TOKENS))
        gold = words.randrange(TOKENS - 2)
        start = gold if guesses.random() < 0.66 else guesses.randrange(TOKENS - 2)
        tags = ["." * at + "Ss" + "." * (TOKENS - 2 - at) for at in (gold, start)]
        more = {"confidence": [guesses.random()] * TOKENS, "raw": f'{{"Sign": ["{text[:60]}"]}} of run {run}'}
        rows.append(sentence(n, text, *tags, **more, usage={"prompt_tokens": 400 + run, "answer_tokens": 20}))
    return rows


@pytest.mark.long
def test_nine_runs_of_1735_sentences_load_and_sort_quickly(opened: Opened, tmp_path: Path) -> None:
    instructions = "Find all signs and diseases in the sentence. " * 40
    jobs = []
    for run in range(RUNS):
        folder = write_run(
            tmp_path / str(run), random_rows(run), choices={"prompt": f"p{run}"}, instructions=f"{instructions}{run}"
        )
        jobs.append(load_job(folder))
    path = write_page(build_report(jobs, build_leaderboard(jobs), "made by a test", redact=False), tmp_path)
    loads, sorts = [], []
    for _ in range(5):
        page = opened.open(path)
        loads.append(page.evaluate(LOADED))
        assert page.locator(".row").count() == 50
        sorts += [page.evaluate(CLICK, "[data-order='differing']"), page.evaluate(CLICK, "[data-order='run 9']")]
        page.goto("about:blank")
    page = opened.open(path)
    opening = page.evaluate(CLICK, ".row .cell")
    asking = page.evaluate(CLICK, ".asks summary")
    assert page.locator(".asked pre").first.inner_text().startswith("Find all signs")
    load, sort = statistics.median(loads), statistics.median(sorts)
    said = f"load {load:.2f} s, sort {sort:.3f} s (slowest {max(sorts):.3f} s), sentence {opening:.2f} s, request {asking:.2f} s"
    print(f"{path.stat().st_size / 1e6:.1f} MB: {said}")
    assert page.locator("#found").inner_text() == "all 1,735 sentences"
    assert load < 3
    assert sort < 0.5
    assert asking < 1
    assert opened.said == []
