"""Tests of the typed record of a run, of the run that is open while a command works, and of records that are read back."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.app.start_run import part_record, saved_config
from clinspan.programs.config.composition import compose, plain_settings
from clinspan.programs.rundir.open_run import corpus_entry, OpenRun
from clinspan.programs.rundir.run_folder import environment, read_record, RunFolder
from clinspan.programs.rundir.run_record import (
    CorpusRecord,
    FinishedRun,
    GitRecord,
    ModelRecord,
    RunFacts,
    RunRecord,
)
from clinspan.programs.tagging.saved_program import with_saved
from conftest import Command, folder_of, load
from support.scripted_models import NAMES

CORPUS = CorpusRecord(name="raremini", sha256="0", phi=False, split="test")
LOG = logging.getLogger("test")
SAVED: dict[str, Any] = {
    "status": "finished",
    "started": "2026-01-31T10:00:00Z",
    "config": {"z": 1, "metric": {"_target_": "x", "mode": "strict"}, "a": {"later": None}},
    "choices": {"model": "smollm2"},
    "given": ["limit"],
    "corpus": {"name": "raremini", "sha256": "0", "phi": False, "split": "test", "language": "en"},
    "model": {"name": "smollm2", "id": "x", "revision": None, "dtype": "float32"},
    "seconds": 1.5,
    "cost": None,
    "of_another_version": {"b": [1, None], "a": True},
    "plus": 7,
}


def test_unknown_keys_the_order_of_keys_and_set_nulls_are_kept() -> None:
    for kind in (RunRecord, FinishedRun):
        record = kind.model_validate(SAVED)
        assert json.dumps(record.content()) == json.dumps(SAVED)
        later = record.plus(RunFacts(cost=0.5))
        assert later.content() == {**SAVED, "cost": 0.5} and record.content() == SAVED and type(later) is kind


def test_only_entries_that_are_set_are_written_and_added() -> None:
    record = RunRecord(status="started", seconds=2.0)
    assert record.content() == {"status": "started", "seconds": 2.0}
    assert record.plus(RunFacts(model=ModelRecord(name="m"))).content() == {
        **{"status": "started", "model": {"name": "m"}},
        **{"seconds": 2.0},
    }
    assert record.only("seconds", "cost").content() == {"seconds": 2.0}


@pytest.mark.parametrize(
    "wrong", [{"seconds": "1.5"}, {"status": "done"}, {"corpus": {"name": "raremini"}}, {"counts": {"failed": True}}]
)
def test_facts_of_another_type_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunFacts.model_validate(wrong)


def test_a_record_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunRecord(status="started").status = "finished"  # type: ignore[misc]


def test_a_resumed_run_has_no_error_any_more_and_lists_its_resumptions() -> None:
    failed = RunRecord.model_validate({**SAVED, "status": "failed", "error": "OSError", "reason": "no weights", "resumed": ["a"]})
    assert failed.begun_again("b").content() == {**SAVED, "status": "started", "resumed": ["a", "b"]}


def test_a_run_that_fails_writes_its_status_its_error_and_its_time(tmp_path: Path) -> None:
    run = OpenRun(RunFolder(tmp_path / "run"), RunRecord(status="started", seconds=10.0))
    with pytest.raises(KeyError, match="PATIENT"), run.recorded(LOG):
        run.write(RunFacts(corpus=CORPUS))
        run.add(RunFacts(model=ModelRecord(name="m")))
        raise KeyError("PATIENT")
    saved = load(tmp_path / "run" / "run.json")
    assert saved == run.record.content() and list(saved) == ["status", "corpus", "model", "error", "seconds", "ended"]
    assert (saved["status"], saved["error"], saved["model"]) == ("failed", "KeyError", {"name": "m"})
    assert saved["seconds"] >= 10.0 and "PATIENT" not in json.dumps(saved)


def test_a_run_that_fails_before_its_corpus_is_known_leaves_no_record(tmp_path: Path) -> None:
    run = OpenRun(RunFolder(tmp_path / "run"), RunRecord(status="started"))
    with pytest.raises(KeyError), run.recorded(LOG):
        raise KeyError
    assert not (tmp_path / "run" / "run.json").exists() and run.record.status == "failed"


def test_a_record_of_another_type_is_refused_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**SAVED, "seconds": "PATIENT"}))
    with pytest.raises(InputError, match=r"run\.json: is not in the format of a run \(seconds: Input should be a valid number\)"):
        read_record(path)
    path.write_text(json.dumps(SAVED))
    assert read_record(path).content() == SAVED


def test_a_record_without_choices_has_no_config_to_resume() -> None:
    with pytest.raises(InputError, match="has no config of a run"):
        saved_config(RunRecord(status="failed", config={}), "run", Path("run.json"))


def test_a_resumed_part_keeps_what_its_folder_records_but_its_settings(tmp_path: Path) -> None:
    first = RunRecord(status="started", started="now", config={"a": 2}, choices={}, given=["a"], seed=1)
    folder = RunFolder(tmp_path / "fold_0")
    assert part_record(folder, first) == first
    folder.write("run.json", {**SAVED, "seed": 0})
    assert part_record(folder, first).content() == {**SAVED, "config": {"a": 2}, "choices": {}, "given": ["a"], "seed": 1}


def test_a_corpus_that_has_changed_since_the_run_began_is_refused() -> None:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    entry = corpus_entry(RunFacts(), corpus, "dev", Path("run"))
    assert entry.content() == {"name": corpus.name, "sha256": corpus.sha256, "phi": False, "split": "dev"}
    assert corpus_entry(RunFacts(corpus=entry), corpus, "dev", Path("run")) == entry
    with pytest.raises(InputError, match="not the one that this run began with"):
        corpus_entry(RunFacts(corpus=CORPUS), corpus, "dev", Path("run"))


def test_the_settings_of_a_saved_program_replace_those_of_its_run() -> None:
    record = FinishedRun.model_validate(SAVED)
    saved = with_saved(record, {"settings": {"format": {"choice": "inline", "k": 3}, "alignment": "positional"}})
    assert saved.choices == {"model": "smollm2", "format": "inline"} and saved.mode == "strict"
    assert saved.config == {**SAVED["config"], "format": {"k": 3}, "alignment": "positional"}
    assert with_saved(record, {}) is record


def test_the_environment_names_versions_and_the_checkout() -> None:
    facts = environment()
    assert list(facts.content()) == ["python", "packages", "git", "cores"]
    assert facts.packages["dspy"] and isinstance(facts.git, GitRecord)


def test_an_interrupted_run_with_unknown_keys_is_resumed_and_keeps_them(command: Command, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"output": text}) + "\n" for text in ("A : O", "")))
    folder = folder_of(command("run", "model=replay", f"model.path={answers}", "limit=2", "report=false"))
    file, config = folder / "run.json", plain_settings(compose("run", [])[0])
    finished = load(file)
    assert finished["config"].keys() == config.keys()
    older = {key: value for key, value in finished.items() if key not in ("drawn", "ended", "counts", "tokens", "cost")}
    (folder / "predictions.jsonl").unlink()
    file.write_text(json.dumps({**older, "status": "failed", "error": "OSError", "of_another_version": [1]}))
    again = load(folder_of(command("run", f"resume={folder}", "report=false")) / "run.json")
    assert again["of_another_version"] == [1] and again["status"] == "finished" and "error" not in again
    assert again["counts"] == finished["counts"] and len(again["resumed"]) == 1
    file.write_text(json.dumps({**older, "status": "failed", "given": "limit"}))
    refused = command("run", f"resume={folder}")
    assert refused.returncode == 2 and "is not in the format of a run (given: Input should be a valid list)" in " ".join(
        refused.stderr.split()
    )
