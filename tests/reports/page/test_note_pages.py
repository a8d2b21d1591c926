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
    assert (page.evaluate(focused), counter.inner_text()) == ("feverSign .50", "1 / 3")
    page.keyboard.press("j")
    assert (page.evaluate(focused), counter.inner_text()) == ("RashSign .60", "2 / 3")
    assert page.locator("pre mark").nth(1).evaluate("e => e.getBoundingClientRect().top < innerHeight")
    page.keyboard.press("p")
    page.keyboard.press("k")
    assert counter.inner_text() == "3 / 3"
    page.click("button[value='1']")
    assert counter.inner_text() == "1 / 3"
    assert (opened.said, opened.asked) == ([], [page_path.as_uri()])


def test_a_phone_and_paper_show_confidences(opened: Opened, page_path: Path) -> None:
    opened.page.set_viewport_size({"width": 391, "height": 844})
    page = opened.open(page_path)
    assert page.locator("mark small").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 391
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("mark small").first.is_visible()
