"""The report's page in a browser: headless Chromium, driven by playwright."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from clinspan.programs.app.report_content import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import write_page
from support.opened_page import Opened
from support.report_runs import sentence, some_sentences, write_run

HOSTILE = "</script><img src=x onerror=alert(1)>"


def report(folder: Path, *runs: Path, redact: bool = False) -> Path:
    jobs = [load_job(path) for path in runs]
    folder.mkdir(exist_ok=True)
    return write_page(build_report(jobs, build_leaderboard(jobs), "made by a test", redact=redact), folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs: the second is wrong in sentence 0, and right in sentence 4."""
    tmp_path = tmp_path_factory.mktemp("two")
    other = some_sentences()
    other[0] = sentence(0, "He has high fever .", "..Ss.", "....D", confidence=[None, None, None, None, 0.3])
    other[4] = sentence(4, "a cough came", ".S.", ".S.", confidence=[None, 0.95, None])
    first = write_run(tmp_path / "a", some_sentences())
    return report(tmp_path / "page", first, write_run(tmp_path / "b", other, strategy="knn", instructions="Find all signs."))


def numbered(page: Any, text: str) -> str:
    """The value of the option whose text names the run."""
    return str(page.locator("#a option", has_text=text).get_attribute("value"))


def test_the_page_opens_without_errors_and_requests_nothing_else(opened: Opened, two: Path) -> None:
    page = opened.open(two)
    assert len(opened.ids) == 6
    assert page.locator("nav a").all_inner_texts() == ["Grid", "Texts", "Leaderboard", "Scores and figures"]
    assert page.locator("figure svg").count() == 5
    assert not page.locator("figure svg").first.is_visible()
    assert opened.said == []
    assert opened.asked == [two.as_uri()]


def test_spans_have_their_labels_and_errors_in_words(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    page.select_option("#a", numbered(page, "few_shot"))
    card = page.locator('.sentence[data-n="1"]')
    assert [text for text in card.locator(".chip.gold").all_inner_texts() if text] == ["Sign"]
    assert [text for text in card.locator(".chip.pred").all_inner_texts() if text] == ["✕ Sign .50"]
    assert card.locator(".findings").inner_text() == "wrong ends gold Sign “high fever”, predicted Sign “fever” .50"
    right = page.locator('.sentence[data-n="0"]')
    assert "✓ right" in right.inner_text()
    assert right.locator(".chip").all_inner_texts() == ["✓ Sign .85"]  # one name says both


@pytest.mark.parametrize(
    ("control", "value", "wanted"),
    [
        ("type", "Disease", [2, 3, 5]),
        ("kind", "wrong ends", [1]),
        ("kind", "sentence failed", [4]),
        ("kind", "answer repaired", [3]),
        ("document", "DOC1", [2, 3]),
        ("text", "High fev", [1, 0]),
        ("low", "0.6", [0]),
        ("high", "0.5", [1, 2]),
        ("wrong", None, [1, 2, 3, 4, 5]),
        ("order", "most errors first", [1, 2, 3, 4, 5, 0]),
        ("order", "as in the documents", [0, 1, 2, 3, 4, 5]),
        ("order", "least confident first", [2, 1, 0, 3, 4, 5]),
    ],
)
def test_filters(opened: Opened, two: Path, control: str, value: str | None, wanted: list[int]) -> None:
    page = opened.open(two, "view=texts")
    page.select_option("#a", numbered(page, "few_shot"))
    element = page.locator(f"#{control}")
    if value is None:
        element.check()
    elif element.evaluate("e => e.tagName") == "SELECT":
        element.select_option(label=value)
    else:
        element.fill(value)
    assert opened.ids == [f"doc{n // 2}:{n % 2}" for n in wanted]
    page.click("button[type=reset]")
    assert len(opened.ids) == 6


def test_filters_combine_and_may_leave_nothing(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    page.select_option("#a", numbered(page, "few_shot"))
    page.select_option("#type", label="Sign")
    page.check("#wrong")
    assert opened.ids == ["doc0:1", "doc1:0", "doc1:1", "doc2:0"]
    page.fill("#text", "nowhere")
    assert opened.ids == []
    assert "No sentence passes" in page.locator("#list").inner_text()


def test_two_runs_are_shown_side_by_side(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    few, knn = numbered(page, "few_shot"), numbered(page, "knn")
    page.select_option("#a", few)
    page.select_option("#b", knn)
    page.select_option("#flip", "flipped")
    assert opened.ids == ["doc0:0", "doc2:0"]
    assert f"flipped: only {few} is right" in page.locator(".sentence").first.inner_text()
    page.select_option("#flip", "second")
    assert opened.ids == ["doc2:0"]
    labels = [text for text in page.locator(".chip.pred").all_inner_texts() if text]
    assert labels == [f"{knn} ✓ Sign .95"]
    page.click("#difference summary")
    lines = page.locator("#difference pre").inner_text().splitlines()
    assert "-Find signs." in lines
    assert "+Find all signs." in lines
    page.select_option("#a", knn)
    page.select_option("#b", few)
    assert "+Find signs." in page.locator("#difference pre").inner_text().splitlines()


def test_request_and_reply_are_shown_on_demand(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    page.select_option("#a", numbered(page, "few_shot"))
    page.locator('.sentence[data-n="1"] .asks summary').click()
    page.wait_for_selector(".asked")
    texts = page.locator(".asked pre").all_inner_texts()
    assert texts[0].startswith("Find signs.")
    assert texts[-1] == "He has high fever ."
    assert "demonstrations: t:1" in page.locator(".asked").inner_text()
    page.click(".asked button:text-is('Reply')")
    assert page.locator(".asked pre").all_inner_texts() == ["answer 1"]
    page.locator('.sentence[data-n="5"] .asks summary').click()
    page.locator('.sentence[data-n="5"] .asked button:text-is("Reply")').click()
    assert page.locator('.sentence[data-n="5"]').locator("pre.answer").all_inner_texts() == ["found", "[]"]


def test_keys(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    page.select_option("#order", "")
    page.locator("#order").blur()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.n") == "1"
    page.keyboard.press("Enter")
    page.locator(".sentence").nth(1).locator(".asked").wait_for()
    page.keyboard.press("w")
    page.locator(".sentence").nth(1).locator(".document").wait_for()
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.dataset.n") == "0"
    page.keyboard.press("/")
    page.keyboard.type("cough")
    assert opened.ids == ["doc2:0"]


def test_dark_and_light(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    assert light != dark
    page.click("#theme")
    assert page.evaluate(paper) == light


def test_hostile_text_stays_text(opened: Opened, tmp_path: Path) -> None:
    labels = [HOSTILE, "constructor", "$x$"]
    tags = [f"B-{label}" for label in labels]
    row = {**sentence(0, "a b c", "...", "..."), "tokens": [HOSTILE, "__proto__", "\u202ec"], "gold": tags, "pred": tags[::-1]}
    row |= {"document": HOSTILE, "id": HOSTILE, "raw": {HOSTILE: HOSTILE}, "repairs": {HOSTILE: 1}, "error": HOSTILE}
    corpus = {"name": HOSTILE, "split": "test", "sha256": "1"}
    runs = [write_run(tmp_path / n, [row], labels=labels, instructions=HOSTILE + n, corpus=corpus, strategy=HOSTILE) for n in "ab"]
    page = opened.open(report(tmp_path / "page", *runs), "view=texts")
    page.select_option("#b", index=1)
    page.click("#difference summary")
    page.click(".asks summary")
    page.locator(".asked").first.wait_for()
    assert opened.ids == [HOSTILE]
    assert page.locator(".bit").first.inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert len(opened.asked) == 1
    assert opened.said == []


def test_injected_elements_load_and_run_nothing(opened: Opened, two: Path) -> None:
    page = opened.open(two, "view=texts")
    page.evaluate("""() => {
        const box = document.createElement("div");
        box.innerHTML = "<img src='https://127.0.0.1:9/x.png' onerror='document.title = 1'>";
        document.body.append(box);
    }""")
    page.wait_for_timeout(200)
    assert page.title() == "clinspan report"
    assert any("Content Security Policy" in line for line in opened.said)


def test_a_redacted_page_shows_no_text(opened: Opened, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", some_sentences())
    page = opened.open(report(tmp_path / "page", run, redact=True), "view=texts")
    text = page.locator("body").inner_text()
    assert len(opened.ids) == 6
    assert "Redacted" in text
    assert not any(word in text for word in ("fever", "Gaucher", "doc0", "Request and reply"))
    assert "✕ Sign .50" in text
    assert opened.said == []


def test_runs_over_different_sentences_are_not_shown_side_by_side(opened: Opened, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", some_sentences()), write_run(tmp_path / "b", some_sentences()[:2], strategy="knn")]
    page = opened.open(report(tmp_path / "page", *runs), "view=texts")
    assert page.locator("#b").is_disabled()
    page.select_option("#a", numbered(page, "knn"))
    assert sorted(opened.ids) == ["doc0:0", "doc0:1"]


def test_a_page_without_sentences_says_so(opened: Opened, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", some_sentences())
    (run / "predictions.jsonl").unlink()
    page = opened.open(report(tmp_path / "page", run))
    assert page.locator("#none").is_visible()
    assert opened.said == []


def many(n: int, seed: int) -> list[dict[str, Any]]:
    """Sentences of 24 tokens with two spans each."""
    rng = random.Random(seed)
    words = [f"word{k}" for k in range(5000)]
    rows = []
    for k in range(n):
        tags = ["." * 24, "." * 24]
        for side in (0, 1):
            start = rng.randrange(20)
            tags[side] = tags[side][:start] + "Ss" + tags[side][start + 2 :]
        text = " ".join(random.Random(k).choice(words) for _ in range(24))
        gold = random.Random(k).randrange(20)
        row = sentence(k, text, "." * gold + "Dd" + "." * (22 - gold), tags[1], confidence=[rng.random()] * 24)
        rows.append({**row, "raw": f"answer {k} " * 12})
    return rows


@pytest.mark.long
def test_twenty_thousand_sentences_open_in_three_seconds(opened: Opened, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run{n}", many(20_000, n), strategy=name) for n, name in enumerate(("few_shot", "knn"))]
    path = report(tmp_path / "page", *runs)
    began = time.monotonic()
    page = opened.open(path, "view=texts")
    page.wait_for_selector(".sentence")
    seconds = time.monotonic() - began
    print(f"{path.stat().st_size / 1e6:.1f} MB open in {seconds:.2f} s")
    assert seconds < 3
    assert page.locator("#found").inner_text() == "all 20,000 sentences"
    assert page.locator(".sentence").count() == 25
    page.fill("#text", "doc9999:1")
    assert opened.ids == ["doc9999:1"]
    page.fill("#text", "")
    page.select_option("#b", index=1)
    page.select_option("#flip", "other")
    page.fill(".page", "700")
    page.locator(".page").blur()
    assert len(opened.ids) == 25
    began = time.monotonic()
    page.locator(".next:visible").first.click()
    assert time.monotonic() - began < 1
    assert opened.said == []
