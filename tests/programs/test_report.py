"""Tests of the leaderboard over the folders of sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from clinspan.corpora import InputError
from clinspan.programs.app.report_content import load_job
from clinspan.programs.report import find_jobs
from clinspan.programs.sweeps.failed_jobs import note_failure
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.terminal.leaderboard_table import markdown
from conftest import Command, folder_of, load

UNITS = "unit:entity|match:exact|mode:conlleval|avg:macro|types:5|align:tokens"


def job(
    path: Path, *, f1: float | None, seed: int = 0, strategy: str = "knn", signature: str = UNITS, n: int = 40, **fields: Any
) -> None:
    """Write the folder of a job, without scores if `f1` is None."""
    path.mkdir(parents=True)
    record = {
        "status": "started" if f1 is None else "finished",
        "choices": {"model": "smollm2", "strategy": strategy, "format": "entities"},
        "config": {"seed": seed, "limit": n, "resume": None, "strategy": {"k": 5, "demonstrations": strategy}},
        "seed": seed,
        "corpus": {"name": "raremini", "sha256": "0123456789", "split": "dev"},
        "seconds": 10.0 + seed,
        "tokens": {"prompt_tokens": 100 * n, "answer_tokens": n},
        "cost": None,
    }
    (path / "run.json").write_text(json.dumps({**record, **fields}), encoding="utf-8")
    if f1 is not None:
        scores = {"signature": f"{signature}|failed:0/{n}|docs:9|v2", "micro": {"f1": f1}, "macro": {"f1": f1 / 2}, "sentences": n}
        (path / "scores.json").write_text(json.dumps({**scores, "documents": 9, "failed": 0}), encoding="utf-8")


def board(*folders: Path) -> dict[str, Any]:
    return build_leaderboard([load_job(path) for folder in folders for path in find_jobs(folder)])


def test_jobs_that_agree_in_all_but_the_seed_are_one_row(tmp_path: Path) -> None:
    for n, (strategy, seed, f1) in enumerate([("few_shot", 0, 0.2), ("few_shot", 1, 0.4), ("knn", 0, 0.5)]):
        job(tmp_path / str(n), f1=f1, seed=seed, strategy=strategy)
    result = board(tmp_path)
    assert result["settings"] == ["strategy"]
    first, second = result["rows"]
    assert first["settings"] == {"strategy": "knn"}
    assert first["micro"] == {"mean": 0.5, "spread": None}
    assert second["seeds"] == [0, 1]
    assert second["micro"]["mean"] == pytest.approx(0.3)
    assert second["micro"]["spread"] == pytest.approx(0.1414, abs=1e-4)
    assert second["macro"]["mean"] == pytest.approx(0.15)
    assert second["seconds"] == 10.5
    assert second["prompt_tokens_per_sentence"] == 100
    assert second["cost"] is None
    assert "| a1 | strategy=knn | 1 | 0.5000 | 0.2500 | 10 | 100 |" in markdown(result)
    assert "| a2 | strategy=few_shot | 2 | 0.3000 ± 0.1414 |" in markdown(result)


def test_a_nested_setting_is_named_if_the_choice_does_not_determine_it(tmp_path: Path) -> None:
    for n, k in enumerate((2, 5)):
        job(tmp_path / str(n), f1=0.1, config={"seed": 0, "strategy": {"k": k}, "metric": {"seed": n}})
    assert board(tmp_path)["settings"] == ["strategy.k"]


def test_failed_and_unfinished_jobs_are_rows_with_their_status(tmp_path: Path) -> None:
    job(tmp_path / "0", f1=0.3)
    job(tmp_path / "1", f1=None, strategy="rag", status="failed", error="ModelError")
    job(tmp_path / "2", f1=None, seed=2)
    (tmp_path / "3").mkdir()
    job(tmp_path / "4", f1=0.9)
    (tmp_path / "4" / "scores.json").unlink()
    job(tmp_path / "5", f1=0.9)
    (tmp_path / "5" / "scores.json").write_text("{}", encoding="utf-8")
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "run.json").write_text("{", encoding="utf-8")
    result = board(tmp_path)
    assert len(result["rows"]) == 1
    assert [(row["status"], row["error"]) for row in result["unscored"]] == [
        ("failed", "ModelError"),
        ("unfinished", ""),
        ("failed", "left no run.json"),
        ("no scores", "scores.json cannot be read"),
        ("no scores", "scores.json is not in the format of a run (signature: Field required)"),
        ("failed", "run.json cannot be read"),
    ]
    text = markdown(result)
    assert "|  | strategy=rag seed=0 |  |  |  |  |  | failed: ModelError |" in text
    assert "|  | strategy=knn seed=2 |  |  |  |  |  | unfinished |" in text


@pytest.mark.parametrize(
    "other",
    [{"signature": UNITS.replace("conlleval", "strict")}, {"signature": UNITS.replace("tokens", "positional")}, {"n": 20}],
)
def test_scores_with_another_basis_are_ranked_separately(tmp_path: Path, other: dict[str, Any]) -> None:
    job(tmp_path / "0", f1=0.3)
    job(tmp_path / "1", f1=0.2, strategy="rag")
    job(tmp_path / "2", f1=0.9, **other)
    result = board(tmp_path)
    assert [(row["basis"], row["rank"], row["micro"]["mean"]) for row in result["rows"]] == [
        ("a", 1, 0.3),
        ("a", 2, 0.2),
        ("b", 1, 0.9),
    ]
    assert (
        result["notes"][0]
        == "a: 40 sentences, 9 documents of raremini dev (01234567), exact spans, seqeval default, macro over 5 types"
    )
    assert "were measured on different data or settings" in result["notes"][2]


def test_failed_sentences_do_not_split_a_row_but_are_noted(tmp_path: Path) -> None:
    job(tmp_path / "0", f1=0.3)
    job(tmp_path / "1", f1=0.4, seed=0)
    scores = load(tmp_path / "1" / "scores.json")
    scores |= {"signature": f"{UNITS}|failed:3/40|docs:9|v2", "failed": 3}
    (tmp_path / "1" / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    result = board(tmp_path)
    assert len(result["rows"]) == 1
    assert "a1: 3 sentences failed and were scored as all O" in result["notes"]
    assert "a1: 2 jobs, some with the same seed" in result["notes"]


def test_optimized_programs_are_ranked_with_runs(tmp_path: Path) -> None:
    job(tmp_path / "run", f1=0.3)
    for n, name in enumerate(("gepa", "copro")):
        optimizer = {"optimizer": {"name": name}, "candidates": 8 + n, "best": {"micro": 0.4, "sentences": 40}}
        optimizer |= {"start": {"f1": 0.25}, "target": "micro"}
        optimizer["best"]["tokens"], optimizer["tokens"] = {"prompt_tokens": 8000}, {"prompt_tokens": 90000}  # of all candidates
        choices = {"model": "smollm2", "strategy": "knn", "format": "entities", "optimizer": name}
        config = {"seed": 0, "limit": 40, "strategy": {"k": 5, "demonstrations": "knn"}, "optimizer": {"n": n}, "budget": 100}
        job(tmp_path / "sweep" / str(n), f1=0.4 + n / 10, **optimizer, choices=choices, config=config)
    result = board(tmp_path / "run", tmp_path / "sweep")
    assert result["settings"] == ["optimizer"]
    assert [row["settings"] for row in result["rows"]] == [{"optimizer": "copro"}, {"optimizer": "gepa"}, {}]
    assert [row.get("candidates") for row in result["rows"]] == [9, 8, None]
    assert [row["prompt_tokens_per_sentence"] for row in result["rows"][:2]] == [200, 200]
    assert "| candidates |" in markdown(result)
    assert [row.get("start", {}).get("mean") for row in result["rows"]] == [0.25, 0.25, None]
    assert "| start F1 |" in markdown(result)
    assert any(note.startswith("Start F1: micro F1 on the same sentences") for note in result["notes"])


def test_scores_on_character_offsets_are_shown_where_tokens_lose_some(tmp_path: Path) -> None:
    for n, (strategy, ceiling) in enumerate([("few_shot", 1.0), ("knn", 0.9), ("rag", None)]):
        job(tmp_path / str(n), f1=0.5 + n / 10, strategy=strategy)
        if ceiling is not None:
            scores = json.loads((tmp_path / str(n) / "scores.json").read_text())
            scores["offsets"] = {"micro": {"f1": 0.25}, "ceiling": {"f1": ceiling}}
            (tmp_path / str(n) / "scores.json").write_text(json.dumps(scores))
    result = board(tmp_path)
    assert [row.get("offsets") for row in result["rows"]] == [None, {"mean": 0.25, "spread": None}, None]
    _, _, *rows = [line.split(" | ") for line in markdown(result).split("\n\n")[1].splitlines()]
    assert [row[5] for row in rows] == ["", "0.2500", ""]
    assert any(note.startswith("Offsets: ") for note in result["notes"])
    (tmp_path / "1" / "scores.json").write_text(json.dumps(scores | {"offsets": {"micro": 1}}))
    assert load_job(tmp_path / "1").error.startswith("scores.json is not in the format of a run (offsets")


def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder. Give the folder of a sweep"):
        find_jobs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no finished run, at any depth"):
        find_jobs(tmp_path)


def test_a_failure_is_recorded_for_a_job_that_wrote_nothing(tmp_path: Path) -> None:
    config = OmegaConf.create({"seed": 1, "broken": "${nothing}"})
    note_failure(tmp_path / "0", config, {"model": "replay"}, InputError("secret"))
    record = load(tmp_path / "0" / "run.json")
    assert (record["status"], record["error"], record["seed"]) == ("failed", "InputError", 1)
    assert not any("secret" in path.read_text() for path in (tmp_path / "0").iterdir())
    job(tmp_path / "1", f1=0.5)
    note_failure(tmp_path / "1", config, {"model": "replay"}, InputError("another job's folder"))
    assert load(tmp_path / "1" / "run.json")["status"] == "finished"


def test_the_command_prints_and_writes_the_leaderboard(command: Command, tmp_path: Path) -> None:
    for n, f1 in enumerate((0.2, 0.4)):
        job(tmp_path / "sweep" / str(n), f1=f1, seed=n)
    folder = folder_of(done := command("report", "sweep", "sweep/1"))
    assert folder.parent == tmp_path / "runs" / "report"
    written = load(folder / "leaderboard.json")
    assert written["folders"] == ["sweep", "sweep/1"]
    assert written["rows"][0]["jobs"] == ["sweep/0", "sweep/1"]
    assert "model=smollm2 strategy=knn format=entities" in (folder / "leaderboard.md").read_text()
    assert "0.3000" in done.stdout
    assert "sample standard deviation over seeds" in done.stdout
    refused = command("report")
    assert refused.returncode == 2
    assert "there is no sweep to report on" in refused.stderr
