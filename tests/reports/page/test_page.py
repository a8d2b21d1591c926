"""The report's data, and its page as text; `test_browser.py` opens the page in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clinspan.metrics.errors import KINDS
from clinspan.programs.app.recorded_prompts import recorded_prompt
from clinspan.programs.report import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import Report, write_page
from clinspan.reports.page.prompt_differences import prompt_differences
from clinspan.reports.page.sentences import embed, page_data
from clinspan.reports.page.summary import facts, score_table
from clinspan.reports.run_views import group_runs, RunView, Table
from conftest import Command, folder_of
from support.report_runs import DEMO, LABELS, sentence, some_sentences, write_run

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
    assert kinds == [[], ["boundary"], ["type"], ["boundary_and_type"], ["missed"], ["invented"]]
    assert run["errors"][1] == [0, 0, 0]
    assert run["errors"][4:] == [[3, 0, -1], [4, -1, 0]]
    assert (run["failed"], run["repairs"]) == ({4: "timeout"}, {3: {"repeated_mention": 2}})


def test_tables_of_a_run(tmp_path: Path) -> None:
    view = views_of(write_run(tmp_path / "run", some_sentences()))["run"]
    table = score_table(view)
    assert table.columns == ("type", "P", "R", "F1", "95 % interval", "support")
    assert [row[0] for row in table.rows] == ["Disease", "Sign", "macro", "micro"]
    assert table.rows[1][1:4] == [0.25, pytest.approx(1 / 3), pytest.approx(2 / 7)]
    (kinds,) = [table for table in view.tables if table.title.startswith("Errors by kind")]
    assert [row[0] for row in kinds.rows[:2]] == list(LABELS)
    signature, *rest = facts(view)
    assert signature.endswith("failed:1/6|v1")
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


@pytest.mark.parametrize("program", ["[]", '{"members": ["a", 1]}', '{"tag": {"demos": 3, "signature": "x"}}', '{"members": 3}'])
def test_an_invalid_program_leaves_the_prompt_out(tmp_path: Path, program: str) -> None:
    run = write_run(tmp_path / "run", some_sentences())
    (run / "program.json").write_text(program)
    view = views_of(run)["run"]
    assert (view.prompt, len(view.rows)) == (None, 6)


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
    assert groups[0].title == "mini test, 6 sentences"
    assert [[run.name for run in group.runs] for group in groups] == [["few_shot", "knn"], ["few_shot"], ["few_shot"]]


def test_otherwise_equal_runs_are_named_by_seed_or_folder(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 2)):
        write_run(tmp_path / name, some_sentences(), seed=seed)
    (group,) = group_runs(list(views_of(*(tmp_path / name for name in "abc")).values()))
    assert [run.name for run in group.runs] == ["few_shot, seed 1", "few_shot, seed 2, b", "few_shot, seed 2, c"]


def test_a_run_with_damaged_files_is_shown_as_far_as_possible(tmp_path: Path) -> None:
    for name in "abcd":
        write_run(tmp_path / name, some_sentences())
    (tmp_path / "b" / "predictions.jsonl").unlink()
    (tmp_path / "c" / "predictions.jsonl").write_text('{"id": "x", "tokens": ["a"], "gold": ["O"], "pred": []}\n')
    (tmp_path / "d" / "program.json").write_text("{")
    views = views_of(*(tmp_path / name for name in "abcd"))
    assert [len(view.rows) for view in views.values()] == [6, 0, 0, 6]
    assert "cannot be read" in views["b"].problem
    assert "is not a valid prediction" in views["c"].problem
    assert views["d"].prompt is None
    page = page_of(tmp_path / "page", report_of(*(tmp_path / name for name in "abcd")))
    assert "its sentences cannot be shown" in page
    assert len(embedded(page, "data")["runs"]) == 2


def test_prompts_are_rebuilt_from_the_folder(tmp_path: Path) -> None:
    views = views_of(write_run(tmp_path / "few", some_sentences()), write_run(tmp_path / "knn", some_sentences(), strategy="knn"))
    prompt = views["few"].prompt
    assert prompt is not None
    (question,) = prompt["questions"]
    roles = [role for role, _ in question["turns"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert question["turns"][0][1].startswith("Find signs.\n\nAnswer with one JSON object")
    assert [text for _, text in question["turns"][1:]] == ["no fever", '{"Disease": [], "Sign": ["fever"]}', prompt["slot"]]
    assert views["knn"].prompt is not None
    assert "1 nearest training sentences" in views["knn"].prompt["notes"][0]


def test_a_prompt_of_an_unknown_format_is_shown_as_the_program_stores_it() -> None:
    record = {"config": {"corpus": {}, "format": {"_target_": "os.system"}}}
    program = {"tag": {"demos": [DEMO], "signature": {"instructions": "Find signs."}}}
    prompt = recorded_prompt(record, program, LABELS)
    assert prompt is not None
    assert prompt["questions"][0]["turns"][:2] == [["system", "Find signs."], ["demonstration", "no/O fever/B-Sign"]]
    assert "cannot be built" in prompt["notes"][-1]
    assert recorded_prompt(record, {}, LABELS) is None


def test_each_member_of_an_ensemble_has_its_own_prompt() -> None:
    record = {"config": {"corpus": {}, "format": {"_target_": "clinspan.programs.formats.BioLines", "separator": "newline"}}}
    members = [{"tag": {"demos": [], "signature": {"instructions": words}}} for words in ("One.", "Two.")]
    prompt = recorded_prompt(record, {"members": members}, LABELS)
    assert prompt is not None
    assert [question["key"] for question in prompt["questions"]] == ["0:", "1:"]
    assert {question["separator"] for question in prompt["questions"]} == {"\n"}


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
    assert names == {"leaderboard.json", "leaderboard.md", "report.html", *wanted}
    assert (folder / "report.html").stat().st_mode & 0o077 == 0
    redacted = folder_of(command("report", "sweep", "redact=true")) / "report.html"
    assert "fever" not in redacted.read_text(encoding="utf-8")
    refused = command("report", "sweep", "redact=maybe")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
