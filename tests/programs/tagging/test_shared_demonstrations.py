"""`strategy.shared`: demonstrations that all prompts begin with, before the nearest ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.programs.building.build_run import build_program, BuiltProgram, Overrides
from clinspan.programs.config.composition import build, compose, load_corpus
from clinspan.programs.tagging.saved_program import dump_program
from clinspan.programs.tagging.strategy import Strategy

WORDS = ["strategy=knn_few_shot", "retriever.by=tfidf", "strategy.k=2", "strategy.shared=3"]


def built(*words: str, how: list[str] = WORDS) -> tuple[BuiltProgram, Corpus]:
    config, chosen, keys = compose("run", [*how, *words])
    corpus = load_corpus(config)
    sentences = list(corpus.sentences("test"))[:12]
    return build_program(config, corpus, sentences, build(config.model), overrides=Overrides(chosen, keys), quiet=True), corpus


def shown(program: BuiltProgram, corpus: Corpus) -> list[list[str]]:
    """The ids of the demonstrations that go with each sentence."""
    tagger = program.members[0].tagger
    return [[demo["id"] for demo in tagger.surroundings(s.words)[0]] for s in list(corpus.sentences("test"))[:12]]


def test_every_prompt_begins_with_the_same_ones_and_ends_with_its_own() -> None:
    program, corpus = built()
    rows = shown(program, corpus)
    assert {len(row) for row in rows} == {5} == {len(set(row)) for row in rows}
    assert len({tuple(row[:3]) for row in rows}) == 1
    assert len({tuple(row[3:]) for row in rows}) > 6
    assert program.facts.demonstrations == rows[0][:3]


def test_another_seed_shares_others_and_the_nearest_stay() -> None:
    (one, corpus), (other, _) = built(), built("seed=7")
    first, second = shown(one, corpus), shown(other, corpus)
    assert first[0][:3] != second[0][:3]
    drawn = {*first[0][:3], *second[0][:3]}
    assert all(a[3:] == b[3:] for a, b in zip(first, second, strict=True) if not drawn & {*a[3:], *b[3:]})


def test_a_saved_program_shows_the_same_ones_under_another_seed(tmp_path: Path) -> None:
    program, corpus = built()
    (tmp_path / "program.json").write_text(json.dumps(dump_program(program.members[0].tagger, corpus)))
    loaded, _ = built(f"program={tmp_path}", "seed=7", how=[])
    assert shown(loaded, corpus) == shown(program, corpus)


def test_it_belongs_to_nearest_demonstrations() -> None:
    with pytest.raises(InputError, match=r"strategy\.shared adds to nearest demonstrations"):
        Strategy(demonstrations="fixed", shared=2)
