"""The reading speed of CoNLL files, and the garbage collector during it."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from random import Random

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.collector import collector_paused
from clinspan.corpora.sources import Conll

LEAST = 100_000
"""Tokens per second of processor time: a third of the usual speed, because other work slows down a processor's caches too."""


def write(path: Path, tokens: int) -> None:
    random = Random(0)
    rows = []
    for number in range(tokens):
        tag = random.choice(["O"] * 12 + ["B-Sign", "B-Disease"])
        rows.append(f"w{random.randrange(20_000)}\t{tag}\n" + "\n" * (number % 20 == 19))
    path.write_text("".join(rows), encoding="utf-8")


def test_a_large_file_is_read_fast(tmp_path: Path) -> None:
    write(tmp_path / "test.tsv", 100_000)
    took = []
    for _ in range(3):
        began = time.process_time()
        corpus = Conll(path=str(tmp_path)).load()
        took.append(time.process_time() - began)
    assert sum(len(sentence.tokens) for sentence in corpus.sentences("test")) == 100_000
    assert 100_000 / min(took) > LEAST


def test_the_collector_pauses_and_goes_on_as_before(tmp_path: Path) -> None:
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(InputError):
        Conll(path=str(tmp_path / "missing")).load()
    assert gc.isenabled()
