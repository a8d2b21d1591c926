"""What a run will ask of its model, for the announcement of a large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import Sentence
from clinspan.lms.weights import outlook
from clinspan.lms.weights.outlook import Workload
from clinspan.programs.building.build_run import build_program, build_run, Overrides
from clinspan.programs.building.chosen_sentences import sentences_of
from clinspan.programs.building.workload import workload_of
from clinspan.programs.config.composition import build, compose, load_corpus
from support.tiny_models import random_llama


def workload(*words: str) -> tuple[Workload, list[Sentence]]:
    config, choices, given = compose("run", ["model=medtuned", "format=bio_lines", *words])
    corpus = load_corpus(config)
    sentences, _ = sentences_of(config, corpus)
    overrides = Overrides(choices, given)
    program = build_program(config, corpus, sentences, build(config.model), overrides=overrides, quiet=True)
    return workload_of(program.members, sentences), sentences


def test_answers_and_sentences_are_counted_and_what_prompts_share_once() -> None:
    asked, sentences = workload("strategy=zero_shot", "limit=8")
    answers = ["\n".join(f"{token} : {tag}" for token, tag in zip(s.words, s.tags, strict=True)) for s in sentences]
    assert asked.requests == 8
    assert asked.answers == sum(map(len, answers))
    shown, _ = workload("strategy=few_shot", "limit=8")
    assert shown.own == asked.own
    assert shown.shared > asked.shared > 500


def test_long_runs_are_extrapolated_from_some_sentences() -> None:
    asked, sentences = workload("strategy=zero_shot")
    assert asked.requests == len(sentences) == 232
    exact = sum(len("\n".join(f"{token} : {tag}" for token, tag in zip(s.words, s.tags, strict=True))) for s in sentences)
    assert asked.answers == pytest.approx(exact, rel=0.25)


def test_questions_by_type_are_requests_of_their_own() -> None:
    asked, _ = workload("strategy=zero_shot", "limit=2", "format=entities_by_type")
    assert asked.requests == 10


def test_a_run_with_a_large_model_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outlook, "LARGE", 1000)
    words = ["model=hf", f"model.path={random_llama(tmp_path / 'tiny')}", "format=inline", "strategy=zero_shot", "limit=3"]
    config, choices, given = compose("run", words)
    build_run(config, lambda corpus, spec: None, Overrides(choices, given))
    err = capsys.readouterr().err
    assert (
        "clinspan: no GPU: model=tiny has 0.0 billion parameters and takes about 8.6 GB of memory and a minute for 3 requests"
        in err
    )
