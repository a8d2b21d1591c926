"""Sentences on the page as they are written, on a desk and on a phone; pages of runs whose files do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinspan.corpora.sources import Brat
from clinspan.programs.app.report_content import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import write_page
from support.opened_page import Opened
from support.report_runs import some_sentences, write_run
from support.runs_in_process import run_here

NOTE = (
    "History:\n\nSince Monday the patient has had a persistent and rather high\nfever with chills. No  cough.\n\n"
    "Plan:\nrest 🤒, Rash\n"
)
MARKS = (("high\nfever", "Sign"), ("cough", "Sign"), ("Rash", "Sign"))


def note_folder(folder: Path, text: str = NOTE) -> Path:
    """A brat corpus of one note."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number, (words, label) in enumerate(MARKS, 1):
        start = text.index(words)
        shown = words.replace("\n", " ")
        rows.append(f"T{number}\t{label} {start} {start + len(words)}\t{shown}\n")
    (folder / "note.txt").write_bytes(text.encode())
    (folder / "note.ann").write_text("".join(rows), encoding="utf-8")
    return folder


def tagged_note(tmp_path: Path) -> Path:
    """A run over the note, which misses all but `fever` and `Rash`."""
    corpus = note_folder(tmp_path / "notes")
    answers = []
    for sentence in Brat(path=str(corpus)).load().sentences("test"):
        found = "\n".join(f"{word} : {'B-Sign' if word in ('fever', 'Rash') else 'O'}" for word in sentence.words)
        answers.append(json.dumps({"id": sentence.id, "output": found}) + "\n")
    (tmp_path / "answers.jsonl").write_text("".join(answers), encoding="utf-8")
    replay = ["model=replay", f"model.path={tmp_path / 'answers.jsonl'}", "strategy=zero_shot"]
    run_here(tmp_path / "run", "corpus=brat", f"corpus.path={corpus}", *replay)
    return tmp_path / "run"


def page_of(run: Path, folder: Path) -> Path:
    jobs = [load_job(run)]
    folder.mkdir()
    return write_page(build_report(jobs, build_leaderboard(jobs), "made by a test", redact=False), folder)


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("note")
    return page_of(tagged_note(folder), folder / "page")


PLAIN = (
    """e => { const copy = e.cloneNode(true); copy.querySelectorAll('.chip').forEach(c => c.remove()); return copy.textContent; }"""
)


@pytest.mark.long
def test_the_text_is_shown_as_it_is_written(opened: Opened, note: Path) -> None:
    page = opened.open(note, "view=texts")
    card = page.locator(".sentence", has_text="wrong ends").first
    shown = card.locator(".line").first.evaluate(PLAIN)
    assert "rather high\nfever with chills." in shown
    assert "No  cough." in shown  # the next sentence, dimmed
    assert card.locator(".bit.g-wrong, .bit.p-wrong").all_text_contents() == ["fever"]
    page.locator(".sentence .whole summary").first.click()
    whole = page.locator(".document").first
    whole.wait_for()
    assert whole.evaluate(PLAIN) == NOTE
    assert "History:" in whole.inner_text()
    assert opened.said == []


def test_a_phone_folds_the_filters_and_has_no_empty_rows(opened: Opened, note: Path) -> None:
    opened.page.set_viewport_size({"width": 391, "height": 844})
    page = opened.open(note, "view=texts")
    assert not page.locator("#filters").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 391
    heights = "e => [e.getBoundingClientRect().height, parseFloat(getComputedStyle(e).lineHeight)]"
    for line in page.locator(".sentence > .line").all():
        height, one = line.evaluate(heights)
        rows = line.evaluate(
            "e => { const r = document.createRange(); r.selectNodeContents(e); return r.getClientRects().length; }"
        )
        assert height / one == pytest.approx(round(height / one), abs=0.2)
        assert round(height / one) <= rows + 4  # the note itself has empty lines
    page.click("#panel > summary")
    assert page.locator("#filters").is_visible()
    page.fill("#text", "Rash")
    assert len(opened.ids) == 1
    assert "1 set" in page.locator("#active").inner_text()


def test_a_changed_corpus_is_shown_as_tokens_with_the_reason(opened: Opened, tmp_path: Path) -> None:
    run = tagged_note(tmp_path)
    note_folder(tmp_path / "notes", NOTE + "More.")
    page = opened.open(page_of(run, tmp_path / "page"), "view=leaderboard")
    assert "has changed since this run" in page.locator("#leaderboard").inner_text()
    page.click("nav [data-view=texts]")
    assert "rather high fever with" in page.locator(".sentence", has_text="wrong ends").first.locator(".line").first.evaluate(PLAIN)


def test_predictions_that_do_not_fit_the_scores_are_not_listed(tmp_path: Path) -> None:
    rows = some_sentences()
    more, other = write_run(tmp_path / "more", rows), write_run(tmp_path / "other", rows)
    extra = [*rows, {**rows[0], "id": "doc9:0"}]
    (more / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in extra), encoding="utf-8")
    swapped = [{**row, "pred": row["gold"]} for row in rows]
    (other / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in swapped), encoding="utf-8")
    jobs = [load_job(more), load_job(other)]
    first, second = build_report(jobs, build_leaderboard(jobs), "", redact=False).views
    assert (len(first.rows), len(second.rows)) == (0, 0)
    assert "predictions.jsonl has 7 sentences, and scores.json is of 6. Score the run again" in first.problem
    assert f"gives other counts than scores.json has. Score the run again: clinspan score {other} write=true" in second.problem
