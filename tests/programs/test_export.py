"""The `export` command on a run over notes in brat, with annotations in pieces, a line break in a mention and a formula."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from pathlib import Path

import pytest

from clinspan.corpora.sources import Brat
from conftest import Command, folder_of, load
from support.runs_in_process import run_here

LABELS = ("Disease", "Sign")
TEXT = "+ve culture on Monday, and the patient is known to have a rare\nGaucher disease 🤒 with fever and rash.\n"
MARKS = {
    "Sign": ("+ve", "fever"),
    "Disease": ("rare\nGaucher disease",),
}
PREDICTED = {
    **{"+": "B-Sign", "ve": "I-Sign", "Monday": "B-Sign"},
    **{"Gaucher": "B-Disease", "disease": "I-Disease", "fever": "B-Disease"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a correct mention, one with wrong ends, one of the wrong type, an invented and a missed one in pieces."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text(TEXT, encoding="utf-8", newline="")
    rows = [(label, TEXT.index(words), words) for label, all_words in MARKS.items() for words in all_words]
    lines = [f"T{n}\t{label} {at} {at + len(w)}\t{' '.join(w.split())}\n" for n, (label, at, w) in enumerate(rows, 1)]
    known, rash = TEXT.index("known"), TEXT.index("rash")
    lines.append(f"T9\tSign {known} {known + 5};{rash} {rash + 4}\tknown rash\n")
    (folder / "notes" / "a.ann").write_text("".join(lines), encoding="utf-8")
    answers = []
    for sentence in Brat(path=str(folder / "notes")).load().sentences("test"):
        output = "\n".join(f"{word} : {PREDICTED.get(word, 'O')}" for word in sentence.words)
        answers.append(json.dumps({"id": sentence.id, "output": output}) + "\n")
    (folder / "answers.jsonl").write_text("".join(answers), encoding="utf-8")
    corpus = ["corpus=brat", f"corpus.path={folder / 'notes'}"]
    run_here(folder / "run", *corpus, "model=replay", f"model.path={folder / 'answers.jsonl'}", "strategy=zero_shot")
    return folder / "run"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def exported(command: Command, tmp_path: Path, run: Path) -> Path:
    """The files that the command writes."""
    done = command("export", str(run), "output=out")
    assert folder_of(done) == Path("out")
    first = done.stdout.splitlines()[0]
    for words in ("1 correct", "1 wrong ends", "1 wrong type", "1 invented"):
        assert words in first
    assert "1 annotation in pieces, overlapping or with other ends than tokens" in done.stderr
    return tmp_path / "out"


def test_mentions_have_their_kind_and_the_characters_of_the_text(exported: Path) -> None:
    rows = table(exported / "mentions.csv")
    kinds = {row["text"]: (row["gold_label"], row["predicted_label"], row["kind"]) for row in rows}
    assert kinds["'+ve"] == ("Sign", "Sign", "correct")  # a spreadsheet shall not compute it
    assert kinds["Monday"] == ("", "Sign", "invented")
    assert kinds["fever"] == ("Sign", "Disease", "wrong type")
    assert kinds["rare\nGaucher disease"] == ("Disease", "Disease", "wrong ends")
    for row in rows:
        assert TEXT[int(row["start"]) : int(row["end"])] == row["text"].removeprefix("'")
        if row["predicted_label"]:
            assert TEXT[int(row["predicted_start"]) : int(row["predicted_end"])] == row["predicted_text"].removeprefix("'")
    errors = table(exported / "errors.csv")
    assert [row["kind"] for row in errors] == [row["kind"] for row in rows if row["kind"] != "correct"]
    assert all(row["sentence_text"].removeprefix("'") in TEXT and row["sentence_id"].startswith("a:") for row in errors)


def test_brat_has_both_layers_on_the_text_as_written(exported: Path) -> None:
    brat = exported / "brat"
    assert (brat / "a.txt").read_bytes() == TEXT.encode()
    lines = (brat / "a.ann").read_text(encoding="utf-8").splitlines()
    known, rash = TEXT.index("known"), TEXT.index("rash")
    assert f"Gold_Sign {known} {known + 5};{rash} {rash + 4}\tknown rash" in "".join(lines)
    assert any(line.endswith("\twrong ends") for line in lines)
    document = Brat(path=str(brat)).load().splits["test"][0]
    assert {entity.label for entity in document.entities} == {
        f"{layer}_{label}" for layer in ("Gold", "Predicted") for label in LABELS
    }
    fever = TEXT.index("fever")
    assert {e.label for e in document.entities if e.start == fever} == {"Gold_Sign", "Predicted_Disease"}
    assert "Predicted_Sign\tbgColor:white" in (brat / "visual.conf").read_text()
    assert "Gold_Disease" in (brat / "annotation.conf").read_text()


def test_latex_has_the_scores(exported: Path, run: Path) -> None:
    text = (exported / "scores.tex").read_text()
    scores = load(run / "scores.json")
    assert f"micro & {scores['micro']['precision']:.4f} & " in text
    assert text.count(r"\midrule") == 2


def test_files_are_private(exported: Path) -> None:
    for path in (exported, *exported.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_what_cannot_be_exported_is_refused(command: Command, tmp_path: Path, run: Path) -> None:
    def refused(*words: str) -> str:
        done = command("export", *words)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "Gaucher" not in done.stderr
        return " ".join(done.stderr.split())

    assert "0 runs are given. Give one" in refused("output=out")
    assert "to=word is not known. Use one of mentions_csv, errors_csv, brat, latex" in refused(str(run), "to=word")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    assert "exists and is not an empty folder" in refused(str(run), "output=full")
    assert "lies in the folder of the run" in refused(str(run), f"output={run / 'out'}")
    shutil.copytree(run, tmp_path / "copy")
    predictions = tmp_path / "copy" / "predictions.jsonl"
    rows = [json.loads(line) for line in predictions.read_text().splitlines()]
    predictions.write_text("".join(json.dumps({**row, "pred": ["O"] * len(row["pred"])}) + "\n" for row in rows))
    assert "gives other counts than scores.json has" in refused("copy", "output=out")
    record = load(run / "run.json")
    (tmp_path / "copy" / "run.json").write_text(json.dumps(record | {"corpus": record["corpus"] | {"sha256": "0" * 64}}))
    predictions.write_bytes((run / "predictions.jsonl").read_bytes())
    assert "has changed since this run. Give the corpus as it was" in refused("copy", "output=out")
    assert not (tmp_path / "out").exists()
