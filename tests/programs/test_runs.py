"""Tests of the `runs` command: the list, its filters, names, deletion, and the words that stand for runs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs import runs
from clinspan.programs.compare import load_all, run_paths
from clinspan.programs.report import find_all_jobs
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.locks import one_writer
from clinspan.programs.rundir.run_deletion import delete_runs, runs_to_delete
from clinspan.programs.rundir.run_list import list_runs, RunEntry
from clinspan.programs.rundir.run_names import check_labels, find_folders, find_run
from clinspan.reports.settings import settings_of
from clinspan.reports.terminal.run_table import run_table, WIDTH
from conftest import Command, folder_of, load, ROOT
from support.scripted_models import NAMES

DAY = "2026-01-31_10-00-0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty `runs/`, which is the working directory."""
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(n: int, *, command: str = "run", status: str = "finished", f1: float | None = 0.5, job: str = "", **config: Any) -> Path:
    """Write the folder of a run that started in second n."""
    path = Path("runs", command, f"{DAY}{n}-000001", job)
    path.mkdir(parents=True)
    own = {"split": "test", "metric": {"mode": "conlleval"}, "name": None, "tags": [], **config}
    record = {
        "status": status,
        "started": f"2026-01-31T10:00:0{n}Z",
        "choices": {"model": "smollm2", "strategy": "knn", "format": "entities"},
        "corpus": {"name": "raremini", "split": "test"},
        "config": own,
    }
    (path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    if status == "finished" and f1 is not None:
        scores = {"signature": "s", "sentences": 40, "micro": {"f1": f1}, "macro": {"f1": f1}}
        (path / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return path


def states() -> dict[str, str]:
    return {str(run.path): run.state for run in list_runs(Path("runs"))}


def test_the_list_has_every_run_newest_last_with_what_its_files_record(home: Path) -> None:
    made(3, f1=0.25, name="base", tags=["a", "b"])
    made(1, command="optimize", optimizer={})
    made(2, job="0")
    made(2, job="10", status="failed")
    made(2, job="9", status="started")
    rows = list_runs(Path("runs"))
    assert [row.date[-1:] if "/" not in row.date else row.date[-4:] for row in rows] == ["1", "02/0", "02/9", "2/10", "3"]
    assert [row.state for row in rows] == ["finished", "finished", "started", "failed", "finished"]
    assert rows[0].command == "optimize"
    last = rows[-1]
    assert (last.name, last.tags, last.sentences, last.micro_f1) == ("base", ("a", "b"), 40, 0.25)
    assert (last.corpus, last.split, last.model, last.strategy, last.format) == ("raremini", "test", "smollm2", "knn", "entities")
    assert [row.path for row in list_runs(Path("runs/run"))] == [row.path for row in rows if row.command == "run"]
    made(4).rename("runs/one")
    lines = run_table(rows)
    assert run_table(list_runs(Path("runs")))[-1].startswith("2026-01-31 ")
    assert list_runs(Path("runs"))[-1].called == "one" and find_run("one") == Path("runs/one")
    assert lines[0].split() == "date name command corpus split model strategy format n F1 tags state".split()
    assert lines[-1].split() == f"{DAY}3 base run raremini test smollm2 knn entities 40 0.2500 a,b finished".split()


@pytest.mark.parametrize(
    "content", ["{", "", "[]", "null", "7", '{"status": "green"}', "{}", "[" * 100_000, "\x00\xff", '"\\ud800"']
)
def test_a_damaged_or_foreign_record_is_a_row(home: Path, content: str) -> None:
    path = made(1)
    (path / "run.json").write_bytes(content.encode("latin-1"))
    made(2)
    assert list(states().values()) == ["unreadable", "finished"]
    assert len(run_table(list_runs(Path("runs")))) == 3


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[]], {"name": {}}, True, float("nan")])
def test_values_of_other_types_break_no_row(home: Path, value: object) -> None:
    for n, key in enumerate(("choices", "config", "corpus", "model", "counts", "started", "sentences", "input")):
        path = made(n)
        record = load(path / "run.json")
        (path / "run.json").write_text(json.dumps({**record, key: value}), encoding="utf-8")
    (made(8) / "scores.json").write_text(json.dumps({"micro": value}), encoding="utf-8")
    (made(9, name=value, tags=value) / "scores.json").write_text(json.dumps(value), encoding="utf-8")
    rows = list_runs(Path("runs"))
    assert len(rows) == 10 and all(row.state == "finished" for row in rows)
    assert len(run_table(rows)) == 11
    for row in rows:
        json.dumps(runs.as_json(row), allow_nan=False)


def test_folders_without_a_record_and_folders_that_are_no_runs(home: Path) -> None:
    for folder in (
        f"run/{DAY}1-1",
        f"run/{DAY}2-1/0",
        f"stats/{DAY}3-1",
        "mlflow/artifacts/1",
        "run/.hidden",
        "notes",
        f"run/{DAY}5-1",
    ):
        Path("runs", folder).mkdir(parents=True)
    Path("runs/run", f"{DAY}5-1", "run.log").touch()
    Path("runs/stats", f"{DAY}3-1", "stats.json").touch()
    Path("runs/mlflow/mlflow.db").touch()
    for folder in ("mlflow/artifacts/1", "run/.hidden"):
        Path("runs", folder, "run.json").touch()
    Path("runs/run/2026-01-31_10-00-09-1").symlink_to(made(4))
    assert states() == {
        f"runs/run/{DAY}1-1": "no record",
        f"runs/run/{DAY}2-1/0": "no record",
        f"runs/run/{DAY}4-000001": "finished",
        f"runs/run/{DAY}5-1": "no record",
    }


def test_a_run_that_is_being_written_is_running(home: Path) -> None:
    path = made(1, status="started")
    (path / ".lock").touch()  # left behind by a killed process
    assert list(states().values()) == ["started"]
    with one_writer(path):
        assert list(states().values()) == ["running"]


def test_a_line_is_short_and_escaped(home: Path) -> None:
    made(1, name="n" * 200, tags=["t" * 50] * 9)
    odd = made(2, name="a\n\x1b[31m\tb\u202e", tags=["[bold]"])
    record = load(odd / "run.json")
    record["choices"] = dict.fromkeys(("model", "strategy", "format"), "病" * 90)
    record["corpus"]["name"] = record["corpus"]["split"] = "c" * 300
    (odd / "run.json").write_text(json.dumps(record), encoding="utf-8")
    first, second = run_table(list_runs(Path("runs")))[1:]
    assert len(first) <= WIDTH and len(second) <= WIDTH
    assert not any(mark in first + second for mark in "\n\t\x1b\u202e")
    assert "…" in first and first.startswith(f"{DAY}1 ")


def test_filters_and_the_last_ones(home: Path) -> None:
    made(1, tags=["x", "y"])
    made(2, status="failed", name="base")
    made(3, command="optimize", optimizer={}, tags=["y"])

    def kept(*where: str, last: int | None = None) -> list[str]:
        return [run.date[-1] for run in runs.selected(list_runs(Path("runs")), where, last)]

    assert kept() == kept("corpus=raremini") == kept("model=smol*", "format=entities") == ["1", "2", "3"]
    assert kept(last=2) == ["2", "3"]
    assert kept("tag=y", last=1) == ["3"]
    assert kept("tag=y") == kept("state=finished") == ["1", "3"]
    assert kept("tag=y", "tag=x") == ["1"]
    assert kept("state=failed") == kept("name=base") == ["2"]
    assert kept("command=optimize", "split=dev") == []
    for wrong in ("modle=x", "model"):
        with pytest.raises(InputError, match=f"'{wrong}' is not a filter. Write where=.*corpus, split, model"):
            kept(wrong)


def test_a_name_is_written_and_all_else_stays(home: Path) -> None:
    path = made(1, kept={"a": [0.1, "ä"]})
    before = load(path / "run.json")
    assert runs.rename(find_run(f"{DAY}1"), "base") == path
    before["config"]["name"] = "base"
    assert load(path / "run.json") == before
    assert sorted(one.name for one in path.iterdir()) == ["run.json", "scores.json"]
    assert find_run("base") == path
    assert find_folders("base") == [path]
    with pytest.raises(InputError, match="'a b' is not a word"):
        runs.rename(path, "a b")
    with pytest.raises(InputError, match="holds no run.json"):
        runs.rename(find_run("nowhere"), "x")
    with one_writer(path), pytest.raises(RunError, match="is writing into"):
        runs.rename(path, "x")
    (path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="run.json: is not the record of a run"):
        runs.rename(path, "x")
    assert (path / "run.json").read_text() == "{"


@pytest.mark.parametrize("word", ["latest", "previous", "failed", "a/b", "", "*", "a=b", "-x", ".", "a\nb"])
def test_names_that_could_not_be_found_again_are_refused(word: str) -> None:
    with pytest.raises(InputError):
        check_labels(word, [])


def test_names_and_tags_are_words() -> None:
    check_labels("krankheit-ä_1.2", ["a", 7])
    check_labels(20, [])
    with pytest.raises(InputError, match="tags: 'a b' is not a word"):
        check_labels(None, ["a b"])


def test_words_that_stand_for_runs(home: Path) -> None:
    first, second = made(1, name="base"), made(2, command="optimize", optimizer={}, name="twice")
    third = made(3, name="twice")
    made(4, status="failed")
    made(5, f1=None)  # finished without scores, as a training
    assert find_folders("latest") == [third]
    assert find_folders("previous") == [second]
    assert find_folders("base") == find_folders(f"{DAY}1") == find_folders(f"{DAY}1-000001") == [first]
    assert find_folders("twice") == [second, third]
    assert find_folders(f"runs/run/{DAY}*") == sorted(Path("runs/run").iterdir())
    assert find_folders(str(home / "runs" / "o*" / "*")) == [home / second]
    assert find_folders("nowhere") == [Path("nowhere")]
    with pytest.raises(InputError, match=f"twice means 2 runs. Give one of the folders: {second}, {third}"):
        find_run("twice")
    with pytest.raises(InputError, match="matches no folder"):
        find_folders("runs/none*")
    Path("latest").mkdir()
    assert find_folders("latest") == [Path("latest")]


def test_too_few_runs_are_named(home: Path) -> None:
    made(1)
    with pytest.raises(InputError, match="there is no previous run: 1 finished runs with scores below runs"):
        find_folders("previous")


def test_a_report_takes_parents_patterns_and_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = made(1, name="base"), made(2, status="failed", f1=None), made(3, job="0")
    made(4, command="finetune", tuning={}, f1=None)
    (Path("runs/run") / f"{DAY}6-1").mkdir()
    (Path("runs") / "README.md").touch()
    assert find_all_jobs(["runs/run"]) == find_all_jobs(["runs"]) == [first, second, third]
    assert find_all_jobs(["base", "latest", f"{DAY}1"]) == [first, third]
    assert find_all_jobs(["runs/run/*"]) == [first, second, third]
    assert f"left out: runs/run/{DAY}6-1: holds no finished run" in capsys.readouterr().err
    assert find_all_jobs(["runs/README.md", "base"]) == [first]
    with pytest.raises(InputError, match="is not a folder"):
        find_all_jobs(["base", "nowhere"])
    with pytest.raises(InputError, match="holds no finished run, at any depth"):
        find_all_jobs([f"runs/run/{DAY}6-1"])


def test_a_comparison_takes_the_scored_runs_of_a_folder(home: Path) -> None:
    first, second = made(1), made(2)
    failed = made(3, status="failed")
    assert run_paths("runs/run") == [first, second]
    assert run_paths(str(failed)) == [failed]
    assert run_paths("nowhere") == [Path("nowhere")]
    for words in ([], ["strategy=knn"]):
        with pytest.raises(InputError, match="fewer than two runs"):
            load_all(words)


def test_names_and_tags_are_no_settings_of_a_leaderboard() -> None:
    assert settings_of({"config": {"name": "x", "tags": ["y"], "limit": 3}}) == {"limit": 3}


def test_a_run_and_a_sweep_are_deleted(home: Path) -> None:
    run, kept = made(1), made(2)
    jobs = [made(3, job=str(n)) for n in range(2)]
    sweep = jobs[0].parent
    (sweep / "multirun.yaml").touch()
    for path in (run, sweep):
        delete_runs(runs_to_delete(path, Path("runs")))
    assert states() == {str(kept): "finished"}
    assert not run.exists() and not sweep.exists() and kept.parent.is_dir()


def test_only_runs_below_the_folder_are_deleted(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "run.json").write_text('{"status": "failed"}', encoding="utf-8")
    link = Path("runs/run/link")
    made(1)
    link.symlink_to(outside)
    way = Path("runs/way")
    way.symlink_to(outside.parent)
    foreign = Path("runs/foreign")
    foreign.mkdir()
    (foreign / "run.json").write_text('{"scripts": {}}', encoding="utf-8")
    notes = Path("runs/notes")
    notes.mkdir()
    (notes / "a.txt").touch()
    for path in (link, way / outside.name, outside, Path("runs"), Path(), foreign, notes, Path("nowhere"), Path("runs/run")):
        with pytest.raises(InputError):
            delete_runs(runs_to_delete(path, Path("runs")))
    assert (outside / "run.json").exists() and (foreign / "run.json").exists() and (notes / "a.txt").exists()
    assert len(states()) == 2


def test_links_inside_a_run_are_not_followed(home: Path) -> None:
    path = made(1)
    Path("valuable").mkdir()
    Path("valuable/file").touch()
    (path / "model").symlink_to(home / "valuable")
    delete_runs(runs_to_delete(path, Path("runs")))
    assert not path.exists() and Path("valuable/file").exists()


def test_a_run_that_is_being_written_is_not_deleted(home: Path) -> None:
    path = made(1, status="started")
    with one_writer(path), pytest.raises(InputError, match="is being written"):
        runs_to_delete(path, Path("runs"))
    entries = runs_to_delete(path, Path("runs"))
    with one_writer(path), pytest.raises(RunError, match="is writing into"):
        delete_runs(entries)
    assert path.exists()


def test_folders_of_refused_commands_are_deleted(home: Path) -> None:
    empty, logged = Path("runs/run", f"{DAY}1-1"), Path("runs/run", f"{DAY}2-1")
    empty.mkdir(parents=True)
    logged.mkdir()
    (logged / "run.log").write_text("2026-01-31 10:00:02,100 INFO stopped: InputError\n", encoding="utf-8")
    for path in (empty, logged):
        delete_runs(runs_to_delete(path, Path("runs")))
    assert not states()
    logged.mkdir()
    (logged / "run.log").write_text("a log of another program\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds neither run.json nor run.log of a run"):
        runs_to_delete(logged, Path("runs"))


def test_the_command_lists_names_and_deletes(command: Command, home: Path) -> None:
    first, second = made(1, status="failed", tags=["x"]), made(2)
    listed = command("runs", "where=[corpus=raremini,tag=x]", "last=3")
    assert listed.returncode == 0 and f"{DAY}1 " in listed.stdout and f"{DAY}2 " not in listed.stdout
    (row,) = json.loads(command("runs", "--json", "last=1").stdout)["runs"]
    assert (row["folder"], row["state"], row["micro_f1"], row["name"]) == (str(second), "finished", 0.5, None)
    assert command("runs", f"rename={second}", "to=base").stdout == f"{second}\n"
    assert load(second / "run.json")["config"]["name"] == "base"
    refused = command("runs", "delete=failed")
    assert refused.returncode == 2 and first.exists()
    assert f"{first}  failed" in refused.stderr and "nothing was deleted, because there is no terminal" in refused.stderr
    done = command("runs", "delete=failed", "yes=true")
    assert done.returncode == 0 and "deleted 1 folder" in done.stdout
    assert states() == {str(second): "finished"}
    assert command("runs", "delete=failed", "yes=true").stdout == "no runs to delete\n"
    assert sorted(path.name for path in home.iterdir()) == ["runs"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["folder=nowhere"], "nowhere: is not a folder"),
        (["rename=x"], "rename is given without to. Add to=NAME"),
        (["to=x"], "to is given without rename"),
        (["rename=x", "to=y", "delete=z"], "rename and delete are both given"),
        (["delete=x", "last=1"], "where and last select runs of the list"),
        (["delete=failed", "--json"], "--json is for the list"),
        (["delete=nowhere", "yes=true"], "nowhere: is not a folder"),
        (["last=0"], "last=0 is not a whole number of at least 1"),
        (["where=[modle=x]"], "'modle=x' is not a filter"),
    ],
)
def test_wrong_words_are_refused(command: Command, home: Path, words: list[str], message: str) -> None:
    done = command("runs", *words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_terminal_is_asked(home: Path, answer: str, gone: bool) -> None:
    path = made(1, status="failed")
    terminal, other = pty.openpty()
    try:
        os.write(terminal, answer.encode())
        code = "from pathlib import Path; from clinspan.programs.runs import delete; "
        code += "from clinspan.programs.rundir.run_list import list_runs; delete(list_runs(Path('runs')), yes=False)"
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, stdin=other, capture_output=True, text=True, env=env, timeout=300, check=True)
    finally:
        os.close(terminal)
        os.close(other)
    assert "Delete 1 folder? [y/N]" in done.stderr
    assert path.exists() is not gone
    assert ("deleted 1 folder" if gone else "nothing was deleted") in done.stdout


def replayed(home: Path, command: Command, *words: str) -> Any:
    sentences = list(RareMini(labels=NAMES, definitions={}).load().sentences("test"))[:3]
    answers = [{"id": one.id, "output": "\n".join(f"{word} : O" for word in one.words)} for one in sentences]
    (home / "out.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    common = ["model=replay", "model.path=out.jsonl", "limit=3", "strategy=zero_shot", "format=bio_lines"]
    return command("run", *common, *words)


@pytest.mark.long
def test_runs_are_named_compared_and_resumed_by_their_own_words(command: Command, home: Path) -> None:
    first = folder_of(replayed(home, command, "name=base", "tags=[a,7]"))
    second = folder_of(replayed(home, command, "label_wording=upper"))
    assert (load(first / "run.json")["config"]["name"], load(first / "run.json")["config"]["tags"]) == ("base", ["a", 7])
    (row,) = [run for run in list_runs(Path("runs")) if run.name]
    assert row.tags == ("a", "7") and row.scored
    board = folder_of(command("report", "runs/run"))
    assert len(load(board / "leaderboard.json")["rows"]) == 2
    compared = load(folder_of(command("compare", "base", "latest", "samples=10")) / "comparison.json")
    assert [Path(run["path"]).name for run in compared["runs"]] == [first.name, second.name]
    assert folder_of(command("run", f"resume={first}", "name=base")) == first
    refused = command("run", f"resume={first}", "name=other")
    assert refused.returncode == 2 and "the run began with name=base" in refused.stderr
    assert len(list(Path("runs/run").iterdir())) == 2  # a resumed run leaves no folder of its own


def test_a_renamed_job_of_a_sweep_is_not_run_again(command: Command, home: Path) -> None:
    sweep = ["-m", "errors.mentions=1,2", "hydra.sweep.dir=runs/run/sweep"]
    assert replayed(home, command, *sweep, "name=first").returncode == 0
    before = {path: (path / "predictions.jsonl").stat().st_mtime_ns for path in Path("runs/run/sweep").iterdir() if path.is_dir()}
    runs.rename(Path("runs/run/sweep/1"), "second")
    again = replayed(home, command, *sweep, "name=first")
    assert again.returncode == 0, again.stderr
    assert before == {path: (path / "predictions.jsonl").stat().st_mtime_ns for path in before}
    assert sorted(run.name for run in list_runs(Path("runs"))) == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run", ["split=nowhere"]),
        ("run", ["name=latest"]),
        ("run", ["tags=[a b]"]),
        ("run", ["corpus=brat", "corpus.path=nowhere"]),
        ("run", ["resume=nowhere"]),
        ("optimize", ["model=azure", "model.deployment=x", "model.batch=true"]),
        ("finetune", ["model=openai"]),
        ("report", ["nowhere"]),
        ("compare", ["nowhere", "nowhere"]),
        ("stats", ["corpus=brat", "corpus.path=nowhere"]),
    ],
)
def test_a_command_that_is_refused_leaves_no_folder(command: Command, home: Path, name: str, words: list[str]) -> None:
    done = command(name, *words)
    assert done.returncode == 2, done.stderr
    assert [path for path in (home / "runs").rglob("*") if path != home / "runs" / name] == []


def test_what_was_there_before_stays(command: Command, home: Path) -> None:
    (home / "own").mkdir()
    assert command("run", "split=nowhere", "hydra.run.dir=own").returncode == 2
    assert (home / "own").is_dir()
    assert command("run", "split=nowhere", "hydra.run.dir=.").returncode == 2
    assert home.is_dir()


def test_the_json_form_of_a_run() -> None:
    entry = RunEntry(Path("runs/run/x"), "2026-01-31T10:00:00Z", "failed", tags=("a",))
    assert runs.as_json(entry)["tags"] == ["a"] and runs.as_json(entry)["model"] is None
