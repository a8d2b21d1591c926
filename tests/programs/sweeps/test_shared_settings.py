"""What is checked once before a sweep, and what `experiment=cell` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.conf import CONF
from clinspan.programs.config.composition import compose
from clinspan.programs.sweeps.shared_settings import preset_words
from conftest import Command, load
from support.tiny_models import random_llama


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment=table3"], "corpus=raredis needs corpus.path. Add corpus.path=FOLDER."),
        (["experiment=table3", "corpus.path=none"], "none: there is no such file or folder."),
        (
            ["experiment=table3", "corpus.path=."],
            "strategy=rag retrieves passages, and no knowledge base is named. Set retriever.knowledge=FOLDER (your .txt and .md "
            "files). strategy=zero_shot,few_shot leaves these jobs out.",
        ),
        (["experiment=table3", "corpus.path=.", "retriever.knowledge=none"], "none: there is no such folder."),
        (["corpus=brat", "corpus.path=.", "strategy=rag", "seed=1,2"], "strategy=rag retrieves passages"),
    ],
)
def test_what_all_jobs_lack_is_said_once_before_the_first(command: Command, tmp_path: Path, words: list[str], message: str) -> None:
    done = command("run", "-m", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_what_differs_between_jobs_is_left_to_them(command: Command) -> None:
    done = command("run", "-m", "corpus=conll", "corpus.path=a.conll,b.conll")
    assert done.returncode == 2
    assert [line.split(":")[1] for line in done.stderr.splitlines()[:2]] == [" a.conll", " b.conll"]


CELL = ["model=medtuned", "strategy=rag", "corpus.path=DIR", "retriever.knowledge=ARTICLES"]


def test_a_cell_is_the_command_line_that_it_prints(command: Command) -> None:
    words = preset_words(CONF / "experiment" / "cell.yaml")
    assert words == ["corpus=raredis", "retriever=bge_large", "alignment=positional", "constrained=false"]
    by_preset, chosen, _ = compose("run", ["experiment=cell", *CELL])
    written, _, _ = compose("run", [*CELL, *words])
    assert by_preset == written
    assert (chosen["corpus"], chosen["format"]) == ("raredis", "bio_lines")
    done = command("run", "experiment=cell", *CELL)
    line = f"clinspan: experiment=cell is: python -m programs.run {' '.join([*CELL, *words])}\n"
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert "DIR" in done.stderr.removeprefix(line)


def test_overrides_of_a_cell_are_kept_and_a_cell_that_the_paper_lacks_is_named(command: Command) -> None:
    done = command("run", "experiment=cell", "corpus=brat", "strategy=knn")
    assert done.stderr.splitlines()[:2] == [
        "clinspan: experiment=cell is: python -m programs.run corpus=brat strategy=knn retriever=bge_large alignment=positional "
        "constrained=false",
        "clinspan: model=smollm2 strategy=knn is not a cell of the paper",
    ]
    swept = command("run", "-m", "experiment=cell", "model=gpt4,medtuned", "strategy=zero_shot")
    assert swept.stderr == "clinspan: corpus=raredis needs corpus.path. Add corpus.path=FOLDER.\n"


def test_a_run_is_not_resumed_with_other_weights(command: Command, tmp_path: Path) -> None:
    folder = random_llama(tmp_path / "tiny")
    words = ["model=hf", f"model.path={folder}", "format=inline", "strategy=zero_shot", "limit=1", "hydra.run.dir=out"]
    done = command("run", *words)
    assert done.returncode == 0, done.stderr
    model = load(tmp_path / "out" / "run.json")["model"]
    assert (model["dtype"], model["devices"], model["engine"]) == ("float32", ["cpu"], "packed")
    (folder / "note.txt").write_text("another commit", encoding="utf-8")
    for _ in range(2):  # a refused run keeps what it began with
        again = command("run", "resume=out")
        assert again.returncode == 2
        assert f"the run began with revision {model['revision']} of tiny, now folder:" in again.stderr
    (folder / "note.txt").unlink()
    assert command("run", "resume=out").returncode == 0
