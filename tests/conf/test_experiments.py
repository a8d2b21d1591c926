"""The presets of the paper's tables: their cells, the overrides of a user, and the summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from clinspan.conf import CONF
from clinspan.reports.paper.published import FINE_TUNED, TABLES
from conftest import Command, load
from hydra_plugins.clinspan_cells_sweeper.cells_sweeper import CellsSweeper
from support.scripted_server import ScriptedServer

TRIAL = ["corpus=raremini", "limit=2"]


def basic_sweeper() -> Any:
    """Hydra's default sweeper."""
    (found,) = {sweeper for sweeper in Plugins.instance().discover(Sweeper) if sweeper.__name__ == "BasicSweeper"}
    return found


def jobs(preset: str, *words: str) -> list[dict[str, str]]:
    """The overrides of each job that Hydra would launch."""
    Plugins.instance().register(CellsSweeper)
    given = [f"experiment={preset}", *words]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("run", overrides=[f"experiment={preset}"], return_hydra_config=True).hydra.sweeper
    parser = OverridesParser.create()
    if "cells" in config:
        job_words = CellsSweeper(cells=config.cells, max_batch_size=None).jobs(parser.parse_overrides(given))
    else:
        params = [f"{key}={value}" for key, value in config.params.items()]
        (job_words,) = basic_sweeper().split_arguments(parser.parse_overrides([*params, *given]), None)
    return [dict(word.partition("=")[::2] for word in job) for job in job_words]


def cell(job: dict[str, str]) -> tuple[str, str]:
    tuned = "model.adapter" in job or "model.path" in job
    return job["model"], FINE_TUNED if tuned else job.get("strategy", "")


@pytest.mark.parametrize("name", TABLES)
def test_a_preset_runs_every_cell_of_its_table(name: str) -> None:
    cells = [cell(job) for job in jobs(name, "corpus.path=DIR")]
    assert sorted(cells) == sorted(TABLES[name])
    assert all(job["experiment"] == name and job["corpus.path"] == "DIR" for job in jobs(name, "corpus.path=DIR"))


def test_every_file_is_a_table_of_the_paper_and_takes_its_corpus() -> None:
    assert sorted(path.stem for path in (CONF / "experiment").iterdir()) == sorted([*TABLES, "cell"])
    for name in (*TABLES, "cell"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            assert compose("run", overrides=[f"experiment={name}"]).corpus._target_ == "clinspan.corpora.sources.RareDis"
            tried = compose("run", overrides=[f"experiment={name}", "corpus=raremini", "retriever=minilm"])
        assert tried.corpus._target_ == "clinspan.corpora.sources.RareMini"


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("table2", ["model=smollm2"], [("smollm2", "zero_shot")]),
        ("table3", ["model=smollm2"], [("smollm2", how) for how in ("zero_shot", "few_shot", "rag")]),
        ("table3", ["strategy=knn", "model=gpt4,smollm2"], [("gpt4", "knn"), ("smollm2", "knn")]),
        ("figure3", ["model=smollm2"], [("smollm2", "zero_shot"), ("smollm2", "few_shot")]),
        ("figure3", ["model=smollm2", "strategy=knn"], [("smollm2", "knn")]),
        ("figure3", ["model=gpt4", "seed=1,2"], [("gpt4", how) for how in ("zero_shot", "few_shot") for _ in range(2)]),
    ],
)
def test_overrides_take_precedence_over_the_preset(name: str, words: list[str], expected: list[tuple[str, str]]) -> None:
    launched = jobs(name, *words)
    assert [cell(job) for job in launched] == expected
    assert len({tuple(sorted(job.items())) for job in launched}) == len(launched)


def test_cells_refer_to_other_keys_and_are_launched_in_batches(tmp_path: Path) -> None:
    class Launched(CellsSweeper):
        def validate_batch_is_legal(self, batch: Any) -> None:
            pass

        def launch(self, batch: Any, initial_job_idx: int) -> list[Any]:
            seen.append((initial_job_idx, batch))
            return []

    seen: list[Any] = []
    sweeper = Launched(cells=["a=1,2", "b={a.c}"], max_batch_size=2)
    sweeper.launcher, sweeper.config = sweeper, OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    sweeper.sweep(["c=3"])
    assert seen == [(0, [["a=1", "c=3"], ["a=2", "c=3"]]), (2, [[r"b=$\{a.c\}", "c=3"]])]  # as Hydra writes it


def test_the_fine_tuned_cells_use_the_trained_models() -> None:
    given = [f"tuned.{name}=runs/{name}" for name in ("medtuned", "bioclinicalbert")]
    words = [[f"{key}={value}" for key, value in job.items()] for job in jobs("figure3", *given)]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        models = [compose("run", overrides=job).model for job in words]
    assert [(m.get("adapter"), m.get("path")) for m in models if m.name == "medtuned"][-1] == ("runs/medtuned", None)
    assert [m.path for m in models if m.name == "bioclinicalbert"] == ["runs/bioclinicalbert"]


def azure(server: ScriptedServer, key: str = "right") -> dict[str, str]:
    server.key = "right"
    return {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": key}


@pytest.mark.long
def test_cells_that_lack_their_model_do_not_stop_the_others_and_are_no_failure(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    done = command("run", "-m", "experiment=figure3", *TRIAL, env=azure(server))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    summary = lines[lines.index("figure3: 2 of 6 cells ran") :]
    assert [line.split(":")[0] for line in summary[1:3]] == ["  gpt4 zero_shot", "  gpt4 few_shot"]
    assert summary[4].startswith("  medtuned zero_shot; medtuned few_shot: no weights for model=medtuned: the hub did not give")
    assert "hf download nlpie/Llama2-MedTuned-7b" in summary[4]
    assert summary[5].startswith("  medtuned fine_tuned: its fine-tuned model is not given: ")
    assert " -m programs.finetune model=medtuned, with the settings" in summary[5]
    assert summary[6].endswith("then tuned.bioclinicalbert=FOLDER/model")
    sweep = tmp_path / summary[7]
    assert sweep.is_dir()
    assert len(summary) == 8
    assert "Traceback" not in done.stderr
    records = [load(sweep / str(n) / "run.json") for n in range(6)]
    assert [record["status"] for record in records].count("finished") == 2
    assert all(("reason" in record) == (record["status"] == "failed") for record in records)
    assert not list(sweep.glob("*/.failed"))


@pytest.mark.long
def test_a_cell_without_its_embedder_is_unavailable_too(command: Command, server: ScriptedServer) -> None:
    done = command("run", "-m", "experiment=table3", "model=gpt4", *TRIAL, env=azure(server))
    assert done.returncode == 0, done.stderr
    assert "table3: 2 of 3 cells ran" in done.stdout
    assert "  gpt4 rag: the embedder bge_large is not available" in done.stdout
    assert "use retriever=minilm" in done.stdout


@pytest.mark.long
def test_a_real_failure_ends_the_sweep_with_2_and_is_listed_separately(command: Command, server: ScriptedServer) -> None:
    done = command("run", "-m", "experiment=table2", "model=medtuned,gpt4", *TRIAL, env=azure(server, "wrong"))
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert "table2: 0 of 2 cells ran" in lines
    assert lines[lines.index("failed:") + 1].startswith("  gpt4 zero_shot (RunError), runs/run/")
    assert "the server refused the key" in done.stderr
    assert "clinspan: failed jobs of the sweep: " in done.stderr


def test_a_cell_that_lacked_its_model_runs_when_the_sweep_is_started_again(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    words = ["-m", "experiment=table2", "model=gpt4", *TRIAL, "hydra.sweep.dir=sweep"]
    done = command("run", *words)
    assert done.returncode == 2
    assert "table2: 0 of 1 cells ran" in done.stdout
    assert done.stderr == "clinspan: none of the cells can run here; see above for what each one needs\n"
    assert "AZURE_OPENAI_ENDPOINT" in load(tmp_path / "sweep" / "0" / "run.json")["reason"]
    assert command("run", *words, env=azure(server)).returncode == 0
    record = load(tmp_path / "sweep" / "0" / "run.json")
    assert record["status"] == "finished"
    assert "reason" not in record


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment=table2"], "experiment=table2 is a sweep over several cells. Add -m."),
        (["-m", "experiment=table4"], "there is no experiment=table4. Did you mean experiment=table3?"),
        (["-m", "experiment=figure3", "tuned.medtune=x"], "Did you mean tuned.medtuned?"),
    ],
)
def test_wrong_use_of_presets_gives_one_message(command: Command, words: list[str], message: str) -> None:
    done = command("run", *words, *TRIAL)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
