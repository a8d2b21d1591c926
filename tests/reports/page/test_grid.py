"""The grid of sentences by runs in a browser: cells, order, filters, links, requests and replies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from clinspan.programs.app.report_content import build_report, load_job
from clinspan.reports.leaderboard import build_leaderboard
from clinspan.reports.page.page import write_page
from support.opened_page import Opened
from support.report_runs import sentence, some_sentences, write_run


def report(folder: Path, *runs: Path, redact: bool = False) -> Path:
    jobs = [load_job(path) for path in runs]
    folder.mkdir(exist_ok=True)
    return write_page(build_report(jobs, build_leaderboard(jobs), "made by a test", redact=redact), folder)


def others() -> list[dict[str, Any]]:
    """The sentences with three other predictions: wrong in sentence 0, right in sentences 1 and 4."""
    rows = some_sentences()
    rows[1] = sentence(1, "He has high fever .", "..Ss.", "..Ss.")
    rows[0] = sentence(0, "He has high fever .", "..Ss.", "....D", usage={"prompt_tokens": 1200, "answer_tokens": 7})
    rows[4] = sentence(4, "a cough came", ".S.", ".S.")
    return rows


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three runs: the first is `others`, the second and the third are alike, the third recorded no prompts."""
    tmp_path = tmp_path_factory.mktemp("three")
    config = {"model": {"temperature": 0, "path": "/secret/place", "_target_": "x"}, "corpus": {"labels": []}, "seed": 0}
    common: dict[str, Any] = {"rendered": True, "config": config}
    runs = [write_run(tmp_path / "a", others(), strategy="knn", choices={"strategy": "knn"}, **common)]
    for name, strategy in (("b", "few_shot"), ("c", "rag")):
        runs.append(write_run(tmp_path / name, some_sentences(), strategy=strategy, choices={"strategy": strategy}, **common))
    (runs[2] / "prompts.jsonl").unlink()
    return report(tmp_path / "page", *runs)


def cells(page: Any, n: int) -> list[str]:
    return list(page.locator(f'.row[data-n="{n}"] .cell').all_inner_texts())


def address(page: Any) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


def test_the_page_opens_on_a_row_a_sentence_and_a_cell_a_run(opened: Opened, three: Path) -> None:
    page = opened.open(three)
    assert opened.ids == ["doc1:0", "doc1:1", "doc2:1", "doc0:0", "doc0:1", "doc2:0"]
    assert [cells(page, n) for n in range(6)] == [
        ["M I", "✓", "✓"],
        ["✓", "E", "E"],
        ["T", "T", "T"],
        ["B", "B", "B"],
        ["✓", "!", "!"],
        ["I", "I", "I"],
    ]
    assert page.locator('.row[data-n="0"] .cell').first.get_attribute("aria-label") == "run 1: missed, invented"
    assert page.locator('.row[data-n="4"] .cell').last.get_attribute("aria-label") == "run 3: failed: timeout"
    assert page.locator('.row[data-n="0"] td.n').all_inner_texts() == ["2", "2"]  # two pairs of runs differ; two errors
    signs = page.locator("#legend .cell").all_inner_texts()
    assert signs == ["✓", "·", "M", "I", "E", "T", "B", "!"]
    assert page.locator("#leaderboard").is_hidden()
    assert opened.said == []


def test_a_sentence_without_mentions_that_is_right_has_a_sign_of_its_own(opened: Opened, tmp_path: Path) -> None:
    rows = [sentence(0, "all is well", "...", "..."), sentence(1, "a cough", ".S", ".S")]
    page = opened.open(report(tmp_path / "page", write_run(tmp_path / "run", rows)))
    assert [cells(page, n) for n in (0, 1)] == [["·"], ["✓"]]
    assert "differ" not in page.locator(".grid thead").inner_text()  # one run differs from none
    assert page.locator("#columns").is_hidden()


def test_order_by_columns(opened: Opened, three: Path) -> None:
    page = opened.open(three)
    page.click("[data-order='differing']")
    assert opened.ids[:3] == ["doc0:0", "doc0:1", "doc2:0"]
    page.click("[data-order='']")
    assert opened.ids == ["doc0:0", "doc0:1", "doc1:0", "doc1:1", "doc2:0", "doc2:1"]
    page.click("[data-order='run 2']")
    assert opened.ids[0] == "doc2:0"  # failed
    assert page.locator("th[aria-sort]").get_attribute("class") == "run"


@pytest.mark.parametrize(
    ("control", "value", "wanted"),
    [
        ("kind", "missed", ["doc0:0", "doc2:0"]),
        ("kind", "sentence failed", ["doc2:0"]),
        ("type", "Disease", ["doc0:0", "doc1:0", "doc1:1", "doc2:1"]),
        ("flip", "right in some runs only", ["doc0:0", "doc0:1", "doc2:0"]),
        ("flip", "right in no run", ["doc1:0", "doc1:1", "doc2:1"]),
        ("flip", "predicted otherwise by some run", ["doc0:0", "doc0:1", "doc2:0"]),
    ],
)
def test_filters_are_about_the_runs_shown(opened: Opened, three: Path, control: str, value: str, wanted: list[str]) -> None:
    page = opened.open(three)
    page.select_option(f"#{control}", label=value)
    assert sorted(opened.ids) == wanted
    page.click("button[type=reset]")
    assert len(opened.ids) == 6


def test_runs_can_be_left_out(opened: Opened, three: Path) -> None:
    page = opened.open(three)
    page.uncheck("#columns input[value='1']")
    assert cells(page, 0) == ["✓", "✓"]
    page.click("#legend [data-kind='3']")  # missed
    assert opened.ids == ["doc2:0"]
    assert address(page) == {"view": "grid", "runs": "2.3", "kind": "missed"}


def test_links_restore_what_is_seen_and_back_undoes_it(opened: Opened, three: Path) -> None:
    page = opened.open(three)
    page.select_option("#kind", label="missed")
    page.fill("#document", "doc0")
    assert opened.ids == ["doc0:0"]
    page.click('.row[data-n="0"] .cell[data-run="2"]')
    page.click('.row[data-n="0"] .cell[data-run="1"]')
    link = page.evaluate("location.hash.slice(1)")
    wanted = {"view": "grid", "a": "2", "b": "1", "kind": "missed", "document": "doc0", "s": "doc0:0"}
    assert address(page) == wanted
    page.click("nav [data-view=leaderboard]")
    assert page.locator("#leaderboard").is_visible()
    page.go_back()
    page.locator(".detail .sentence").wait_for()
    assert address(page) == wanted
    page.go_back()
    page.go_back()
    page.wait_for_function("document.querySelectorAll('.detail').length === 0")
    assert page.locator("#document").input_value() == "doc0"
    page.go_back()
    assert len(opened.ids) == 6
    page.go_forward()
    assert opened.ids == ["doc0:0"]
    opened.open(three.parent / "elsewhere" / ".." / three.name, link)
    page.reload()
    assert opened.ids == ["doc0:0"]
    labels = page.locator(".detail .chip.pred").all_inner_texts()
    assert [text for text in labels if text] == ["2 ✓ Sign .85", "1 ✕ Disease"]


@pytest.mark.parametrize("view", ["grid", "texts", "leaderboard", "g1"])
def test_every_view_has_a_link(opened: Opened, three: Path, view: str) -> None:
    page = opened.open(three, f"view={view}")
    shown = [section.get_attribute("id") for section in page.locator(".view").all() if section.is_visible()]
    assert shown == ["sentences" if view in ("grid", "texts") else view]
    assert page.locator("nav [aria-current]").get_attribute("data-view") == view


def test_a_link_to_an_unknown_sentence_or_value_says_so_or_is_ignored(opened: Opened, three: Path) -> None:
    page = opened.open(three, "view=nowhere&s=<b>x&kind=__proto__&order=run+77&runs=9&a=12&page=1e9&low=x")
    assert len(opened.ids) == 6
    assert page.locator("#missing").inner_text() == "The link's sentence <b>x is not on this page."
    opened.open(three, "view=grid&kind=missed&s=doc1:0")
    page.reload()
    assert "does not pass the filters" in page.locator("#missing").inner_text()
    assert opened.said == []


def test_keys_go_through_open_sentences(opened: Opened, three: Path) -> None:
    page = opened.open(three, "view=grid&order=")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.locator(".detail .sentence").get_attribute("data-n") == "0"
    page.keyboard.press("j")
    assert page.locator(".detail .sentence").get_attribute("data-n") == "1"
    assert address(page)["s"] == "doc0:1"
    page.keyboard.press("w")
    page.locator(".detail .document").wait_for()
    page.keyboard.press("Escape")
    assert page.locator(".detail").count() == 0
    assert page.evaluate("document.activeElement.dataset.n") == "1"


def test_request_parameters_reply_and_tokens_stand_in_tabs_and_can_be_copied(opened: Opened, three: Path) -> None:
    opened.page.add_init_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page = opened.open(three, "view=grid&s=doc0:0&a=1")
    page.click(".asks summary")
    box = page.locator(".asked")
    assert box.locator("[role=tab]").all_inner_texts() == ["Request", "Reply", "Parameters", "Tokens"]
    assert box.locator("pre").first.inner_text() == "Find signs."
    box.locator("button", has_text="Copy as JSON").click()
    assert page.evaluate("JSON.parse(window.copied)[0]") == {"role": "system", "content": "Find signs."}
    box.locator("button", has_text="Copy as rendered").click()
    assert page.evaluate("window.copied").startswith("<s>")
    box.locator("button", has_text=re.compile("^Copy(ed)?$|Copied")).first.click()
    assert page.evaluate("window.copied").startswith("[system]\nFind signs.\n")
    box.locator("[role=tab]", has_text="Reply").click()
    assert box.locator("pre").all_inner_texts() == ["answer 0"]
    box.locator("[role=tab]", has_text="Parameters").click()
    assert box.locator(".pairs").inner_text() == "model.temperature\t0"
    box.locator("[role=tab]", has_text="Tokens").click()
    assert box.locator(".pairs").inner_text().splitlines() == ["prompt tokens\t1,200", "answer tokens\t7"]
    assert opened.said == []


def test_a_run_without_recorded_prompts_says_so(opened: Opened, three: Path) -> None:
    page = opened.open(three, "view=grid&s=doc0:0&a=3")
    page.click(".asks summary")
    assert "the run has no prompts.jsonl" in page.locator(".asked").inner_text()
    page.click(".asked [role=tab]:has-text('Tokens')")
    assert "No tokens are recorded" in page.locator(".asked").inner_text()


@pytest.mark.long
def test_runs_over_other_sentences_have_a_grid_of_their_own(opened: Opened, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", some_sentences()), write_run(tmp_path / "b", some_sentences()[:2], strategy="knn")]
    page = opened.open(report(tmp_path / "page", *runs))
    assert page.locator(".strip:visible .of-what").inner_text() == "mini test, 6 sentences, 3 documents"
    page.select_option("#group", index=1)
    assert sorted(opened.ids) == ["doc0:0", "doc0:1"]
    assert page.locator(".strip:visible .of-what").inner_text() == "mini test, 2 sentences, 1 document"
    page.reload()
    assert sorted(opened.ids) == ["doc0:0", "doc0:1"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", ["view=grid", "view=grid&s=doc0:0&b=2", "view=texts&b=2", "view=leaderboard", "view=g1"])
def test_no_view_is_wider_than_the_screen(opened: Opened, three: Path, width: int, address: str) -> None:
    opened.page.set_viewport_size({"width": width, "height": 844})
    page = opened.open(three, address)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for cell in page.locator(".row .cell").all():
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_print_shows_the_grid_without_controls(opened: Opened, three: Path) -> None:
    page = opened.open(three)
    page.emulate_media(media="print")
    assert page.locator(".grid").is_visible()
    assert not page.locator("nav").is_visible()
    assert not page.locator("#panel").is_visible()


def test_a_redacted_page_has_a_grid_and_no_text(opened: Opened, tmp_path: Path) -> None:
    page = opened.open(report(tmp_path / "page", write_run(tmp_path / "run", some_sentences()), redact=True))
    assert [cells(page, n) for n in range(6)] == [["✓"], ["E"], ["T"], ["B"], ["!"], ["I"]]
    page.click(".row .what")
    assert page.locator(".detail .sentence").is_visible()
    assert page.locator(".asks").count() == 0
    assert not any(word in page.locator("body").inner_text() for word in ("fever", "Gaucher", "doc0"))
