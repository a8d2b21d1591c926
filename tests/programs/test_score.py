"""Tests of the `score` command on runs: other readings, pooled runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.metrics.readings import MATCHES
from clinspan.metrics.scoring import Metric, score_records
from clinspan.reports.wording import scored_words
from conftest import Command, load, tree
from support.report_runs import LABELS, sentence, some_sentences, write_run
from support.score_calls import call, scored

CONFIG = {"config": {"metric": {"mode": "conlleval"}, "seed": 0}}


def a_run(path: Path, rows: Sequence[dict[str, Any]], **more: Any) -> Path:
    return write_run(path, rows, **{**CONFIG, **more})


def test_the_usual_reading_is_that_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(tmp_path / "one", some_sentences())
    before = tree(folder)
    folder.chmod(0o500)  # nothing is written into it
    (result,) = scored(capsys, str(folder))
    written = load(folder / "scores.json")
    assert {key: result["readings"][0][key] for key in written} == written
    assert result["runs"] == [str(folder)] and tree(folder) == before and folder.stat().st_mode & 0o777 == 0o500
    call(str(folder))
    out = capsys.readouterr().out
    assert scored_words(written) in out and f"{folder} (6 sentences, 3 documents)" in out
    assert f"{written['micro']['f1']:.4f}" in out and "failed, scored as all O: 1 of 6 sentences (timeout: 1)" in out


def test_the_mode_can_be_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [sentence(0, "high fever", "Ss", "ss"), sentence(1, "a cough", ".S", ".S")]
    folder = a_run(tmp_path / "one", rows)
    figures = {
        mode: scored(capsys, str(folder), f"metric.mode={mode}")[0]["readings"][0]["micro"]["f1"]
        for mode in ("conlleval", "strict")
    }
    assert figures == {"conlleval": 1.0, "strict": pytest.approx(2 / 3)}
    strict = a_run(tmp_path / "two", rows, config={"metric": {"mode": "strict"}})
    assert scored(capsys, str(strict))[0]["readings"][0]["mode"] == "strict"


@pytest.mark.parametrize(
    ("match", "matched", "unit"),
    [
        ("exact", 1, "entity"),
        ("relaxed", 2, "entity"),
        ("type_free", 2, "entity"),
        ("token", 3, "token"),
        ("document", 1, "mention"),
    ],
)
def test_each_reading_by_hand(match: str, matched: int, unit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of six sentences one is right, one has other bounds, one another type, and one both."""
    (result,) = scored(capsys, str(a_run(tmp_path / "one", some_sentences())), f"match={match}")
    (scores,) = result["readings"]
    assert sum(row["matched"] for row in scores["counts"].values()) == matched
    assert scores["signature"].startswith(f"unit:{unit}|match:{match}|mode:conlleval|")
    call(str(tmp_path / "one"), f"match={match}")
    assert scored_words(scores) in capsys.readouterr().out


def test_all_readings_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(tmp_path / "one", some_sentences())
    (result,) = scored(capsys, str(folder), "all=true")
    pairs = [(scores["match"], scores["mode"]) for scores in result["readings"]]
    assert pairs == [(match, mode) for match in MATCHES[:5] for mode in ("conlleval", "strict")]
    assert "offsets: not scored" in result["remarks"][0]
    call(str(folder), "all=true", "metric.mode=strict")
    out = capsys.readouterr().out
    assert out.count("strict") == 5 and "type_free" in out and "offsets: not scored" in out


def test_offsets_are_those_of_the_annotators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"offsets": [[0, 4], [5, 10]], "mentions": [{"label": "Sign", "fragments": [[0, 9]]}]}
    about["gold_mentions"] = [{"label": "Sign", "fragments": [[0, 2]]}]
    folder = a_run(tmp_path / "one", [sentence(0, "high fever", "Ss", "Ss", **about)])
    (result,) = scored(capsys, str(folder), "all=true")
    figures = {scores["match"]: scores["micro"]["f1"] for scores in result["readings"]}
    assert figures == dict.fromkeys(MATCHES, 1.0) | {"offsets": 0.0} and not result["remarks"]
    call(str(folder), "match=offsets")
    assert "a perfect tagger reaches 0.0000, as of 1 annotations 1 would end elsewhere" in capsys.readouterr().out
    with pytest.raises(InputError, match="needs the annotators' character offsets"):
        call(str(a_run(tmp_path / "two", some_sentences())), "match=offsets")


def test_folds_are_pooled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = some_sentences()
    for n in range(3):
        a_run(tmp_path / "sweep" / str(n), rows[2 * n : 2 * n + 2])
    (result,) = scored(capsys, str(tmp_path / "sweep"), "pool=true")
    whole = json.loads(json.dumps(score_records(rows, LABELS, Metric(), alignment="tokens")))
    assert {key: result["readings"][0][key] for key in whole} == whole
    assert result["runs"] == [str(tmp_path / "sweep" / str(n)) for n in range(3)]
    each = scored(capsys, str(tmp_path / "sweep"), str(tmp_path / "sweep" / "1"))
    assert [one["readings"][0]["sentences"] for one in each] == [2, 2, 2]
    call(str(tmp_path / "sweep"), "pool=true")
    assert "3 runs pooled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (slice(1, 3), {}, "document doc0 is in .*one and in .*two"),
        (slice(2, 6), {"labels": ("Sign", "Disease", "Drug")}, "has the labels Disease, Sign, and .*two has Sign, Disease, Drug"),
        (slice(2, 6), {"config": {"metric": {"mode": "strict"}}}, "differ in the mode"),
    ],
)
def test_runs_that_cannot_be_pooled(rows: slice, more: dict[str, Any], message: str, tmp_path: Path) -> None:
    one, two = a_run(tmp_path / "one", some_sentences()[:2]), a_run(tmp_path / "two", some_sentences()[rows], **more)
    with pytest.raises(InputError, match=message):
        call(str(one), str(two), "pool=true")


def test_output_is_a_new_file_outside_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = a_run(tmp_path / "one", some_sentences()), tmp_path / "scores.json"
    call(str(folder), "match=token", f"output={output}")
    assert capsys.readouterr().out.splitlines()[-1] == str(output)
    assert load(output)["results"][0]["readings"] == scored(capsys, str(folder), "match=token")[0]["readings"]
    for place, message in (
        (output, "exists"),
        (folder / "new.json", "lies in the folder of a run"),
        (tmp_path / "no" / "x", "no: is"),
    ):
        with pytest.raises(InputError, match=message):
            call(str(folder), f"output={place}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there is nothing to score"),
        (("RUN", "match=fuzzy"), "match=fuzzy is not known. Use one of exact, relaxed, type_free, token, document, offsets"),
        (("RUN", "metric.mode=lax"), "metric.mode=lax is not known. Use conlleval or strict"),
        (("RUN", "match=token", "all=true"), "match=token and all=true are both given"),
        (("RUN", "split=test"), "split is for gold=PATH predicted=PATH"),
        (("RUN", "gold_corpus=brat"), "gold_corpus is for gold=PATH"),
        (("RUN", "gold=x", "predicted=y"), "gold are both given"),
        (("gold=x",), "predicted is not set"),
        (("predicted=x",), "gold is not set"),
        (("nowhere",), "nowhere: holds no run.json"),
    ],
)
def test_settings_that_do_not_fit(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    folder = a_run(tmp_path / "one", some_sentences())
    with pytest.raises(InputError, match=message):
        call(*(word.replace("RUN", str(folder)) for word in words))


def test_runs_that_cannot_be_scored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has not finished. Finish it: .*resume="):
        call(str(a_run(tmp_path / "one", some_sentences(), status="failed")))
    damaged = a_run(tmp_path / "two", some_sentences())
    with (damaged / "predictions.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "x"}\n')
    with pytest.raises(InputError, match="predictions.jsonl:7: is not a valid prediction"):
        call(str(damaged))


def test_the_command(command: Command, tmp_path: Path) -> None:
    a_run(tmp_path / "runs" / "run" / "2026-01-01_00-00-00-000000", some_sentences())
    done = command("score", "latest", "metric.mode=strict", "match=relaxed")
    assert done.returncode == 0, done.stderr
    assert "overlapping spans of the same type, strict IOB2, macro over 2 types; 6 sentences, 3 documents, 1 failed" in done.stdout
    refused = command("score", "latest", "all=perhaps")
    assert (
        refused.returncode == 2
        and refused.stderr == "clinspan: all=perhaps is not true or false. Write all=VALUE with such a value.\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_full_mentions_are_scored_with_what_tags_can_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = [{"label": "Sign", "fragments": [[0, 2]]}, {"label": "Sign", "fragments": [[1, 2]]}]
    folder = a_run(tmp_path / "one", [sentence(0, "high fever", "Ss", "Ss", gold_mentions=gold, pred_mentions=gold)])
    (result,) = scored(capsys, str(folder), "match=full")
    assert result["readings"][0]["micro"]["f1"] == 1.0 and result["readings"][0]["flat"]["lost"] == 1
    call(str(folder), "match=full")
    assert "tags reach a full F1 of at most 0.6667 (gold tags 0.6667)" in capsys.readouterr().out
    call(str(folder))
    assert "flat F1 1.0000, full F1 1.0000; tags reach" in capsys.readouterr().out
