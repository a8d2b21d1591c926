"""Tests of the typed records of a run folder: files of runs fit them, and an error names the key without its value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from clinspan.programs.rundir.records import (
    Demonstration,
    Prediction,
    RankedScores,
    RunScores,
    schema_text,
    SCHEMAS,
    TaggedSentence,
)
from clinspan.programs.rundir.run_record import FinishedRun
from clinspan.programs.rundir.typed_json import Record
from conftest import Command, folder_of, load, ROOT

LINE: dict[str, Any] = {
    "id": "d:0",
    "document": "d",
    "tokens": ["high", "fever"],
    "gold": ["B-Sign", "I-Sign"],
    "pred": ["O", "B-Sign"],
    "confidence": [None, 0.5],
    "raw": "fever",
    "repairs": {"cut_by_budget": 1},
    "usage": {"prompt_tokens": 9},
    "error": None,
}
SCORES: dict[str, Any] = {
    "signature": "unit:entity",
    "per_type": {"Sign": {"precision": 0.5, "recall": 1, "f1": 2 / 3}},
    "micro": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3},
    "macro": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3},
    "sentences": 1,
}
RUN: dict[str, Any] = {"status": "finished", "config": {"metric": {"mode": "conlleval"}}, "seconds": 1, "cost": None}


def test_the_files_of_a_run_fit_the_records_and_their_schemas(command: Command, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"output": text}) + "\n" for text in ("A : O", "")))
    folder = folder_of(command("run", "model=replay", f"model.path={answers}", "limit=2"))
    run, scores = load(folder / "run.json"), load(folder / "scores.json")
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and {line["error"] is None for line in lines} == {True, False}
    kinds: list[tuple[type[Record], Any]] = [(FinishedRun, run), (RunScores, scores), (RankedScores, scores)]
    for record, content in [*kinds, *((Prediction, line) for line in lines)]:
        assert record.problem(content) is None
    for name, contents in {"run": [run], "scores": [scores], "predictions": lines}.items():
        for content in contents:
            jsonschema.validate(content, json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text()))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schemas_in_the_documentation_are_those_of_the_records(name: str) -> None:
    assert (ROOT / f"docs/schemas/{name}.schema.json").read_text() == schema_text(SCHEMAS[name])


@pytest.mark.parametrize(
    ("kind", "whole", "wrong", "place"),
    [
        (Prediction, LINE, {"pred": ["O", "B-"]}, "pred.1: is not a BIO tag"),
        (Prediction, LINE, {"pred": ["O"]}, "pred has 1 entries for 2 tokens"),
        (Prediction, LINE, {"gold": []}, "gold has 0 entries for 2 tokens"),
        (Prediction, LINE, {"confidence": [0.5]}, "confidence has 1 entries for 2 tokens"),
        (Prediction, LINE, {"confidence": ["PATIENT", None]}, "confidence.0: "),
        (Prediction, LINE, {"confidence": [True, None]}, "confidence.0: "),
        (Prediction, LINE, {"confidence": [float("nan"), None]}, "confidence.0: "),
        (Prediction, LINE, {"tokens": "PATIENT"}, "tokens: "),
        (Prediction, LINE, {"tokens": ["PATIENT", 5]}, "tokens.1: "),
        (Prediction, LINE, {"id": 5}, "id: "),
        (Prediction, LINE, {"repairs": {"x": "PATIENT"}}, "repairs.x: "),
        (Prediction, LINE, {"error": 5}, "error: "),
        (TaggedSentence, LINE, {"usage": 5}, "usage: "),
        (RunScores, SCORES, {"per_type": {}}, "per_type: "),
        (RunScores, SCORES, {"micro": {"precision": "PATIENT", "recall": 1.0, "f1": 0.5}}, "micro.precision: "),
        (RankedScores, SCORES, {"sentences": True}, "sentences: "),
        (FinishedRun, RUN, {"config": {"metric": {"mode": "PATIENT"}}}, "config.metric.mode: "),
        (FinishedRun, RUN, {"status": "failed"}, "status: "),
        (FinishedRun, RUN, {"choices": {"model": 5}}, "choices.model: "),
        (FinishedRun, RUN, {"seconds": "PATIENT"}, "seconds: "),
        (Demonstration, {"tokens": ["a"], "tags": ["O"]}, {"tags": ["O", "O"]}, "tags has 2 entries for 1 tokens"),
    ],
)
def test_an_error_names_the_key_without_its_value(
    kind: type[Record], whole: dict[str, Any], wrong: dict[str, Any], place: str
) -> None:
    assert kind.problem(whole) is None
    problem = kind.problem({**whole, **wrong})
    assert problem is not None and problem.startswith(place) and "PATIENT" not in problem


@pytest.mark.parametrize("key", sorted(LINE))
def test_a_prediction_needs_every_key(key: str) -> None:
    assert Prediction.problem({name: value for name, value in LINE.items() if name != key}) == f"{key}: Field required"


@pytest.mark.parametrize("content", [None, [], "x", 5])
def test_only_an_object_is_a_record(content: object) -> None:
    assert Prediction.problem(content) is not None


@pytest.mark.parametrize(
    ("pieces", "problem"),
    [
        ([[0, 1], [1, 2]], None),
        ([[0, 1]], None),
        ([], "fragments"),
        ([[1, 1]], "not ranges in text order"),
        ([[1, 2], [0, 1]], "not ranges in text order"),
        ([[0, 3]], "behind the 2 tokens"),
    ],
)
def test_full_mentions_are_token_ranges_of_the_sentence(pieces: list[list[int]], problem: str | None) -> None:
    for key in ("gold_mentions", "pred_mentions"):
        found = Prediction.problem({**LINE, key: [{"label": "Sign", "fragments": pieces}]})
        assert (found is None) if problem is None else problem in str(found)
