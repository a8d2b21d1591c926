"""Members by command, with MiniLM's weights: training, runs and annotation average the same probabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora.readers.notes import Note
from clinspan.programs.annotation.annotator import Annotator
from conftest import Command, command_in, folder_of, load, records

SHORT = ["tuning=encoder", "limit=48", "dev_limit=12", "tuning.epochs=1", "tuning.batch_size=8", "tuning.learning_rate=0.002"]
SHORT += ["tuning.decisions=tags"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and standard output of two MiniLM classifiers in one model."""
    done = command_in(tmp_path_factory.mktemp("tuned"))("finetune", *SHORT, "tuning.members=2")
    return folder_of(done), done.stdout


@pytest.mark.long
def test_a_training_of_members_says_what_each_reached_and_what_they_reach_together(tuned: tuple[Path, str]) -> None:
    folder, printed = tuned
    record = load(folder / "run.json")
    assert [(epoch["member"], epoch["number"]) for epoch in record["epochs"]] == [(1, 1), (2, 1)]
    assert f"dev F1 of the averaged probabilities: {record['members_f1']:.4f}" in printed
    assert printed.count("kept") == 2
    assert f"{record['seconds']:.0f} s" in printed
    assert load(folder / "model" / "tuning.json")["members"] == 2


@pytest.mark.long
def test_runs_and_annotation_use_all_members(tuned: tuple[Path, str], command: Command) -> None:
    run = folder_of(command("run", f"program={tuned[0]}", "split=dev", "limit=12", "report=false"))
    assert load(run / "scores.json")["micro"]["f1"] == pytest.approx(load(tuned[0] / "run.json")["members_f1"])
    annotator = Annotator.load(tuned[0])
    texts = [" ".join(row["tokens"]) for row in records(run)]
    assert len(annotator.tagger.classifier.members) == 2  # type: ignore[attr-defined]
    assert all(outcome.error is None for outcome in annotator.annotate([Note(str(n), text) for n, text in enumerate(texts)]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tuning.members=x", "tuning.members=x is not a whole number"),
        ("tuning.members=0", "tuning.members=0 is too small"),
    ],
)
def test_bad_values_end_the_command(command: Command, setting: str, message: str) -> None:
    done = command("finetune", *SHORT, setting)
    assert (done.returncode, message in done.stderr) == (2, True)
