"""Tests of `optimizer=decisions`, with a model of random weights: nobody's model, whose scores mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora.bio import tag_spans
from clinspan.decisions.train_counts import WAYS
from clinspan.programs.rundir.prompt_log import read_prompts
from conftest import Command, folder_of, load, records
from support.current_models import random_current

SMALL = ["dev_limit=24", "train_limit=80", "optimizer.examples=16", "optimizer.folds=2", "halving.rungs=1"]
PROMPT = ["format=phrases", "strategy.k=1", "strategy.draw=balanced", "label_wording=spoken"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = random_current("qwen3", tmp_path_factory.mktemp("weights") / "tiny")
    return ["model=hf", f"model.path={folder}", "model.dtype=float32"]


def test_decisions_are_fitted_kept_in_the_program_and_applied_by_it(command: Command, model: list[str]) -> None:
    made = folder_of(command("optimize", "optimizer=decisions", *PROMPT, *SMALL, *model))
    record, compiled = load(made / "run.json"), load(made / "program.json")
    candidates = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    by = next(name for name in candidates if name.startswith("regression, rate "))
    assert any(name.startswith("offsets, rate ") for name in candidates), "is tried too"
    fitted = load(made / "candidates" / candidates[by] / "program.json")
    decisions = fitted["settings"]["format"]["decisions"]
    assert set(decisions["offsets"]) == {"Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"}
    assert decisions["weights"] and decisions["fingerprint"]
    start = made / "candidates" / candidates["start"]
    assert len(records(start)) == 24 + 16, "dev, and the train sentences to fit to"
    assert {row["id"]: row["raw"] for row in records(start)}.items() >= {
        row["id"]: row["raw"] for row in records(made / "candidates" / candidates[by])
    }.items(), "the model was asked once"
    assert record["status"] == "finished"
    compiled.pop("confidence", None)
    assert compiled in [load(made / "candidates" / key / "program.json") for key in candidates.values()]
    ran = folder_of(command("run", f"program={made / 'candidates' / candidates[by]}", "split=dev", "limit=24", *model))
    assert load(ran / "run.json")["config"]["format"]["decisions"] == decisions
    rows = records(ran)
    assert sum(len(list(tag_spans(row["pred"]))) for row in rows) > 0
    assert all(len(row["pred"]) == len(row["tokens"]) for row in rows)
    assert "| " in rows[0]["raw"] and "Rare disease -" in rows[0]["raw"]


@pytest.mark.long
def test_train_sentences_are_fitted_to_without_their_own_document_among_the_nearest(command: Command, model: list[str]) -> None:
    nearest = ["format=phrases", "strategy=knn", "strategy.k=2", "retriever.by=tfidf"]
    made = folder_of(command("optimize", "optimizer=decisions", *nearest, *SMALL, *model))
    start = made / "candidates" / load(made / "run.json")["start"]["key"]
    rows, sent = records(start), read_prompts(start)
    assert sent is not None and len(rows) == 24 + 16 and all(row["error"] is None for row in rows)
    trained = set(load(made / "run.json")["trainset"])
    fitted = [row["id"] for row in rows if row["id"] in trained]
    assert len(fitted) == 16
    for name in fitted:
        shown = sent.asked[name][0]["demonstrations"]
        assert len(shown) == 2 and not {one.rpartition(":")[0] for one in shown} & {name.rpartition(":")[0]}


@pytest.mark.long
def test_counts_of_the_train_split_are_weighed_wherever_the_program_runs(
    command: Command, model: list[str], tmp_path: Path
) -> None:
    made = folder_of(command("optimize", "optimizer=decisions", *PROMPT, "format.train_counts=true", *SMALL, *model))
    keys = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    fitted = made / "candidates" / next(key for by, key in keys.items() if by.startswith("regression"))
    alone = made / "candidates" / next(key for by, key in keys.items() if by.startswith("without the model"))
    weights = load(alone / "program.json")["settings"]["format"]["decisions"]["weights"]["Sign"]
    assert {name.split(":")[0] for name in weights} == {"bias", "words", *WAYS}
    saved = load(fitted / "program.json")["settings"]["format"]
    assert saved["train_counts"] is True and any(saved["decisions"]["weights"]["Sign"][f"{way}:Sign"] for way in WAYS)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "n.txt").write_text("He has Wilson disease.")
    for words in (["run", "split=dev", "limit=2"], ["annotate", "input=texts", "output=out", "phi=false"]):
        done = command(words[0], f"program={fitted}", *words[1:], *model)
        assert done.returncode == 0, done.stderr
    labels = sorted(saved["decisions"]["offsets"])
    entities = [{"start": 5 * n, "end": 5 * n + 4, "label": label} for n, label in enumerate(labels)]
    other = {"id": "a", "text": "Rash gout pain itch acne .", "entities": entities}
    (tmp_path / "test.jsonl").write_text(json.dumps(other) + "\n", encoding="utf-8")
    done = command("run", f"program={fitted}", "corpus=jsonl", "corpus.path=test.jsonl", "corpus.phi=false", *model)
    assert (done.returncode, "counts the phrases of a train split, and the corpus has none" in done.stderr) == (2, True), (
        done.stderr
    )
    program = load(fitted / "program.json")
    program["settings"]["format"]["train_counts"] = False
    (tmp_path / "program.json").write_text(json.dumps(program), encoding="utf-8")
    done = command("run", f"program={tmp_path}", "limit=2", *model)
    assert (done.returncode, "was fitted to another prompt, model or train split" in done.stderr) == (2, True), done.stderr


def test_phrases_that_were_left_out_of_the_fit_are_left_out_of_runs(command: Command, model: list[str], tmp_path: Path) -> None:
    pruned = ["format.train_counts=true", "format.prune_below=-1", "optimizer.regression=false"]
    made = folder_of(command("optimize", "optimizer=decisions", *PROMPT, *pruned, *SMALL, *model))
    keys = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    fitted = made / "candidates" / next(key for by, key in keys.items() if by.startswith("offsets"))
    program = load(fitted / "program.json")
    saved = program["settings"]["format"]
    assert (saved["prune_below"], saved["train_counts"], saved["decisions"]["weights"]) == (-1, True, {})
    asked = {row["id"]: row["raw"].count("\n") for row in records(made / "candidates" / keys["start"])}
    ran = folder_of(command("run", f"program={fitted}", "split=dev", "limit=6", *model))
    assert all(row["raw"].count("\n") == asked[row["id"]] for row in records(ran))
    everything = folder_of(command("run", *PROMPT, "split=dev", "limit=6", *model))
    assert sum(row["raw"].count("\n") for row in records(everything)) > 1.2 * sum(row["raw"].count("\n") for row in records(ran))
    for other in (None, -2):
        saved["prune_below"] = other
        (tmp_path / "program.json").write_text(json.dumps(program), encoding="utf-8")
        done = command("run", f"program={tmp_path}", "limit=2", *model)
        assert (done.returncode, "was fitted to another prompt, model or train split" in done.stderr) == (2, True), done.stderr


@pytest.mark.long
def test_decisions_of_another_prompt_or_model_are_refused(command: Command, model: list[str], tmp_path: Path) -> None:
    made = folder_of(command("optimize", "optimizer=decisions", *PROMPT, *SMALL, "optimizer.regression=false", *model))
    keys = {trial["by"]: trial["key"] for trial in load(made / "candidates.json")["trials"]}
    fitted = made / "candidates" / next(key for by, key in keys.items() if by.startswith("offsets"))
    for change in ("prompt=bare", "label_wording=corpus"):
        done = command("run", f"program={fitted}", "limit=2", change, *model)
        assert done.returncode == 2
        assert "format.decisions was fitted to another prompt, model or train split" in done.stderr
        assert "Traceback" not in done.stderr
    program = load(fitted / "program.json")
    program["tag"]["demos"] = program["tag"]["demos"][:0]
    (tmp_path / "program.json").write_text(json.dumps(program), encoding="utf-8")
    done = command("run", f"program={tmp_path}", "limit=2", *model)
    assert (done.returncode, "fitted to another prompt" in done.stderr) == (2, True)
    unfitted = command("run", f"program={fitted}", "limit=2", "prompt=bare", "format=phrases", "format.decisions=null", *model)
    assert unfitted.returncode == 0, unfitted.stderr


def test_a_server_gives_no_probabilities_to_fit_to(command: Command) -> None:
    served = ["model=openai", "model.id=m", "model.api_base=http://127.0.0.1:9/v1"]
    done = command("optimize", "optimizer=decisions", *PROMPT, *SMALL, *served)
    assert (done.returncode, "which servers do not give" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["format=entities"], "optimizer=decisions fits the decisions of format=phrases"),
        (["format=phrases", "strategy.votes=3"], "needs one answer to each sentence"),
        (["format=phrases", "optimizer.folds=50"], "fewer documents than optimizer.folds=50"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_a_sentence_is_tagged(
    command: Command, model: list[str], words: list[str], problem: str
) -> None:
    done = command("optimize", "optimizer=decisions", *PROMPT[1:], *SMALL, *model, *words)
    assert done.returncode == 2
    assert problem in done.stderr
