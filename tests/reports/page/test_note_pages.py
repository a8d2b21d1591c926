"""Pages of annotated notes in a browser: keys, counter, and nothing loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora.annotated import Annotated, Mention
from clinspan.reports.page.note_html import note_page
from support.opened_page import Opened

TEXT = "No fever.\n" + "Nothing else to report.\n" * 80 + "<script>alert(1)</script> Rash 🤒 and ataxia."


@pytest.fixture
def page_path(tmp_path: Path) -> Path:
    places = [(TEXT.index(words), words, 0.5 + n / 10) for n, words in enumerate(("fever", "Rash", "ataxia"))]
    mentions = tuple(Mention(at, at + len(words), "Sign", words, confidence) for at, words, confidence in places)
    path = tmp_path / "a.html"
    path.write_bytes(note_page(Annotated("a", TEXT, (), mentions, "model", "program"), ["Sign"], index="../index.html"))
    return path


def test_keys_go_from_mention_to_mention(opened: Opened, page_path: Path) -> None:
    page = opened.open(page_path)
    focused = "document.activeElement.textContent"
    counter = page.locator("output")
    assert counter.inner_text() == "3 mentions"
    page.keyboard.press("n")
    assert (page.evaluate(focused), counter.inner_text()) == ("feverSign .50", "1/3")
    page.keyboard.press("j")
    assert (page.evaluate(focused), counter.inner_text()) == ("RashSign .60", "2/3")
    assert page.locator("pre mark").nth(1).evaluate("e => e.getBoundingClientRect().top < innerHeight")
    page.keyboard.press("p")
    page.keyboard.press("k")
    assert counter.inner_text() == "3/3"
    page.click("[data-step='1']")
    assert counter.inner_text() == "1/3"
    assert (opened.said, opened.asked) == ([], [page_path.as_uri()])


def test_a_phone_and_paper_show_confidences(opened: Opened, page_path: Path) -> None:
    opened.page.set_viewport_size({"width": 391, "height": 844})
    page = opened.open(page_path)
    assert page.locator("mark small").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 391
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("mark small").first.is_visible()


def test_the_table_stands_beside_the_text_and_leads_to_it(opened: Opened, page_path: Path) -> None:
    page = opened.open(page_path)
    rows = page.locator("aside tbody tr")
    assert rows.all_inner_texts() == ["1\tfever\tSign\t.50", "2\tRash\tSign\t.60", "3\tataxia\tSign\t.70"]
    rows.nth(1).click()
    assert page.evaluate("document.activeElement.textContent") == "RashSign .60"
    assert page.locator("pre mark").nth(1).evaluate("e => e.getBoundingClientRect().top < innerHeight")
    assert page.locator("output").inner_text() == "2/3"
    assert page.locator("aside [aria-current]").inner_text().startswith("2")
    page.keyboard.press("j")
    assert page.locator("aside [aria-current]").inner_text().startswith("3")
    left, right = (page.locator(part).bounding_box() for part in (".review > pre", "aside"))
    assert left["x"] + left["width"] <= right["x"]


def test_slider_and_types_hide_mentions(opened: Opened, tmp_path: Path) -> None:
    text = "fever and cough, ataxia"
    found = (("fever", "Sign", 0.2), ("cough", "Symptom", 0.999), ("ataxia", "Sign", None))
    mentions = tuple(Mention(text.index(w), text.index(w) + len(w), label, w, c) for w, label, c in found)
    path = tmp_path / "a.html"
    path.write_bytes(note_page(Annotated("a", text, (), mentions, "m", "p"), ["Sign", "Symptom"]))
    page = opened.open(path)
    page.locator("#least").fill("0.5")
    assert page.locator("aside tbody tr:visible").all_inner_texts() == ["2\tcough\tSymptom\t>.99", "3\tataxia\tSign\t"]
    assert page.locator("output").inner_text() == "2 of 3 mentions"
    page.click("[data-type='1']")
    assert page.locator("[data-type='1']").get_attribute("aria-pressed") == "false"
    page.keyboard.press("j")
    assert page.locator("output").inner_text() == "1/1"
    assert page.locator("pre mark.off").all_text_contents() == ["feverSign .20", "coughSymptom >.99"]
    page.click("[data-type='1']")
    page.locator("#least").fill("0")
    assert page.locator("pre mark.off").count() == 0
    page.click("[data-doubt='1']")
    assert [row.split("\t")[0] for row in page.locator("aside tbody tr").all_inner_texts()] == ["1", "2", "3"]
    assert opened.said == []


def test_without_confidences_there_is_no_slider(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(note_page(Annotated("a", "fever", (), (Mention(0, 5, "Sign", "fever"),), "m", "p"), ["Sign"]))
    page = opened.open(path)
    assert page.locator("#least").count() == 0
    assert page.locator("output").inner_text() == "1 mention"
    path.write_bytes(note_page(Annotated("a", "well", (), (), "m", "p"), ["Sign"]))
    page = opened.open(path)
    page.keyboard.press("j")
    assert page.locator("aside").is_hidden()
    assert opened.said == []


def test_theme_and_paper(opened: Opened, page_path: Path) -> None:
    page = opened.open(page_path)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    page.click("#theme")
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert page.evaluate(paper) != light
    page.emulate_media(media="print")
    assert not page.locator("aside").is_visible()
