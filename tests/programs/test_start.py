"""The commands `start`, `check`, `init` and `doctor` on folders as a new user has them."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import yaml

from clinspan.corpora.verdict import Verdict
from clinspan.programs.app import corpus_verdicts
from clinspan.programs.config.composition import compose
from clinspan.programs.config.project_file import read_project
from clinspan.reports.terminal.verdict_lines import print_verdicts
from conftest import Command, folder_of, load, SHARED

TEXT = "Visit {n}. The patient complained of pain. A rash was seen on the back."
RECORDED = ["model=replay", "model.path=outputs.jsonl"]


def notes(folder: Path, number: int, *, same: bool = False) -> Path:
    """A flat brat folder with two labels; with `same`, all texts are equal."""
    folder.mkdir(parents=True)
    for n in range(number):
        text = TEXT.format(n=10 if same else 10 + n)
        (folder / f"n{n}.txt").write_text(text, encoding="utf-8")
        rows = [("Symptom", text.index("pain"), "pain"), ("Sign", text.index("rash"), "rash")]
        lines = [f"T{i}\t{label} {at} {at + len(word)}\t{word}\n" for i, (label, at, word) in enumerate(rows)]
        (folder / f"n{n}.ann").write_text("".join(lines), encoding="utf-8")
    return folder


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert all(word in done.stderr.splitlines()[-1] for word in words), done.stderr


def commands_of(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The commands that `start` printed, as words."""
    assert done.returncode == 0, done.stderr
    return [
        line.split(" #")[0].partition(" -m programs.")[2].split() for line in done.stdout.splitlines() if " -m programs." in line
    ]


@pytest.mark.parametrize(
    ("number", "setting"), [(60, ("corpus.split", [0.6, 0.2, 0.2])), (7, ("corpus.folds", 5)), (3, ("corpus.folds", 3))]
)
def test_a_flat_folder_is_divided_and_its_commands_compose(
    command: Command, tmp_path: Path, number: int, setting: tuple[str, object]
) -> None:
    notes(tmp_path / "notes", number)
    done = command("start", "notes")
    assert f"notes (brat): {number} documents, " in done.stdout and f"labels: Symptom {number}, Sign {number}" in done.stdout
    found = {one.key: one.value for one in read_project(tmp_path / "clinspan.yaml")}
    assert (found["corpus"], found["corpus.path"], found[setting[0]]) == ("brat", "notes", setting[1])
    check, run, tuned = commands_of(done)
    assert check == ["check"] and run[0] == "run" and tuned[:2] == ["finetune", "tuning=encoder"]
    for name, *words in (run, tuned):
        shown = command(name, *words, "--cfg", "job")
        assert shown.returncode == 0 and yaml.safe_load(shown.stdout)["corpus"][setting[0].partition(".")[2]] == setting[1]
    assert command(*check).returncode == 0


def test_the_run_that_start_names_runs(command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "notes", 7)
    _, run, _ = commands_of(command("start", "notes"))
    ids = [f"n{n}:{s}" for n in range(7) for s in range(3)]
    (tmp_path / "outputs.jsonl").write_text("".join(json.dumps({"id": i, "output": "x : O"}) + "\n" for i in ids), encoding="utf-8")
    done = command(*run, *RECORDED)
    assert load(tmp_path / folder_of(done) / "run.json")["status"] == "finished"


def test_a_project_file_is_not_replaced_unless_forced(command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "notes", 3)
    (tmp_path / "clinspan.yaml").write_text("seed: 1\n", encoding="utf-8")
    refused(command("start", "notes"), "clinspan.yaml: exists", "force=true")
    assert (tmp_path / "clinspan.yaml").read_text(encoding="utf-8") == "seed: 1\n"
    done = command("start", "notes", "force=true", "corpus.map={Symptom: Sign}")
    assert done.returncode == 0, done.stderr
    found = {one.key: one.value for one in read_project(tmp_path / "clinspan.yaml")}
    assert found["corpus.map"] == {"Symptom": "Sign"} and "labels: Sign 6" in done.stdout


def test_what_is_no_corpus_is_refused_with_the_way_to_name_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Only a text.", encoding="utf-8")
    refused(command("start", "texts"), "texts: has no format", "-m programs.start texts corpus=brat|conll")
    refused(command("start", "nowhere"), "nowhere: there is no such file or folder")
    refused(command("start", "."), "current folder")
    refused(command("start", "a", "b"), "Give one folder")
    assert not (tmp_path / "clinspan.yaml").exists()


def test_one_document_is_set_up_without_demonstrations(command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "notes", 1)
    done = command("start", "notes")
    found = {one.key: one.value for one in read_project(tmp_path / "clinspan.yaml")}
    assert found["strategy"] == "zero_shot" and not {"corpus.split", "corpus.folds"} & found.keys()
    assert commands_of(done)[-1] == ["report", "latest"]


def test_check_ends_with_1_if_a_test_document_is_learnt(command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "notes" / "train", 3)
    notes(tmp_path / "notes" / "test", 1, same=True)
    words = ["corpus=brat", "corpus.path=notes"]
    done = command("check", *words)
    assert done.returncode == 1 and "✘ 1 test document also in train (n0)" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1].endswith("1 error")
    found = json.loads(command("check", *words, "--json").stdout)["verdicts"]
    assert next(one for one in found if one["check"] == "shared_documents")["number"] == 1
    refused(command("check", "corpus=brat", "corpus.path=nowhere"), "nowhere: there is no such folder")


def test_a_run_says_the_worst_first_and_goes_on(command: Command, tmp_path: Path) -> None:
    notes(tmp_path / "notes" / "train", 3)
    notes(tmp_path / "notes" / "test", 2, same=True)
    (tmp_path / "outputs.jsonl").write_text('{"output": "x : O"}\n' * 6, encoding="utf-8")
    done = command("run", "corpus=brat", "corpus.path=notes", *RECORDED, "strategy=zero_shot")
    assert folder_of(done)
    shown = [line for line in done.stderr.splitlines() if line.startswith(("clinspan: ✘", "clinspan: ⚠"))]
    assert shown[0].startswith("clinspan: ✘ 1 test document also in train") and len(shown) <= 3


def test_each_corpus_is_warned_about_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    notes(tmp_path / "once" / "train", 1)
    notes(tmp_path / "once" / "test", 1)
    config, _, _ = compose("check", ["corpus=brat", f"corpus.path={tmp_path / 'once'}"])
    corpus, _ = corpus_verdicts.checked_corpus(config)
    corpus_verdicts.warn(corpus)
    assert "✘ 1 test document" in capsys.readouterr().err
    corpus_verdicts.warn(corpus)
    assert not capsys.readouterr().err


@pytest.mark.long
def test_the_files_of_init_run_as_they_are(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes(tmp_path / "notes", 60)
    assert command("start", "notes", "corpus.map={Symptom: Sign}").returncode == 0
    done = command("init")
    assert done.returncode == 0, done.stderr
    config = tmp_path / "configs" / "experiment" / "mine.yaml"
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert content["corpus"] == {"path": "notes", "map": {"Symptom": "Sign"}, "split": [0.6, 0.2, 0.2]}
    assert content["limit_documents"] == 10 and set(content) == {"defaults", "limit_documents", "corpus"}
    shown = config.read_text(encoding="utf-8")
    assert "#   k: 5 # number of demonstrations" in shown and "# seed: 3 # " in shown
    words = ["--config-dir", "configs", "experiment=mine", "project=null", "--cfg", "job"]
    composed = yaml.safe_load(command("run", *words).stdout)
    assert composed["corpus"]["path"] == "notes" and composed["limit_documents"] == 10 and composed["strategy"]["k"] == 5
    refused(command("init"), "mine.yaml: exists", "output=FILE")
    refused(command("init", "output=configs/experiment/other.yaml"), "first_run.py: exists", "script=FILE")
    refused(command("init", "output=mine.yaml"), "output=DIR/experiment/NAME.yaml")
    compile((tmp_path / "first_run.py").read_text(encoding="utf-8"), "first_run.py", "exec")


@pytest.mark.weights
@pytest.mark.long
def test_the_script_of_init_scores(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smollm2: object) -> None:
    notes(tmp_path / "notes", 60)
    assert command("start", "notes").returncode == 0 and command("init").returncode == 0
    monkeypatch.chdir(tmp_path)
    assert runpy.run_path("first_run.py")["predicted"]


def test_doctor_names_what_a_job_lacks(command: Command, tmp_path: Path) -> None:
    done = command("doctor", "model=azure")
    assert done.returncode == 1 and done.stdout.startswith("✘ model=azure needs AZURE_OPENAI_ENDPOINT")
    env = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}
    keyless = command("doctor", "model=azure", "model.deployment=d", env=env)
    assert keyless.returncode == 1 and "✘ AZURE_OPENAI_API_KEY is not set" in keyless.stdout
    assert command("doctor", "model=azure", "model.deployment=d", env=env | {"AZURE_OPENAI_API_KEY": "k"}).returncode == 0
    absent = command("doctor", "model=hf", "model.hub_id=no/such", "corpus=brat", "corpus.path=nowhere", "--json")
    found = {one["check"]: one["level"] for one in json.loads(absent.stdout)["verdicts"]}
    assert absent.returncode == 1 and found["weights"] == found["corpus"] == "error" and found["device"] == "ok"


def test_the_format_of_a_public_corpus_is_recognised(command: Command) -> None:
    if not (SHARED / "ncbi-disease").is_dir():
        pytest.skip("the NCBI Disease corpus is not beside this checkout")
    done = command("start", str(SHARED / "ncbi-disease"))
    assert "ncbi-disease (conll)" in done.stdout and "labels: Disease 6,881" in done.stdout
    assert "✘" not in done.stdout and "corpus.split" not in done.stdout


def test_marks_are_ascii_where_the_terminal_needs_it() -> None:
    stream = TextIOWrapper(BytesIO(), encoding="latin-1")
    print_verdicts([Verdict("a", "error", 1, "bad", "Mend it"), Verdict("b", "ok", 0, "fine")], stream)
    stream.seek(0)
    assert stream.read() == "x bad. Mend it\nok fine\n1 check passed, 0 warnings, 1 error\n"
    print_verdicts([], sys.stdout)
