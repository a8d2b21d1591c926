"""The report's data, and its page as text; `test_browser.py` opens the page in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clinspan.metrics.errors import KINDS
from clinspan.programs.app.report_content import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import Report, write_page
from clinspan.reports.page.prompt_differences import prompt_differences
from clinspan.reports.page.sentences import embed, page_data
from clinspan.reports.page.summary import facts, score_table
from clinspan.reports.run_views import group_runs, RunView, Table
from conftest import Command, folder_of
from support.report_runs import LABELS, sentence, some_sentences, write_run

HOSTILE = "</script><img src=x onerror=alert(1)>"


def report_of(*folders: Path, redact: bool = False) -> Report:
    jobs = [load_job(path) for path in folders]
    return build_report(jobs, build_leaderboard(jobs), "made by a test", redact=redact)


def views_of(*folders: Path) -> dict[str, RunView]:
    return {Path(view.job.path).name: view for view in report_of(*folders).views}


def page_of(folder: Path, report: Report) -> str:
    folder.mkdir(exist_ok=True)
    return write_page(report, folder).read_text(encoding="utf-8")


def embedded(page: str, name: str) -> Any:
    match = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_sentences_become_numbers(tmp_path: Path) -> None:
    view = views_of(write_run(tmp_path / "run", some_sentences()))["run"]
    data = page_data(group_runs([view]))
    (group,), (run,) = data["groups"], data["runs"]
    assert group["labels"] == list(LABELS)
    assert group["documents"] == ["doc0", "doc0", "doc1", "doc1", "doc2", "doc2"]
    assert group["gold"][:3] == [[1, 2, 4], [1, 2, 4], [0, 0, 2]]
    assert run["pred"][0] == [1, 2, 4, round(1000 * (0.9 * 0.8) ** 0.5)]
    assert run["pred"][3] == [1, 0, 1, -1]
    kinds = [[KINDS[flat[i]] for i in range(0, len(flat), 3)] for flat in run["errors"]]
    assert kinds == [[], ["wrong_ends"], ["wrong_type"], ["wrong_ends_and_type"], ["missed"], ["invented"]]
    assert run["errors"][1] == [0, 0, 0]
    assert run["errors"][4:] == [[3, 0, -1], [4, -1, 0]]
    assert (run["failed"], run["repairs"]) == ({4: "timeout"}, {3: {"mentions given twice: read once": 2}})


def test_tables_of_a_run(tmp_path: Path) -> None:
    view = views_of(write_run(tmp_path / "run", some_sentences()))["run"]
    table = score_table(view)
    assert table.columns == ("type", "P", "R", "F1", "95 % interval", "support")
    assert [row[0] for row in table.rows] == ["Disease", "Sign", "macro", "micro"]
    assert table.rows[1][1:4] == [0.25, pytest.approx(1 / 3), pytest.approx(2 / 7)]
    (kinds,) = [table for table in view.tables if table.title.startswith("Errors by kind")]
    assert [row[0] for row in kinds.rows[:2]] == list(LABELS)
    computed, few, *rest = facts(view)
    assert computed == "exact spans, seqeval default, macro over 2 types; 6 sentences, 3 documents, 1 failed"
    assert few == "too few documents (3) for an interval: use limit_documents=N or all, at least 10"
    assert table.rows[1][4] == "-" and table.notes == ["macro over 2 types."]
    assert "in answers: 2 mentions given twice: read once" in rest
    assert "12 s, 900 prompt and 60 answer tokens" in rest


@pytest.mark.parametrize(
    "wrong",
    [{"pred": ["B-Sign"]}, {"gold": ["x", "O"]}, {"document": 3}, {"tokens": "ab"}, {"confidence": ["a", "b"]}, {"repairs": 1}],
)
def test_lines_that_are_no_predictions_are_not_shown(tmp_path: Path, wrong: dict[str, Any]) -> None:
    run = write_run(tmp_path / "run", some_sentences())
    row = {**sentence(0, "high fever", "Ss", "Ss"), **wrong}
    (run / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    view = views_of(run)["run"]
    assert not view.rows
    assert "is not a valid prediction" in view.problem
    page_of(tmp_path / "page", report_of(run))


@pytest.mark.long
def test_the_papers_figures_stand_beside_a_run_that_is_one_of_its_cells(tmp_path: Path) -> None:
    labels = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
    chosen = {"corpus": "raredis", "model": "gpt4", "strategy": "few_shot", "format": "bio_lines", "prompt": "handwritten"}
    config = {"split": "test", "limit": None, "seed": 0}
    write_run(tmp_path / "run", some_sentences(), labels=labels, choices=chosen, config=config, cost=1.5)
    report = report_of(tmp_path / "run")
    table = score_table(report.views[0])
    assert table.columns[-4:] == ("paper P", "paper R", "paper F1", "F1 − paper")
    rows = {row[0]: list(row) for row in table.rows}
    assert rows["Sign"][-4:] == [0.2749, 0.2500, 0.2619, f"{2 / 7 - 0.2619:+.4f}"]
    assert rows["micro"][-4:] == [None] * 4
    page = page_of(tmp_path / "page", report)
    assert "0.2619" in page
    assert "Micro F1 against cost." in page
    assert "Beside the paper" in page
    assert (tmp_path / "page" / "cost.png").is_file()


def test_runs_are_grouped_by_their_sentences(tmp_path: Path) -> None:
    write_run(tmp_path / "a", some_sentences())
    write_run(tmp_path / "b", some_sentences(), strategy="knn")
    write_run(tmp_path / "c", some_sentences()[:4])
    other = [{**row, "gold": row["pred"]} for row in some_sentences()]
    write_run(tmp_path / "d", other)
    groups = group_runs(list(views_of(*(tmp_path / name for name in "abcd")).values()))
    assert [[Path(run.job.path).name for run in group.runs] for group in groups] == [["a", "b"], ["d"], ["c"]]
    assert groups[0].title == "mini test, 6 sentences, 3 documents"
    assert [[run.name for run in group.runs] for group in groups] == [["few_shot", "knn"], ["few_shot"], ["few_shot"]]


def test_otherwise_equal_runs_are_named_by_seed_or_folder(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 2)):
        write_run(tmp_path / name, some_sentences(), seed=seed)
    (group,) = group_runs(list(views_of(*(tmp_path / name for name in "abc")).values()))
    assert [run.name for run in group.runs] == ["few_shot, seed 1", "few_shot, seed 2, b", "few_shot, seed 2, c"]


@pytest.mark.long
def test_a_run_with_damaged_files_is_shown_as_far_as_possible(tmp_path: Path) -> None:
    for name in "abcd":
        write_run(tmp_path / name, some_sentences())
    (tmp_path / "b" / "predictions.jsonl").unlink()
    (tmp_path / "c" / "predictions.jsonl").write_text('{"id": "x", "tokens": ["a"], "gold": ["O"], "pred": []}\n')
    (tmp_path / "d" / "prompts.jsonl").write_text("{")
    views = views_of(*(tmp_path / name for name in "abcd"))
    assert [len(view.rows) for view in views.values()] == [6, 0, 0, 6]
    assert "cannot be read" in views["b"].problem
    assert "is not a valid prediction" in views["c"].problem
    assert views["d"].prompts is None
    page = page_of(tmp_path / "page", report_of(*(tmp_path / name for name in "abcd")))
    assert "its sentences cannot be shown" in page
    assert len(embedded(page, "data")["runs"]) == 2


def test_what_was_sent_is_shown_by_sentence_and_each_text_is_embedded_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, some_sentences(), rendered=True) for name in ("a", "b")]
    page = page_of(tmp_path / "page", report_of(*runs, write_run(tmp_path / "knn", some_sentences(), strategy="knn")))
    sent = embedded(page, "prompts")
    texts = [[sent["parts"][turn] for turn in sent["runs"]["1"][n][0]["questions"][0]["turns"]] for n in range(6)]
    assert texts[0] == [["system", "Find signs."], ["user", "no fever"], ["assistant", "A: fever"], ["user", "He has high fever ."]]
    assert [turns[-1][1] for turns in texts] == [" ".join(row["tokens"]) for row in some_sentences()]
    assert sent["runs"]["1"][0][0]["demonstrations"] == ["t:1"]
    assert len(sent["parts"]) == len({tuple(part) for part in sent["parts"]})
    assert sent["rendered"]["1"]["0"].startswith("<s>")
    assert sent["rendered"]["3"] == {}


@pytest.mark.long
def test_a_run_whose_prompts_are_missing_or_damaged_is_shown_without_them(tmp_path: Path) -> None:
    for name in ("missing", "damaged"):
        write_run(tmp_path / name, some_sentences())
    (tmp_path / "missing" / "prompts.jsonl").unlink()
    (tmp_path / "damaged" / "prompts.jsonl").write_text("{")
    views = views_of(tmp_path / "missing", tmp_path / "damaged")
    assert [(view.prompts, len(view.rows)) for view in views.values()] == [(None, 6), (None, 6)]
    assert "what was sent cannot be shown" in views["damaged"].problem
    assert embedded(page_of(tmp_path / "page", report_of(tmp_path / "missing", tmp_path / "damaged")), "prompts")["runs"] == {}


def test_distinct_prompts_are_compared_once(tmp_path: Path) -> None:
    for name, words in (("a", "Find signs."), ("b", "Find signs."), ("c", "Find all signs.")):
        write_run(tmp_path / name, some_sentences(), instructions=words)
    differences = prompt_differences(group_runs(list(views_of(*(tmp_path / name for name in "abc")).values())))
    assert differences["prompts"] == {"1": 0, "2": 0, "3": 1}
    assert list(differences["diffs"]) == ["0-1"]
    assert "-Find signs." in differences["diffs"]["0-1"]
    assert "+Find all signs." in differences["diffs"]["0-1"]


def test_embedded_data_ends_no_script_and_is_read_back_unchanged() -> None:
    content = [HOSTILE, "<!--<script>", "]]>", "a\u2028b\u2029c", "&lt;", "\ud800", "\x00", "שלום 🤒"]
    text = embed(content)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == content


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    labels = [HOSTILE, "$x^2$ & y", "\ud800\x01"]
    tags = [f"B-{label}" for label in labels]
    row = {**sentence(0, "a b c", "...", "..."), "tokens": [HOSTILE, "\u202ex", "\x00"], "gold": tags, "pred": tags[::-1]}
    row |= {"document": HOSTILE, "id": HOSTILE, "raw": HOSTILE, "repairs": {HOSTILE: 1}}
    corpus = {"name": HOSTILE, "split": HOSTILE, "sha256": "1"}
    run = write_run(tmp_path / "<b>run", [row], labels=labels, instructions=HOSTILE, corpus=corpus, cost=0.5)
    write_run(tmp_path / "other", [row], labels=labels, corpus=corpus, strategy=HOSTILE)
    page = page_of(tmp_path / "page", report_of(run, tmp_path / "other"))
    assert "<img" not in page
    assert "<b>run" not in page
    assert embedded(page, "data")["groups"][0]["tokens"] == [row["tokens"]]
    assert len(re.findall(r"<script", page)) == len(re.findall(r"</script>", page)) == 6


def test_the_page_loads_nothing_from_outside(tmp_path: Path) -> None:
    page = page_of(tmp_path / "page", report_of(write_run(tmp_path / "run", some_sentences())))
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!#|data:,)", page.replace('xlink:href="#', 'href="#'))
    assert "url(http" not in page
    assert "@import" not in page


def test_redaction_leaves_scores_and_spans_and_no_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", some_sentences())
    clear, hidden = report_of(run), report_of(run, redact=True)
    page = page_of(tmp_path / "page", hidden)
    for word in ("fever", "Gaucher", "cough", "doc0", "doc1", "Find signs.", "answer 1"):
        assert word not in page
    data, plain = embedded(page, "data"), page_data(group_runs(clear.views))
    assert data["runs"][0]["pred"] == plain["runs"][0]["pred"]
    assert data["groups"][0]["gold"] == plain["groups"][0]["gold"]
    assert "0.2857" in page
    assert 'id="prompts"' not in page
    assert 'id="answers-1"' not in page
    documents, tokens = data["groups"][0]["documents"], data["groups"][0]["tokens"]
    assert documents[0] == documents[1] != documents[2]
    assert tokens[0] != tokens[1]  # the same words in two sentences
    assert data["groups"][0] != page_data(group_runs(report_of(run, redact=True).views))["groups"][0]


def test_redaction_leaves_out_tables_that_quote_the_corpus(tmp_path: Path) -> None:
    view = views_of(write_run(tmp_path / "run", some_sentences()))["run"]
    from dataclasses import replace

    from clinspan.reports.page.redaction import Redactor

    tables = [Table(title="lengths", columns=["n"], rows=[[1]]), Table(title="missed", columns=["text"], rows=[["x"]], quotes=True)]
    redacted = Redactor().redact(replace(view, tables=tables))
    assert [table.title for table in redacted.tables] == ["lengths"]


def test_the_command_writes_page_and_figures_and_says_where(command: Command, tmp_path: Path) -> None:
    write_run(tmp_path / "sweep" / "0", some_sentences())
    write_run(tmp_path / "sweep" / "1", some_sentences(), strategy="knn")
    write_run(tmp_path / "other", some_sentences()[:2])
    done = command("report", "sweep", "other")
    folder = folder_of(done)
    assert done.stdout.strip().splitlines()[-2] == str(folder / "report.html")
    names = {path.name for path in folder.iterdir()}
    figures = {"f1", "errors", "errors_by_type", "calibration", "tokens"}
    wanted = {f"{name}{end}.{suffix}" for name in figures for end in ("", "_2") for suffix in ("png", "svg")}
    assert names == {"leaderboard.json", "leaderboard.md", "leaderboard.tex", "report.html", *wanted}
    assert (folder / "report.html").stat().st_mode & 0o077 == 0
    redacted = folder_of(command("report", "sweep", "redact=true")) / "report.html"
    assert "fever" not in redacted.read_text(encoding="utf-8")
    refused = command("report", "sweep", "redact=maybe")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
