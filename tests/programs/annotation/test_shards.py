"""Tests of shards without Ray: lost tries, lost reports, late workers, changed input, and what a worker may report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.readers.notes import Note, Unreadable
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.annotation.ray.driver import scale_of
from clinspan.programs.annotation.ray.engine import merge_lines, Scale, workers_in
from clinspan.programs.annotation.ray.shards import cut_input, Shard
from clinspan.programs.annotation.ray.worker import Job, ShardWorker
from clinspan.programs.annotation.writers import join_pieces
from clinspan.programs.inference.predictor import blank_record
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.sweeps.ray_cluster import joined

pytest.importorskip("pyarrow")


class Signs:
    """Tagger that tags `fever` as a sign. At the word `trap` it raises `self.trap` or returns it as the error."""

    def __init__(self, trap: BaseException | str | None = None) -> None:
        self.trap, self.asked = trap, 0

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        for sentence in sentences:
            self.asked += 1
            error = None
            if "trap" in sentence.words:
                if isinstance(self.trap, BaseException):
                    raise self.trap
                error = self.trap
            pred = ["B-Sign" if word == "fever" else "O" for word in sentence.words]
            fields = {"pred": pred, "confidence": [0.5] * len(pred)}
            yield sentence, {**blank_record(sentence), **fields, "repairs": {}, "usage": {"prompt_tokens": 2}, "error": error}


def notes(count: int, text: str = "no fever") -> list[Note | Unreadable]:
    return [Note(f"n{number:02}", text) for number in range(count)]


class Crew:
    """Runs shards in this process, with a new worker for each call, as after a lost worker."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.monkeypatch = home, monkeypatch

    def work(
        self, number: int = 0, *, run: str = "r1", by: str = "by1", to: tuple[str, ...] = ("jsonl", "parquet"), **keys: Any
    ) -> tuple[dict[str, Any], Signs]:
        tagger = Signs(keys.get("trap"))
        annotator = Annotator(tagger, Facts(("Sign",), "model", "program", by, price=(1.0, 2.0)))
        self.monkeypatch.setattr("clinspan.programs.annotation.ray.worker.build_annotator", lambda config, overrides: annotator)
        config = {"stop_after": keys.get("stop_after", 3)}
        context: dict[str, Any] = {"choices": {}, "given": frozenset(), "home": self.home, "here": Path.cwd(), "retries": 1}
        job = Job(config=config, to=to, run=run, **context)
        (report,) = ShardWorker(job)({"shard": [number]})["report"]
        assert job.read_facts() == annotator.facts
        return json.loads(report), tagger


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crew:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "out"
    assert cut_input(notes(40), home, 25) == (2, 40)
    return Crew(home, monkeypatch)


def test_shards_depend_on_the_input_alone_and_unchanged_ones_are_kept(tmp_path: Path) -> None:
    assert cut_input(iter(notes(7)), tmp_path, 3) == (3, 7)
    paths = sorted(tmp_path.glob("shards/*/notes.parquet"))
    times = [path.stat().st_mtime_ns for path in paths]
    assert [path.parent.name for path in paths] == ["00000", "00001", "00002"]
    changed = [*notes(4), Note("n04", "a fever"), *notes(7)[5:]]
    cut_input(changed, tmp_path, 3)
    assert [path.stat().st_mtime_ns == time for path, time in zip(paths, times)] == [True, False, True]
    (tmp_path / "annotations").mkdir()
    Shard(tmp_path, 2).piece("parquet").write_bytes(b"")
    assert cut_input(notes(5), tmp_path, 3) == (2, 5)
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == ["00000", "00001"]
    assert not list((tmp_path / "annotations").iterdir())


def test_a_finished_shard_is_kept_and_a_changed_one_redoes_only_changed_notes(crew: Crew) -> None:
    first, tagger = crew.work()
    assert (first["documents"], first["used"], tagger.asked) == ({"annotated": 25}, {"prompt_tokens": 50}, 25)
    left = sorted(path.name for path in (crew.home / "shards" / "00000").iterdir())
    assert left == ["annotations.jsonl", "done.json", "spent.json", "state.jsonl"]
    cut_input([*notes(3), Note("n03", "a fever"), *notes(40)[4:]], crew.home, 25)
    again, tagger = crew.work(run="r2")
    assert (again["documents"], again["entities"], tagger.asked) == ({"annotated": 1, "kept": 24}, {"Sign": 25}, 1)
    cut_input([*notes(3), Note("n03", "a fever"), *notes(40)[4:]], crew.home, 25)
    before = (crew.home / "shards" / "00000" / "done.json").stat().st_mtime_ns
    same, tagger = crew.work(run="r3")
    assert (same["documents"], same["entities"], tagger.asked) == ({"kept": 25}, {"Sign": 25}, 0)
    assert same["used"] == {"prompt_tokens": 52}
    assert (crew.home / "shards" / "00000" / "done.json").stat().st_mtime_ns == before
    Shard(crew.home, 0).piece("parquet").unlink()
    assert crew.work(run="r4")[0]["documents"] == {"kept": 25}
    assert Shard(crew.home, 0).piece("parquet").is_file()
    cut_input(notes(40), crew.home, 25)
    assert crew.work(run="r5", by="by2")[1].asked == 25


def test_notes_that_a_lost_worker_annotated_count_and_are_not_repeated(crew: Crew) -> None:
    whole, _ = crew.work()
    shard = crew.home / "shards" / "00000"
    lines = (shard / "state.jsonl").read_bytes().splitlines(keepends=True)
    for run, counts in (("r1", {"annotated": 25}), ("r0", {"kept": 10, "annotated": 15})):
        for path in shard.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)
        cut_input(notes(40), crew.home, 25)
        (shard / f".try-{run}-x-1").mkdir()
        (shard / f".try-{run}-x-1" / "state.jsonl").write_bytes(b"".join(lines[:10]) + lines[10][:20])
        report, tagger = crew.work()
        assert (report["documents"], tagger.asked) == (counts, 15)
        assert report["used"]["prompt_tokens"] == 2 * 25  # the tokens of the lost try count
        assert report["entities"] == whole["entities"]
        assert report["lost"] == (run == "r1")
        assert not list(shard.glob(".try-*"))


def test_a_lost_report_is_repeated_unchanged(crew: Crew) -> None:
    first, _ = crew.work()
    again, tagger = crew.work()
    assert (again, tagger.asked) == (first, 0)


def test_a_worker_wrongly_taken_for_lost_does_no_harm(crew: Crew) -> None:
    """The worker publishes after its replacement. The results stay the same, and no file of the replacement is lost."""
    shard = Shard(crew.home, 0)
    slow = shard.begin("r1")
    crew.work()
    made = {path: path.read_bytes() for path in crew.home.rglob("*") if path.is_file() and path.suffix in (".jsonl", ".parquet")}
    shard.publish(slow, None)
    assert all(path.read_bytes() == content for path, content in made.items() if path.parent.name == "annotations")
    assert crew.work()[1].asked == 0


def test_documents_that_kill_every_worker_fail_and_the_next_run_retries_them(crew: Crew) -> None:
    shard = Shard(crew.home, 0)
    for _ in range(2):
        shard.begin("r1")
    report, tagger = crew.work(stop_after=3)
    assert (report["documents"], report["lost"], tagger.asked) == ({"failed": 25}, 2, 0)
    assert '{"id": "n00", "error": "worker_lost"' in (shard.folder / "failed.jsonl").read_text()
    cut_input(notes(40), crew.home, 25)
    assert crew.work(run="r2")[0]["documents"] == {"annotated": 25}
    assert not (shard.folder / "failed.jsonl").exists()


def test_failures_are_listed_and_consecutive_ones_over_shards_end_the_run(crew: Crew) -> None:
    mixed = [Note("a", "trap"), Unreadable("b", "encoding", "byte 0"), *notes(2), Note("c", "trap")]
    cut_input([*mixed, Note("d", "trap"), Note("e", "trap"), Note("f", "fever")], crew.home, 5)
    report, _ = crew.work(trap="Timeout")
    assert report["documents"] == {"failed": 3, "annotated": 2}
    failed = (crew.home / "shards" / "00000" / "failed.jsonl").read_text()
    assert [json.loads(line)["id"] for line in failed.splitlines()] == ["a", "b", "c"]
    stopped, _ = crew.work(1, trap="Timeout", stop_after=2)
    assert "2 documents in a row failed, the last with Timeout" in stopped["problem"]
    assert "continue with: the same command" in stopped["problem"]
    assert len((crew.home / "shards" / "00001" / "failed.jsonl").read_text().splitlines()) == 2


def test_a_worker_reports_no_text_whatever_error_it_meets(crew: Crew) -> None:
    cut_input([Note("a", "a secret trap")], crew.home, 25)
    words = "a secret trap"
    for mistake in (ValueError(words), TypeError(words), UnicodeEncodeError("utf-8", words, 0, 1, "x")):
        report, _ = crew.work(trap=mistake, run=type(mistake).__name__)
        assert report == {"shard": 0, "problem": report["problem"]}
        assert f"{type(mistake).__name__} in a worker at test_shards.py:" in report["problem"]
        assert "secret" not in json.dumps(report)


def test_pieces_are_joined_as_if_written_at_once(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"-DOCSTART-\tO\n", b"", b"-DOCSTART-\tO\n\na\tO\n", b""]):
        (tmp_path / f"{number}").write_bytes(content)
    join_pieces("conll", [tmp_path / str(number) for number in range(5)], tmp_path)
    assert (tmp_path / "annotations.conll").read_bytes() == b"-DOCSTART-\tO\n\n-DOCSTART-\tO\n\na\tO\n"
    join_pieces("jsonl", [tmp_path / "1", tmp_path / "3"], tmp_path)
    assert (tmp_path / "annotations.jsonl").read_bytes() == b"-DOCSTART-\tO\n-DOCSTART-\tO\n\na\tO\n"


def test_failures_of_many_shards_are_merged_in_order(tmp_path: Path) -> None:
    rows = sorted(f'{{"id": "{n:04}é"}}\n'.encode() for n in range(900))
    for number in range(450):
        (tmp_path / f"{number}").write_bytes(b"".join(rows[number::450]))
    paths = [tmp_path / str(number) for number in range(500)]
    merge_lines(paths, tmp_path / "failed.jsonl")
    assert (tmp_path / "failed.jsonl").read_bytes() == b"".join(rows)
    assert len(list(tmp_path.iterdir())) == 451
    merge_lines(paths[450:], tmp_path / "failed.jsonl")
    assert not (tmp_path / "failed.jsonl").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "spark"}, "engine=spark is not known. Use local or ray"),
        ({"workers": 2}, "workers is for engine=ray"),
        ({"ray": {"address": "auto"}}, "ray.address is for engine=ray"),
        ({"engine": "ray", "workers": 0}, "workers=0 is not a whole number of at least 1"),
        ({"engine": "ray", "shard": 0.5}, "shard=0.5 is not a whole number"),
        ({"engine": "ray", "ray": {"retries": -1}}, "ray.retries=-1 is not a whole number of at least 0"),
    ],
)
def test_invalid_settings_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    plain = {"model": {}, "engine": "local", "workers": None, "shard": 200, "ray": {"address": None, "retries": 2}}
    config = OmegaConf.merge(plain, settings)
    given = {key if not isinstance(value, dict) else f"{key}.{next(iter(value))}" for key, value in settings.items()}
    with pytest.raises(InputError, match=message):
        scale_of(config, given, RunFolder(tmp_path))


def test_a_folder_keeps_its_engine_and_shard_size(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    config = OmegaConf.create({"model": {}, "engine": "ray", "workers": 3, "shard": 20, "ray": {"address": "auto", "retries": 1}})
    assert scale_of(config, {"shard"}, folder) == Scale(workers=3, shard=20, address="auto", retries=1)
    folder.write("run.json", {"engine": "ray", "config": {"shard": 30}})
    with pytest.raises(InputError, match="holds results of shard=30. Use shard=30"):
        scale_of(config, set(), folder)
    folder.write("run.json", {"config": {}})
    with pytest.raises(InputError, match="holds results of engine=local"):
        scale_of(config, set(), folder)


def test_more_workers_than_the_cluster_can_hold_are_refused() -> None:
    with pytest.raises(InputError, match="workers=3, but the cluster has 2 GPUs"):
        workers_in({"CPU": 64.0, "GPU": 2.0}, 3, remote=False)
    with pytest.raises(InputError, match="the cluster has 0 cores"):
        workers_in({}, None, remote=False)


def test_an_address_without_a_cluster_is_reported_at_once() -> None:
    pytest.importorskip("ray")
    with (
        pytest.raises(InputError, match=r"there is no Ray cluster at 127\.0\.0\.1:9 \(ConnectionRefusedError\)\. Start one with"),
        joined("127.0.0.1:9"),
    ):
        pass
