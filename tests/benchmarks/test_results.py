"""`benchmarks.results`: its list fits the page and the commands; steps are run once, resumed, and shown with their commits."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import coverage
from benchmarks.result_list import all_steps, load_list, Step
from benchmarks.result_runs import RECORD, Store
from benchmarks.result_tables import MARKED
from benchmarks.results import make, PAGE, write
from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.compare import is_config
from clinspan.programs.config.command_line import gather
from clinspan.programs.config.composition import compose
from clinspan.programs.rundir.errors import RunError
from conftest import load, ROOT
from support.faulty_server import held
from support.fork_server import clean_environment, until
from support.scripted_models import NAMES
from support.scripted_server import ScriptedServer

RESULTS = load_list()
TEXT = PAGE.read_text(encoding="utf-8")
GIVEN = {"data": "ncbi", "server": "http://127.0.0.1:1/v1"}


def many(name: str) -> Any:
    """The name of a result as a parameter, marked as long if it has many commands."""
    return pytest.param(name, marks=[pytest.mark.long] if len(RESULTS[name].commands()) > 12 else [])


@pytest.mark.parametrize("name", [many(name) for name, result in RESULTS.items() if result.steps])
def test_each_command_composes(name: str) -> None:
    seen = set()
    for step in RESULTS[name].commands().values():
        kind = re.sub(r"\d", "", " ".join((step.command, *step.words)))  # other seeds change nothing
        if kind in seen:
            continue
        seen.add(kind)
        if step.command == "coverage":
            assert all(word.split("=")[0] in inspect.signature(coverage.main).parameters for word in step.words)
            continue
        words = step.filled(dict.fromkeys(all_steps(RESULTS), "runs/a"), GIVEN)
        assert not re.search(r"[{}@]", " ".join(words)), step
        config, _, _ = compose(step.command, gather(words, "runs", is_config) if step.command == "compare" else words)
        assert set(step.needs) <= set(GIVEN) and config is not None


def test_each_table_of_the_page_is_in_the_list_and_each_result_on_the_page() -> None:
    marked = {match[1] for match in MARKED.finditer(TEXT)}
    assert re.findall(r"^\|.*", MARKED.sub("", TEXT), re.M) == []
    assert marked == {name for name, result in RESULTS.items() if result.head or result.output}
    for match in MARKED.finditer(TEXT):
        before = re.findall(r"^## (.*)", TEXT[: match.start()], re.M)
        assert RESULTS[match[1]].section == before[-1]
    for result in RESULTS.values():
        assert result.page == "docs/results.md" or not result.head
        assert result.earlier and f"\n## {result.section}\n" in (ROOT / result.page).read_text(encoding="utf-8"), result.id
        assert result.steps or result.head or result.unavailable


def test_the_page_has_the_figures_of_the_file_beside_it(tmp_path: Path) -> None:
    for name in ("results.md", "results.json"):
        shutil.copy(PAGE.with_name(name), tmp_path / name)
    write(RESULTS, Store(tmp_path / "none", {}), tmp_path / "results.md")
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == TEXT, "python -m benchmarks.results write=true writes it"
    assert load(tmp_path / "results.json") == load(PAGE.with_suffix(".json"))


def outputs(path: Path, right: int) -> None:
    """Recorded answers: gold for one sentence in `right`, no entity for the others."""
    rows = []
    for number, sentence in enumerate(RareMini(labels=NAMES, definitions={}).load().sentences("test")):
        tags = sentence.tags if number % right == 0 else ["O"] * len(sentence.tags)
        text = "\n".join(f"{word} : {tag}" for word, tag in zip(sentence.words, tags, strict=True))
        rows.append(json.dumps({"id": sentence.id, "output": text}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")


def entry(path: Path, **changes: Any) -> dict[str, Any]:
    """A list's entry with two quick runs and their comparison."""
    run = f"run model=replay model.path={path}/{{name}}.jsonl strategy=zero_shot format=bio_lines limit_documents=10"
    figures = {
        "micro": {"file": "scores.json", "key": "micro.f1", "interval": "intervals.f1.micro"},
        "gain": {"file": "comparison.json", "key": "micro.difference", "interval": "micro.interval", "shown": "signed"},
    }
    return {
        "id": "tiny",
        "section": "Speed",
        "earlier": "commit 0000000",
        "steps": [{"name": "{name}", "run": run, "each": {"name": ["bad", "good"]}}, {"name": "both", "run": "compare @bad @good"}],
        "figures": figures,
        "head": "| run | micro F1 | gain |",
        "rows": ["| bad | {bad.micro} | |", "| good | {good.micro} | {both.gain} |", "| by hand | .1 | |"],
        **changes,
    }


def listed(path: Path, *entries: dict[str, Any]) -> Any:
    (path / "list.yaml").write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
    return load_list(path / "list.yaml")


PAGE_BEFORE = """# Page

<!-- results: tiny -->

| run | micro F1 | gain |
|---|---|---|
| bad | .3 | |
| good | .4 | .1 |
| by hand | .1 | |

<!-- /results -->

The end.
"""


@pytest.mark.long
def test_a_result_is_run_once_and_again_if_its_command_changes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store, page = Store(tmp_path / "results", {}), tmp_path / "page.md"
    page.write_text(PAGE_BEFORE, encoding="utf-8")
    results = listed(tmp_path, entry(tmp_path))
    outputs(tmp_path / "good.jsonl", right=1)
    with pytest.raises(RunError, match=r"not finished: tiny/bad, tiny/both\."):
        make(results, ["tiny"], store)
    assert "bad.jsonl" in capfd.readouterr().err
    write(results, store, page)
    half = page.read_text(encoding="utf-8")
    assert "| bad | .3 | |\n| good | 1.0000 | .1 |" in half and "Other figures: commit 0000000." in " ".join(half.split())

    outputs(tmp_path / "bad.jsonl", right=2)
    make(results, ["tiny"], store)
    records = {name: load(store.folder(("tiny", name)) / RECORD) for name in ("bad", "good", "both")}
    make(results, ["tiny"], store)
    assert records == {name: load(store.folder(("tiny", name)) / RECORD) for name in records}
    scores = load(store.folder(("tiny", "bad")) / "scores.json")
    low, high = scores["intervals"]["f1"]["micro"]
    assert records["bad"]["figures"]["scores.json:micro.f1"] == scores["micro"]["f1"]
    assert records["both"]["command"].startswith(f"clinspan compare {tmp_path}/results/tiny/bad ")
    assert records["good"]["machine"]["cores"] == os.cpu_count() and records["good"]["cpu_seconds"] > 0

    write(results, store, page)
    text = page.read_text(encoding="utf-8")
    bounds = f"{low:.3f} - {high:.3f}".replace("0.", ".")
    assert f"| bad | {scores['micro']['f1']:.4f} ({bounds}) | |".replace("| 0.", "| .") in text
    assert re.search(r"\| good \| 1\.0000 \| \+\.\d{4} \(\+\.\d{3} to \+\.\d{3}\) \|\n\| by hand \| \.1 \| \|", text)
    commit = records["bad"]["commits"][0]["commit"][:7]
    assert f"Commit {commit}" in text and "0000000" not in text and text.endswith("The end.\n")
    write(results, Store(tmp_path / "none", {}), page)
    assert page.read_text(encoding="utf-8") == text

    ended = load(store.folder(("tiny", "good")) / RECORD)["ended"]
    reverse = {"name": "both", "run": "compare @good @bad"}
    results = listed(tmp_path, entry(tmp_path, steps=[*entry(tmp_path)["steps"][:1], reverse]))
    make(results, ["tiny"], store)
    assert load(store.folder(("tiny", "both")) / "comparison.json")["micro"]["difference"] < 0
    assert load(store.folder(("tiny", "good")) / RECORD)["ended"] == ended
    kept = [path for path in (tmp_path / "results" / "tiny").iterdir() if path.name.startswith("both.until-")]
    assert load(kept[0] / "comparison.json")["micro"]["difference"] > 0


@pytest.mark.long
def test_a_missing_figure_names_file_and_key(tmp_path: Path) -> None:
    wrong = {"micro": {"file": "scores.json", "key": "micro.f9"}}
    results = listed(tmp_path, entry(tmp_path, figures=wrong, rows=["| bad | {bad.micro} | |"], steps=entry(tmp_path)["steps"][:1]))
    store = Store(tmp_path / "results", {})
    outputs(tmp_path / "bad.jsonl", right=2)
    outputs(tmp_path / "good.jsonl", right=2)
    with pytest.raises(InputError, match=r"micro\.f9") as refused:
        make(results, ["tiny"], store)
    assert refused.value.path is not None and str(refused.value.path).endswith("tiny/bad/scores.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rows": ["| {bad.macro} |"]}, "{bad.macro} names no figure"),
        ({"rows": ["| {worse.micro} |"]}, "uses tiny/worse, which does not exist"),
        ({"output": "worse"}, "uses tiny/worse, which does not exist"),
        ({"speed": 1}, "speed: Extra inputs"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        listed(tmp_path, entry(tmp_path, **changes))


def test_a_command_that_lacks_a_setting_is_named_and_not_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps = [{"name": "one", "run": "run corpus.path={data}"}, {"name": "two", "run": "compare @one @one"}]
    results = listed(tmp_path, entry(tmp_path, steps=steps, figures={}, rows=["| by hand |"]))
    make(results, ["tiny"], Store(tmp_path / "results", {}))
    said = " ".join(capfd.readouterr().out.split())
    assert "missing; needs data=" in said and "not run without data=: tiny/one, tiny/two" in said


def test_times_beside_other_programs_are_bounds_and_replace_none_that_was_measured_alone(tmp_path: Path) -> None:
    figures = {"seconds": {"file": "made", "key": "seconds", "shown": "whole", "timed": "at most"}}
    rows = ["| bad | {bad.seconds} | {bad.seconds} |"]
    results = listed(tmp_path, entry(tmp_path, steps=[{"name": "bad", "run": "run"}], figures=figures, rows=rows))
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- results: tiny -->\n\n| a | b | c |\n|---|---|---|\n| bad | 9 | |\n\n<!-- /results -->\n", encoding="utf-8"
    )
    record = {"words": ["run"], "commits": [{"commit": "abcdefghi", "dirty": True}], "ended": "2026-01-02T03:04:05Z", "uses": {}}
    times = {"seconds": 12.0, "cpu_seconds": 12.0, "others_seconds": 6.0}
    machine = {"cores": 2, "threads": 1, "cpu": "X"}
    folder = Store(tmp_path / "results", {}).folder(("tiny", "bad"))
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(json.dumps({**record, **times, "machine": machine, "status": "finished"}), encoding="utf-8")
    write(results, Store(tmp_path / "results", {}), page)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "| bad | 9 | at most 12 |" in text
    assert "Commit abcdefg with uncommitted changes; 2026-01-02; 1 of 2 cores, X. Times that were measured alone stay" in text


def results_process(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.results", f"results={tmp_path}/list.yaml", f"folder={tmp_path}/results", *words]
    return subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_an_interrupted_run_is_resumed(tmp_path: Path, server: ScriptedServer) -> None:
    run = f"run model=openai model.id=x model.api_base={server.address}/v1 strategy=zero_shot model.concurrency=1 limit=4"
    listed(tmp_path, entry(tmp_path, steps=[{"name": "remote", "run": run}], figures={}, rows=["| by hand |"]))
    gate = threading.Event()
    server.behaviours[3] = held(gate)
    running = results_process(tmp_path, "only=tiny")
    until(lambda: len(server.requests) == 3)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    gate.set()
    assert running.returncode == 143, said
    step = Step(("tiny", "remote"), "run", tuple(run.split()[1:]))
    store = Store(tmp_path / "results", {})
    record = store.record(step)
    assert record is not None and record["status"] == "failed" and store.made(step, {}) is None
    again = results_process(tmp_path, "only=tiny")
    shown, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert "done at" in shown
    assert len(server.requests) == 5  # the third, which was interrupted, and the fourth
    run_record = load(store.folder(step.key) / "run.json")
    assert len(run_record["resumed"]) == 1 and run_record["counts"]["sentences"] == 4


@pytest.mark.parametrize(
    ("word", "says"), [("only=nothing,tiny", "only=nothing is not known"), ("section=None such", "Known: Speed")]
)
def test_an_unknown_result_is_refused(tmp_path: Path, word: str, says: str) -> None:
    listed(tmp_path, entry(tmp_path))
    ended = results_process(tmp_path, word)
    _, said = ended.communicate(timeout=60)
    assert ended.returncode == 2 and says in " ".join(said.split())
