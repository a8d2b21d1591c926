"""Finding mentions against a comparison of every range of tokens, and the folding of marks."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora.words import Words
from clinspan.programs.formats.matching import DASHES, folded, MentionFinder, VISIBLE

PIECE = st.text(alphabet="aAbé’'\u2011-−\u200b\u00ad \u0301", max_size=3)


def spelt(text: str) -> str:
    return "".join(text.split())


def ranges(tokens: Sequence[str], mention: str, form: Callable[[str], str]) -> list[tuple[int, int]]:
    """Every range of tokens with the mention's text in a form; it begins and ends with a token that is not empty in that form."""
    plain = [form(token) for token in tokens]
    wanted = form(mention)
    return [
        (start, end)
        for start in range(len(plain))
        for end in range(start + 1, len(plain) + 1)
        if wanted and plain[start] and plain[end - 1] and "".join(plain[start:end]) == wanted
    ]


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECE, max_size=7), st.data())
def test_all_ranges_of_the_strictest_form_that_matches_are_found(tokens: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(tokens)))
    end = data.draw(st.integers(start, len(tokens)))
    part = data.draw(st.sampled_from(["", " "])).join(tokens[start:end])
    mention = data.draw(st.sampled_from([part, part.upper(), folded(part), part + "a", part.replace("-", "—")]))
    joined = data.draw(st.sets(st.integers(1, 6)))
    inside = {n for n in joined if n < len(tokens) and tokens[n - 1].isalnum() and tokens[n].isalnum()}
    forms = [(spelt, {}), (folded, {"respelt_mention": 1}), (lambda text: folded(text).casefold(), {"changed_case": 1})]
    expected = next(
        ((found, acts) for form, acts in forms if (found := ranges(tokens, mention, form))), ([], {"mention_not_found": 1})
    )
    whole = [(first, last) for first, last in expected[0] if first not in inside and last not in inside]
    repairs: Counter[str] = Counter()
    found = MentionFinder(Words(tokens, joined)).places(mention, repairs)
    assert (sorted(found), dict(repairs)) == (whole or expected[0], expected[1])
    if not inside:
        assert MentionFinder(tokens).places(mention, repairs) == found


def places(tokens: str, *mentions: str) -> tuple[list[list[tuple[int, int]]], dict[str, int]]:
    repairs: Counter[str] = Counter()
    finder = MentionFinder(tokens.split("|"))
    return [finder.places(mention, repairs) for mention in mentions], dict(repairs)


def test_repairs_are_counted_by_mention() -> None:
    found, repairs = places(
        "Pain|and|pain|in|Crohn|’s|1|,|000", "pain", "PAIN", "Crohn's", "1,000", "cough", "", "rash", "PaIN", "ain"
    )
    assert found == [[(2, 3)], [(0, 1), (2, 3)], [(4, 6)], [(6, 9)], [], [], [], [(0, 1), (2, 3)], []]
    assert repairs == {"changed_case": 2, "respelt_mention": 1, "mention_not_found": 4}


def test_occurrences_may_overlap_and_keep_their_order() -> None:
    assert places("a|b|a|b|a", "a b a")[0] == [[(0, 3), (2, 5)]]
    assert places("aa|a|aa", "aaa")[0] == [[(0, 2), (1, 3)]]
    assert places("a|\u200b|a", "aa") == ([[(0, 3)]], {"respelt_mention": 1})


def test_places_inside_a_written_word_count_only_without_others() -> None:
    """The tokens `CD` and `4` are one word where they touch; punctuation ends a word."""
    repairs: Counter[str] = Counter()
    tokens = ["CD", "4", "and", "CD", "4", "cd", "/", "CD"]
    assert MentionFinder(Words(tokens, [1, 6, 7])).places("CD", repairs) == [(3, 4), (7, 8)]
    assert MentionFinder(Words(tokens, [1, 6, 7])).places("4", repairs) == [(4, 5)]
    assert MentionFinder(Words(tokens, [1, 4])).places("4", repairs) == [(1, 2), (4, 5)]
    assert MentionFinder(Words(tokens, [1])).places("CD4", repairs) == [(0, 2), (3, 5)]
    assert not repairs


@pytest.mark.parametrize("mark", "'’‘‚‛`´′ʹʼʻ‵＇")
def test_apostrophes_and_primes_are_one(mark: str) -> None:
    assert folded(f"a{mark}b") == "a'b"


@pytest.mark.parametrize("mark", '"“”„‟″«»＂‶')
def test_quotes_are_one(mark: str) -> None:
    assert folded(f"a{mark}b") == 'a"b'


@pytest.mark.parametrize("mark", [*"-‐‑‒–—−﹣－", "\u2e3a", "\u301c"])
def test_dashes_are_one(mark: str) -> None:
    assert folded(f"a{mark}b") == "a-b"
    assert mark in DASHES or unicodedata.category(mark) == "Pd"


@pytest.mark.parametrize("mark", "\u00ad\u200b\u200c\u200d\u2060\ufeff")
def test_zero_width_characters_are_left_out(mark: str) -> None:
    assert folded(f"a{mark}b") == f"a{mark}b".translate(VISIBLE) == "ab"


def stands_alone(mark: str) -> bool:
    """Whether a character does not combine with the one before, as `¸` does once its blank is left out."""
    return not any(unicodedata.combining(part) for part in unicodedata.normalize("NFKC", mark))


MARKS = st.one_of(st.characters(max_codepoint=0x24F), st.sampled_from("αΩ−–’“″ﬁ²½…\u200b\u3000\u2011")).filter(stands_alone)


@given(st.text(MARKS, max_size=20))
def test_folding_again_or_in_another_normal_form_changes_nothing(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert folded(unicodedata.normalize("NFD", text)) == once
    assert not any(mark.isspace() for mark in once)


def test_case_is_kept() -> None:
    assert folded("Niemann\u2011Pick TYPE c") == "Niemann-PickTYPEc"
    assert folded("ﬁn²") == "fin2"
    plain = "".join(chr(n) for n in range(33, 127) if chr(n) not in "`")
    assert folded(plain) == plain
