"""Tests of the `compare` command on runs of recorded outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora.sources import RareMini
from clinspan.programs.app.command_line import gather
from clinspan.programs.compare import flipped, is_config, load_run, prompt_difference
from conftest import Command, folder_of, load
from support.scripted_models import NAMES


def outputs(path: Path, limit: int, spoilt: int) -> None:
    """Write gold answers, except for the first `spoilt` sentences, in which every tag is O."""
    rows = []
    for n, sentence in enumerate(list(RareMini(labels=NAMES, definitions={}).load().sentences("test"))[:limit]):
        tags = ["O"] * len(sentence.tags) if n < spoilt else sentence.tags
        text = "\n".join(f"{word} : {tag}" for word, tag in zip(sentence.words, tags, strict=True))
        rows.append(json.dumps({"id": sentence.id, "output": text}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")


def run(command: Command, tmp_path: Path, name: str, spoilt: int, *words: str, limit: int = 40) -> Path:
    outputs(tmp_path / f"{name}.jsonl", limit, spoilt)
    common = ["model=replay", f"model.path={name}.jsonl", f"limit={limit}", "strategy=zero_shot", "format=bio_lines"]
    return folder_of(command("run", *common, *words))


def test_two_runs_with_a_known_difference(command: Command, tmp_path: Path) -> None:
    bad, good = run(command, tmp_path, "bad", 40), run(command, tmp_path, "good", 0, "prompt=bare")
    done = command("compare", str(bad), str(good), "samples=500")
    folder = folder_of(done)
    result = load(folder / "comparison.json")
    assert result["micro"]["difference"] == 1.0
    assert result["micro"]["interval"] == [1.0, 1.0]
    assert result["macro"]["difference"] == pytest.approx(load(good / "scores.json")["macro"]["f1"])
    assert set(result["per_type"]) == set(NAMES)
    assert {"difference", "interval", "p_value", "p_holm"} == set(result["per_type"]["Sign"])
    assert [r["path"] for r in result["runs"]] == [str(bad), str(good)]
    flips = [json.loads(line) for line in (folder / "flipped.jsonl").read_text().splitlines()]
    assert result["flipped"] == len(flips) > 20
    assert all(row["right"] == "second" for row in flips)
    text = (folder / "comparison.md").read_text()
    assert "| micro | 0.0000 | 1.0000 | +1.0000 |" in text
    assert "+Tag the mentions of Disease" in text
    assert "micro" in done.stdout
    for run_folder in (bad, good):
        signature = load(run_folder / "scores.json")["signature"]
        assert f"{run_folder.name}: {signature}" in done.stdout and f"{run_folder.name}: `{signature}`" in text


def test_prompts_differ_by_format_and_by_tags_of_demonstrations(command: Command, tmp_path: Path) -> None:
    """Prompts also differ if instructions and the words of the demonstrations are the same."""
    first, same, other = (
        run(command, tmp_path, name, 0, *words) for name, words in (("a", ()), ("b", ()), ("c", ("format=inline",)))
    )
    report = folder_of(command("compare", str(first), str(same), str(other), "samples=10")) / "comparison.md"
    text = report.read_text()
    assert text.count("The prompts are the same.") == 1
    assert text.count("```diff") == 1
    program = load(first / "program.json")
    texts = []
    for folder, tags in ((first, ["B-Sign"]), (same, ["O"])):
        program["tag"]["demos"] = [{"id": "d:0", "tokens": ["Fever"], "tags": tags}]
        program["settings"]["strategy"] |= {"choice": "few_shot", "demonstrations": "fixed"}
        (folder / "program.json").write_text(json.dumps(program), encoding="utf-8")
        texts.append(load_run(folder))
    assert [line for line in prompt_difference(*texts) if line[:1] in "+-"][2:] == ["-Fever : B-Sign", "+Fever : O"]


def test_the_metric_mode_decides_whether_a_sentence_is_right(command: Command, tmp_path: Path) -> None:
    folders = [run(command, tmp_path, name, 0, "metric.mode=strict", limit=3) for name in ("a", "b")]
    runs = [load_run(folder) for folder in folders]
    row = next(iter(runs[0].rows.values()))
    row["gold"], row["pred"] = ["O"] * len(row["gold"]), ["I-Sign"] + ["O"] * (len(row["gold"]) - 1)
    runs[1].rows[row["id"]] |= {"gold": row["gold"], "pred": row["gold"]}
    assert flipped(*runs) == []  # strict reads no entity from an I- tag without an entity before it


def test_further_runs_are_compared_with_the_first(command: Command, tmp_path: Path) -> None:
    runs = [run(command, tmp_path, f"r{n}", n) for n in (0, 5, 10)]
    result = load(folder_of(command("compare", *map(str, runs), "samples=200")) / "comparison.json")
    assert [pair["second"] for pair in result["pairs"]] == [str(path) for path in runs[1:]]
    assert 0 > result["pairs"][0]["micro"]["difference"] > result["pairs"][1]["micro"]["difference"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"limit": 39}, "1 sentence occurs in only one of them"),
        ({"words": ["metric.mode=strict"]}, "one reads tags in the mode conlleval, the other strict"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    command: Command, tmp_path: Path, second: dict[str, object], message: str
) -> None:
    first = run(command, tmp_path, "a", 0)
    other = run(command, tmp_path, "b", 0, *second.get("words", []), limit=int(str(second.get("limit", 40))))  # type: ignore[misc, attr-defined]
    done = command("compare", str(first), str(other))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_without_a_finished_run_are_refused(command: Command, tmp_path: Path) -> None:
    first = run(command, tmp_path, "a", 0)
    assert "fewer than two runs" in command("compare", str(first)).stderr
    assert "holds no run.json" in command("compare", str(first), "runs/compare").stderr
    record = load(first / "run.json")
    (first / "run.json").write_text(json.dumps({**record, "status": "started"}), encoding="utf-8")
    done = command("compare", str(first), str(first))
    assert done.returncode == 2
    assert "has not finished. Finish it: python -m programs.run resume=" in done.stderr


def test_folders_are_gathered_into_one_override() -> None:
    assert gather(["a b", "seed=1"], "runs") == ["seed=1", 'runs=["a b"]']


def test_which_arguments_count_as_settings_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k=1").mkdir()
    words = ["runs/a", "strategy=knn", "seed=1 limit=4", "seed=1", "sampels=9", "k=1", "hydra.run.dir=x", "hydra/launcher=x"]
    assert [word for word in words if is_config(word)] == ["strategy=knn", "seed=1 limit=4"]
    assert gather(["runs/a", "limit=4 seed=1", "seed=1"], "runs", is_config) == ["seed=1", 'runs=["runs/a","limit=4 seed=1"]']


def test_settings_are_run_and_then_compared(command: Command, tmp_path: Path) -> None:
    bad = run(command, tmp_path, "bad", 40)
    outputs(tmp_path / "other file.jsonl", 40, 0)
    word = 'model=replay model.path="other file.jsonl" limit=40 strategy=zero_shot format=bio_lines'
    done = command("compare", str(bad), word, "samples=100")
    result = load(folder_of(done) / "comparison.json")
    assert result["micro"]["difference"] == 1.0
    assert result["runs"][0]["path"] == str(bad)
    assert load(Path(result["runs"][1]["path"]) / "run.json")["config"]["model"]["path"] == "other file.jsonl"
    assert f"clinspan: running {word}" in done.stderr


def test_settings_that_fail_end_the_comparison(command: Command, tmp_path: Path) -> None:
    done = command("compare", "strategy=zero_shot limit=1 model=replay", "strategy=knn")
    assert done.returncode == 2
    assert "model=replay needs recorded outputs" in done.stderr
    assert "the run of 'strategy=zero_shot limit=1 model=replay' failed. See its error message above." in done.stderr
    assert "running strategy=knn" not in done.stderr
    assert len(list((tmp_path / "runs" / "run").iterdir())) == 1
    refused = command("compare", "strategy=knn", "nowhere")
    assert refused.returncode == 2
    assert "nowhere: holds no run.json" in refused.stderr
    assert "running" not in refused.stderr
