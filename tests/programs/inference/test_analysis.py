"""Tests of `errors.json`: a run writes it beside the scores, and it can be written again from files at any time."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.inference.error_report import ErrorAnalysis, read_analysis, train_mentions, write_analysis
from clinspan.programs.rundir.run_folder import RunFolder
from conftest import Command, folder_of, load
from support.scripted_models import NAMES

CORPUS = RareMini(labels=NAMES, definitions={}).load()


def record_outputs(path: Path, limit: int) -> None:
    """Write recorded answers in which every `B-` tag is right and every `I-` tag is O."""
    rows = []
    for sentence in list(CORPUS.sentences("test"))[:limit]:
        tags = [tag if tag[0] == "B" else "O" for tag in sentence.tags]
        text = "\n".join(f"{word} : {tag}" for word, tag in zip(sentence.words, tags, strict=True))
        rows.append(json.dumps({"id": sentence.id, "output": text}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")


def test_a_run_writes_a_private_errors_file_and_prints_one_summary_line(command: Command, tmp_path: Path) -> None:
    record_outputs(tmp_path / "out.jsonl", 60)
    words = ["model=replay", "model.path=out.jsonl", "limit=60", "strategy=zero_shot", "format=bio_lines"]
    done = command("run", *words, "errors.sentences=10", "errors.mentions=3")
    folder = folder_of(done)
    analysis, scores = load(folder / "errors.json"), load(folder / "scores.json")
    assert stat.S_IMODE((folder / "errors.json").stat().st_mode) == 0o600
    assert analysis["scores"]["exact"] == {key: scores[key] for key in ("per_type", "macro", "macro_types", "micro", "counts")}
    assert analysis["sample"]["sentences"] == 10
    assert analysis["kinds"]["total"]["wrong_ends"] == sum(row["gold"] - row["matched"] for row in scores["counts"].values())
    assert analysis["scores"]["overlap"]["micro"]["f1"] == 1.0
    assert set(analysis["breakdowns"]) == {"span_length", "sentence_length", "rarity", "seen"}
    assert analysis["notes"] == []
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("all ")]
    matched = sum(row["matched"] for row in scores["counts"].values())
    assert re.findall(r"\d+", line) == [str(n) for n in (matched, 0, analysis["kinds"]["total"]["wrong_ends"], 0, 0, 0)]
    # another caller gets the same analysis from the same files
    rewritten = write_analysis(
        RunFolder(folder), CORPUS, ErrorAnalysis(sentences=10, mentions=3), mode="conlleval", seed=3, split="test"
    )
    assert rewritten == analysis
    (folder / "errors.json").unlink()
    without_corpus = read_analysis(RunFolder(folder))
    assert without_corpus["kinds"] == analysis["kinds"]
    assert set(without_corpus["breakdowns"]) == {"span_length", "sentence_length"}
    assert without_corpus["notes"] == ["rarity of mentions is left out: the corpus was not read"]


def test_a_resumed_run_of_a_version_without_analysis_gets_one(command: Command, tmp_path: Path) -> None:
    record_outputs(tmp_path / "out.jsonl", 4)
    folder = folder_of(command("run", "model=replay", "model.path=out.jsonl", "limit=4", "strategy=zero_shot", "format=bio_lines"))
    record = load(folder / "run.json")
    del record["config"]["errors"]
    (folder / "run.json").write_text(json.dumps({**record, "status": "failed"}), encoding="utf-8")
    (folder / "errors.json").unlink()
    folder_of(command("run", f"resume={folder}"))
    assert load(folder / "errors.json")["sentences"] == 4


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("errors.sentences=0", "errors.sentences=0 is not a whole number of at least 1"),
        ("errors.mentions=-1", "errors.mentions=-1 is not a whole number of at least 0"),
        ("errors.mention=3", "Did you mean errors.mentions?"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_tagged(command: Command, word: str, message: str) -> None:
    done = command("run", word, "model=replay", "model.path=none.jsonl", "strategy=zero_shot")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def folder_with(path: Path, rows: list[dict[str, Any]]) -> RunFolder:
    folder = RunFolder(path)
    folder.write("scores.json", {"per_type": {"Sign": {}}})
    common: dict[str, Any] = {"confidence": None, "raw": "", "repairs": {}, "usage": {}, "error": None}
    folder.predictions.write_text("".join(json.dumps({**common, **row}) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_notes_mention_failed_sentences_and_an_analysis_of_the_train_split(tmp_path: Path) -> None:
    row = {"id": "a:0", "document": "a", "tokens": ["x"], "gold": ["B-Sign"], "pred": ["O"], "error": "content_filter"}
    folder = folder_with(tmp_path / "run", [row])
    analysis = write_analysis(folder, CORPUS, ErrorAnalysis(sentences=None), mode="conlleval", seed=0, split="train")
    assert analysis["sample"] is None
    assert analysis["notes"] == [
        "the tagged sentences are the train split themselves, so no gold mention is unseen",
        "1 sentence failed: all its mentions count as missed",
    ]


def test_a_damaged_line_is_named_and_not_quoted(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", [{"id": "a:0", "document": "a", "tokens": ["secret"], "gold": ["O"], "pred": []}])
    with pytest.raises(
        InputError, match=r"predictions\.jsonl:1: is not a valid prediction \(pred has 0 entries for 1 tokens\)\. Remove the line"
    ):
        write_analysis(folder, None, ErrorAnalysis(), mode="conlleval", seed=0, split="test")


def test_a_corpus_without_a_train_split_has_no_train_mentions() -> None:
    assert train_mentions(CORPUS) is not None
    assert train_mentions(type(CORPUS)("empty", {}, CORPUS.labels)) is None
