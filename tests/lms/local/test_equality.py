"""Tests that the engine answers as plain constrained greedy decoding by transformers does, with real weights and sentences.

The tests use float32 and cover 15 cells: every strategy with every format. The regular tests take one short sentence of each cell.
The long tests take 14 sentences of each cell, 252 in all; two of the 14 have any length. `CLINSPAN_EQUALITY=200` takes 200 of each.
If the logits of two tokens differ by less than `TIE`, the order of additions may decide between them. Such a tie is no error, and
each test allows one.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from benchmarks.prompts import collect_prompts
from clinspan.corpora import Sentence
from clinspan.lms import LocalModel
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import departures
from clinspan.lms.local.sequence import Answer
from clinspan.programs.building.build_run import build_run, RunComponents
from conftest import ROOT

TIE = 1e-3
STRATEGIES = ("zero_shot", "few_shot", "knn", "knn_few_shot", "rag", "rag_few_shot")
FORMATS = ("bio_lines", "inline", "entities")
CELLS = [(s, f) for s in STRATEGIES for f in FORMATS]
EACH = int(os.environ.get("CLINSPAN_EQUALITY", "14"))
FEW, TINY = 1, 9
SHORT = 16
DRAFTED = 5
SMALLER = ["strategy.k=3", "retriever.size=128", "retriever.overlap=16"]  # the same code on shorter prompts, for time


def parts_of(*words: str) -> RunComponents:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return build_run(compose("run", overrides=list(words)), lambda corpus, spec: None)


def sentences_of(parts: RunComponents, cell: int, few: bool) -> list[Sentence]:
    every = [sentence for split in ("test", "dev", "train") for sentence in parts.corpus.sentences(split)]
    short = [sentence for sentence in every if len(sentence.tokens) <= (TINY if few else SHORT)]
    if few:
        return [short[(cell * FEW + i) % len(short)] for i in range(FEW)]
    chosen = [short[(cell * (EACH - 2) + i) % len(short)] for i in range(EACH - 2)]
    return [*chosen, every[cell * 29], every[cell * 31 + 7]]


@pytest.mark.weights
@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.long)], ids=["few", "many"])
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(n, id="-".join(cell), marks=[] if cell == ("zero_shot", "entities") else [pytest.mark.long])
        for n, cell in enumerate(CELLS)
    ],
)
def test_answers_equal_plain_constrained_greedy_decoding(cell: int, few: bool, smollm2: LocalModel) -> None:
    strategy, form = CELLS[cell]
    parts = parts_of(f"strategy={strategy}", f"format={form}", "model.batch_size=14", "seed=1", "draft=outside", *SMALLER)
    engine: TransformersEngine = parts.lm.engine
    prompts = collect_prompts(parts, sentences_of(parts, cell, few))
    draw = random.Random(cell)
    answers = run(engine, prompts)
    ties = 0
    for prompt, answer in zip(prompts, answers, strict=True):
        differences = departures(engine.decoder, prompt, answer)
        assert all(difference.margin < TIE for difference in differences), differences
        ties += len(differences)
    sample = prompts[-DRAFTED:]
    drafted = run(engine, [replace(prompt, draft=random_draft(prompt.draft, draw)) for prompt in sample])
    for prompt, answer, other in zip(sample, answers[-DRAFTED:], drafted, strict=True):
        if other.ids != answer.ids:
            assert all(difference.margin < TIE for difference in departures(engine.decoder, prompt, other))
            ties += 1
    assert ties <= 1


def run(engine: TransformersEngine, prompts: list[Any]) -> list[Answer]:
    """Decode as the engine does: the longest prompts first, and a finished row is filled again."""
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i].ids))
    answers = engine.decoder.decode([prompts[i] for i in order], rows=9)
    placed: dict[int, Answer] = {}
    for place, answer in zip(order, answers, strict=True):
        assert isinstance(answer, Answer), answer
        placed[place] = answer
    return [placed[i] for i in range(len(prompts))]


def random_draft(draft: tuple[int, ...], draw: random.Random) -> tuple[int, ...]:
    """Return the draft with tokens changed, dropped and repeated, or a draft of random tokens."""
    if draw.random() < 0.2:
        return tuple(draw.randrange(2, 49000) for _ in range(40))
    mutated: list[int] = []
    for token in draft:
        mutated += draw.choices(([token], [draw.randrange(2, 49000)], [], [token, token]), (0.8, 0.1, 0.05, 0.05))[0]
    return tuple(mutated)
