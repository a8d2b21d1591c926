"""Tests of the `compare` command on runs of recorded outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.compare import compare, flipped, is_config, load_run, prompt_change
from clinspan.programs.config.command_line import gather
from clinspan.programs.rundir.comparable import common_ids
from clinspan.reports.wording import scored_words
from conftest import Command, folder_of, load
from support.scripted_models import NAMES, Script
from support.scripted_server import ScriptedServer


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
    assert result["micro"]["interval"] is None and result["micro"]["p_value"] is None
    few = "too few documents (5) for intervals and p: use limit_documents=N or all, at least 10"
    assert few in done.stdout
    assert result["macro"]["difference"] == pytest.approx(load(good / "scores.json")["macro"]["f1"])
    assert set(result["per_type"]) == set(NAMES)
    assert {"difference", "interval", "p_value", "p_least"} == set(result["per_type"]["Sign"])
    assert [r["path"] for r in result["runs"]] == [str(bad), str(good)]
    flips = [json.loads(line) for line in (folder / "flipped.jsonl").read_text().splitlines()]
    assert result["flipped"] == len(flips) > 20
    assert all(row["right"] == "second" for row in flips)
    text = (folder / "comparison.md").read_text()
    assert "| micro | 0.0000 | 1.0000 | +1.0000 |" in text
    assert "+Tag the mentions of Disease" in text
    assert "micro" in done.stdout
    for run_folder in (bad, good):
        scores = load(run_folder / "scores.json")
        about = f"{run_folder.name}: {scored_words(scores)}"
        assert about in done.stdout and f"{about}; `{scores['signature']}`" in text


def test_settings_and_prompts_are_compared(command: Command, tmp_path: Path) -> None:
    first, same, other = (
        run(command, tmp_path, name, 0, *words) for name, words in (("a", ()), ("b", ()), ("c", ("format=inline",)))
    )
    report = folder_of(command("compare", str(first), str(same), str(other), "samples=10")) / "comparison.md"
    text = report.read_text()
    assert text.count("The prompts are the same.") == 1
    assert text.count("```diff") == 1
    assert "prompts: The instructions, or the rules of the format, differ for 40 of 40 sentences (100 %)." in text
    assert "settings: model.path: a.jsonl → b.jsonl\n" in text
    assert "settings: format: bio_lines → inline; model.path: a.jsonl → c.jsonl\n" in text


@pytest.mark.long
def test_other_demonstrations_are_counted_by_sentence(command: Command, tmp_path: Path) -> None:
    """The programs have the same instructions; only what was sent shows that demonstrations are others."""
    words = ("strategy=few_shot", "strategy.k=2")
    first, second, seeded = (
        run(command, tmp_path, name, 0, *words, *own, limit=4) for name, own in (("a", ()), ("b", ()), ("c", ("seed=8",)))
    )
    done = command("compare", str(first), str(second), str(seeded), "samples=10")
    same, other = load(folder_of(done) / "comparison.json")["pairs"]
    assert same["prompts"] == ["The prompts are the same."]
    assert other["prompts"] == ["Other demonstrations for 4 of 4 sentences (100 %)."]
    assert {"key": "seed", "first": 3, "second": 8} in other["settings"]
    assert "prompts: Other demonstrations for 4 of 4 sentences (100 %)." in done.stdout
    diff = prompt_change(load_run(first), load_run(seeded))[1]
    assert diff[0] == f"Sentence {next(iter(load_run(first).rows))}:"
    assert any(line.startswith("+") for line in diff) and not any("+++" in line for line in diff)
    lines = (second / "prompts.jsonl").read_text().splitlines(keepends=True)
    (second / "prompts.jsonl").write_text("".join(lines[:-1]))
    assert prompt_change(load_run(first), load_run(second))[0] == [
        "Of 1 of 4 sentences (25 %) what was sent is not recorded for both runs."
    ]
    (second / "prompts.jsonl").unlink()
    assert prompt_change(load_run(first), load_run(second)) == (["What was sent is not recorded for both runs."], [])


def _candidate(folder: Path, by: str) -> Path:
    """The program of a candidate that was made in this way."""
    keys = {trial["by"]: trial["key"] for trial in load(folder / "candidates.json")["trials"]}
    return folder / "candidates" / keys[by] / "program.json"


@pytest.mark.long
def test_a_compiled_run_is_named_so(command: Command, server: ScriptedServer, script: Script) -> None:
    model = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1"]
    small = ["train_limit=20", "dev_limit=6", "halving.rungs=1", "format=bio_lines"]
    made = folder_of(command("optimize", "optimizer=knn", "optimizer.ks=[2]", *small, *model))
    (made / "program.json").write_bytes(_candidate(made, "knn k=2").read_bytes())  # the start is as good, and would be kept
    ran = folder_of(command("run", f"program={made}", "split=dev", "limit=6", "strategy.pool=null", *model))
    assert load(ran / "program.json")["settings"]["strategy"]["pool"] is None
    compared = command("compare", str(made), str(ran), "samples=10")
    (pair,) = load(folder_of(compared) / "comparison.json")["pairs"]
    assert {"key": "strategy.pool", "first": 20, "second": None} in pair["settings"]
    assert "Other demonstrations for" in pair["prompts"][0]
    text = (folder_of(compared) / "comparison.md").read_text()
    assert text.count("| openai, knn, bio_lines, compiled by knn |") == 2


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
    assert "-m programs.run resume=" in done.stderr.partition("has not finished. Finish it: ")[2]


def test_folders_are_gathered_into_one_override() -> None:
    assert gather(["a b", "seed=1"], "runs") == ["seed=1", 'runs=["a b"]']


def test_which_arguments_count_as_settings_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k=1").mkdir()
    words = ["runs/a", "strategy=knn", "seed=1 limit=4", "seed=1", "sampels=9", "k=1", "hydra.run.dir=x", "hydra/launcher=x"]
    assert [word for word in words if is_config(word)] == ["strategy=knn", "seed=1 limit=4"]
    assert gather(["runs/a", "limit=4 seed=1", "seed=1"], "runs", is_config) == ["seed=1", 'runs=["runs/a","limit=4 seed=1"]']


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_sentences_of_both_runs_are_compared(command: Command, tmp_path: Path) -> None:
    whole, part = run(command, tmp_path, "whole", 5), run(command, tmp_path, "part", 0, limit=30)
    refused = command("compare", str(whole), str(part))
    assert "10 sentences occur in only one of them" in refused.stderr and "Add common=true" in refused.stderr
    done = command("compare", str(whole), str(part), "common=true", "samples=50")
    folder = folder_of(done)
    (pair,) = load(folder / "comparison.json")["pairs"]
    rows = [load_run(path).rows for path in (whole, part)]
    documents = [len({row["document"] for row in one.values()}) for one in rows]
    common = {key: pair["common"][key] for key in ("sentences", "of", "documents", "of_documents")}
    assert common == {"sentences": 30, "of": [40, 30], "documents": documents[1], "of_documents": documents}
    words = f"only sentences of both runs: 30 (of 40 and 30), in {documents[1]} documents (of {documents[0]} and {documents[1]})"
    assert words in done.stdout and words in (folder / "comparison.md").read_text()
    same = run(command, tmp_path, "same", 5, limit=30)  # the first run on these sentences alone
    assert pair["common"]["runs"][0]["per_type"] == load(same / "scores.json")["per_type"]
    assert pair["micro"] == load(folder_of(command("compare", str(same), str(part), "samples=50")) / "comparison.json")["micro"]
    assert compare(whole, part, common=True)["micro"].difference == pair["micro"]["difference"]


def test_sentences_that_were_cut_differently_are_not_common(command: Command, tmp_path: Path) -> None:
    first, second = run(command, tmp_path, "a", 0, limit=3), run(command, tmp_path, "b", 0, limit=3)
    other = "unit:entity|match:exact|tok:whitespace|sent:lines"
    with pytest.raises(InputError, match=r"were cut differently \(tokens of the corpus and tok:whitespace sent:lines\)"):
        common_ids(load_run(first).rows, load_run(second).rows, ("match:exact", other))
    rows = load_run(first).rows
    key, row = next(iter(rows.items()))
    with pytest.raises(InputError, match=f"cut differently: the tokens of sentence {key} differ"):
        common_ids(rows, {key: {**row, "tokens": [*row["tokens"], "."]}}, ("", ""))
    with pytest.raises(InputError, match="have no sentence in common"):
        common_ids(rows, {"elsewhere:0": row}, ("", ""))


def test_edited_predictions_are_noticed_and_scored_again(command: Command, tmp_path: Path) -> None:
    first, second = run(command, tmp_path, "a", 0), run(command, tmp_path, "b", 0)
    path = second / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edited = [{**line, "pred": ["O"] * len(line["tokens"])} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in edited))
    done = command("compare", str(first), str(second), "samples=50")
    assert done.returncode == 2 and f"{second}: predictions.jsonl gives other counts than scores.json has" in done.stderr
    assert "-m programs.score " in done.stderr and " write=true" in done.stderr
    assert command("score", str(second), "write=true").returncode == 0
    assert load(second / "scores.json")["micro"]["f1"] == 0 and not (second / "errors.json").exists()
    result = load(folder_of(command("compare", str(first), str(second), "samples=50")) / "comparison.json")
    assert result["micro"]["difference"] == -1.0
    refused = command("score", str(second), "write=true", "match=relaxed")
    assert refused.returncode == 2 and "write=true scores runs as they were scored" in refused.stderr
