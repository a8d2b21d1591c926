"""Tests of sweeps whose jobs run in other processes: one of two jobs fails, the other runs, the command reports it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clinspan.corpora.sources import RareMini
from conftest import Command, folder_of, load, ROOT

JOB = ["model=replay", "limit=2", "strategy=zero_shot", "format=bio_lines", "model.path=good.jsonl,none.jsonl"]


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path) -> None:
    """Recorded answers to two sentences: all O."""
    names = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
    sentences = list(RareMini(labels=names, definitions={}).load().sentences("test"))[:2]
    rows = [{"id": sentence.id, "output": "\n".join(f"{word} : O" for word in sentence.words)} for sentence in sentences]
    (tmp_path / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
        ["hydra/launcher=ray", "hydra.launcher.cpus_per_job=0.5"],
        ["hydra.sweeper.max_batch_size=1"],
    ],
)
def test_a_failed_job_does_not_stop_the_others_and_the_command_exits_with_2(
    command: Command, tmp_path: Path, words: list[str]
) -> None:
    if "joblib" in words[0] or "submitit" in words[0]:
        pytest.importorskip(f"hydra_plugins.hydra_{words[0].partition('=')[2].partition('_')[0]}_launcher")
    if "ray" in words[0]:
        pytest.importorskip("ray")
    # the failing job comes first: the jobs after it must still run
    done = command("run", "-m", *JOB[:-1], "model.path=none.jsonl,good.jsonl", *words, timeout=240)
    assert done.returncode == 2, done.stderr
    (sweep,) = (tmp_path / "runs" / "run").iterdir()
    states = [load(sweep / str(n) / "run.json") for n in range(2)]
    assert [state["status"] for state in states] == ["failed", "finished"]
    assert f"clinspan: failed jobs of the sweep: runs/run/{sweep.name}/0 (ModelError)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(sweep.glob("*/.failed"))
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in sweep.rglob("*"))


FAILS = """
import os
from clinspan.programs.app.hydra_app import run_app

def job(config):
    if config.limit == 1:
        raise ValueError("He has Fever")
    if config.limit == 2:
        os._exit(9)
    print("ran")

run_app("run", job)
"""


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
@pytest.mark.parametrize(
    ("limits", "message"), [("1,3", "failed jobs of the sweep: sweep/0 (ValueError)"), ("2,3", "the process of a job ended")]
)
def test_a_crashed_job_is_named_without_the_text_of_its_error(tmp_path: Path, launcher: str, limits: str, message: str) -> None:
    if launcher == "basic" and limits == "2,3":
        pytest.skip("the job's process is the sweep's own")
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    (tmp_path / "app.py").write_text(FAILS, encoding="utf-8")
    protected = ["corpus=jsonl", "corpus.path=."]
    words = ["-m", *protected, f"limit={limits}", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "app.py", *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Fever" not in done.stderr
    assert "Traceback" not in done.stderr
    if launcher == "basic":
        assert "ran" in done.stdout


DIES = """
import os, pathlib, sys
import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra_plugins.clinspan_ray_launcher.ray_launcher import RayLauncher

Plugins.instance().register(RayLauncher)

@hydra.main(version_base="1.3", config_path=None)
def main(config):
    number = HydraConfig.get().job.num
    tries = pathlib.Path(f"tries{number}")
    tries.write_text(str(int(tries.read_text()) + 1 if tries.exists() else 1))
    if number == 1 and tries.read_text() == "1":
        os._exit(9)

main()
"""


@pytest.mark.long
@pytest.mark.parametrize("retries", [0, 1])
def test_ray_retries_a_job_whose_process_died(tmp_path: Path, retries: int) -> None:
    pytest.importorskip("ray")
    (tmp_path / "app.py").write_text(DIES, encoding="utf-8")
    words = ["-m", "+n=1,2", "hydra/launcher=ray", f"hydra.launcher.retries={retries}", "hydra.sweep.dir=sweep"]
    done = subprocess.run([sys.executable, "app.py", *words], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert (done.returncode == 0) == (retries == 1), done.stderr
    assert ("a job's process died on each of 1 tries" in done.stderr) == (retries == 0)
    tries = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("tries*")}
    assert tries == {"tries0": "1", "tries1": str(1 + retries)}


@pytest.mark.long
def test_a_joblib_sweep_can_be_reported(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = [
        *JOB[:2],
        *JOB[3:-1],
        "strategy=few_shot",
        "model.path=good.jsonl",
        "seed=0,1",
        "corpus=raremini,brat",
        "hydra/launcher=joblib",
    ]
    done = command("run", "-m", *words, "hydra.launcher.n_jobs=2", timeout=240)
    assert done.returncode == 2, done.stderr
    (sweep,) = (tmp_path / "runs" / "run").iterdir()
    result = load(folder_of(command("report", str(sweep))) / "leaderboard.json")
    assert [(row["settings"]["corpus"], sorted(row["seeds"])) for row in result["rows"]] == [("raremini", [0, 1])]
    assert result["rows"][0]["micro"] == {"mean": 0.0, "spread": 0.0}
    # these stopped before the job itself wrote anything
    assert [(row["settings"]["corpus"], row["status"]) for row in result["unscored"]] == [("brat", "failed")] * 2


def test_a_second_sweep_in_the_same_folder_leaves_finished_jobs_unchanged(command: Command, tmp_path: Path) -> None:
    """A finished job with the same settings is not run again. A job with other settings fails and changes nothing."""
    words = [*JOB[:-1], "model.path=good.jsonl", "seed=0", "hydra.sweep.dir=sweep"]
    assert command("run", "-m", *words).returncode == 0
    before = load(tmp_path / "sweep" / "0" / "run.json")
    (tmp_path / "sweep" / "0" / ".failed").write_text("of a sweep that was killed", encoding="utf-8")
    assert command("run", "-m", *words).returncode == 0
    done = command("run", "-m", *words, "errors.mentions=5")
    assert done.returncode == 2
    assert "failed jobs of the sweep: sweep/0 (InputError)" in done.stderr
    assert load(tmp_path / "sweep" / "0" / "run.json") == before


def test_launchers_are_not_refused_as_unknown_settings() -> None:
    from hydra import compose, initialize_config_dir

    from clinspan.conf import CONF
    from clinspan.programs.config.overrides import check_words

    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    check_words("run", words)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("run", overrides=words, return_hydra_config=True)
    assert config.hydra.launcher.partition == "gpu"
    assert config.hydra.launcher._target_.endswith("SlurmLauncher")


def test_a_library_composes_configs_without_a_command() -> None:
    """`Annotator.load` composes configs in a process that has imported no other part of Hydra."""
    code = "from clinspan.programs.config.composition import compose; print(compose('annotate', ['seed=5'])[0].seed)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "5", done.stderr
