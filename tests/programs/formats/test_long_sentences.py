"""Reading answers about very long sentences takes about linear time, and aligns as for short ones."""

from __future__ import annotations

import time

import pytest

from clinspan.programs.formats import Format
from clinspan.programs.formats.align import align
from clinspan.programs.formats.phrases import Phrases
from support.formats import FORMATS


def long_sentence(mentions: int) -> tuple[list[str], list[str]]:
    words = "no fever and severe cough with rare attacks of sudden pain since birth today".split()
    tokens = [words[number % len(words)] for number in range(16 * mentions)]
    tags = ["O"] * len(tokens)
    for number in range(mentions):
        tokens[16 * number + 5] = f"finding{number}"
        tags[16 * number + 5] = "B-Sign"
    return tokens, tags


def seconds(form: Format, mentions: int) -> float:
    """Process time of reading an answer about a long sentence that is not an exact echo of it, the shortest of two."""
    tokens, tags = long_sentence(mentions)
    shown = ["Today", *tokens, "(end)"]
    if isinstance(form, Phrases):
        said = {"": "\n".join(f"{token} : Sign" for token, tag in zip(tokens, tags) if tag != "O")}
    else:
        said = {q.key: form.answer(shown, ["O", *tags, "O"], q.key) for q in form.questions(shown, ())}
    times = []
    for _ in range(2):
        began = time.process_time()
        decoded = form.read(said, ["today", *tokens, "end"])
        times.append(time.process_time() - began)
        assert decoded.tags == ["O", *tags, "O"]
    return min(times)


@pytest.mark.parametrize("form", FORMATS)
def test_reading_100_000_characters_with_1_000_mentions_takes_about_linear_time(form: str) -> None:
    assert len(" ".join(long_sentence(1200)[0])) > 100_000
    ratio = seconds(FORMATS[form], 1200) / max(seconds(FORMATS[form], 300), 1e-3)
    assert ratio < 4 * 2.5, ratio  # quadratic time: 16


def test_long_texts_with_changes_everywhere_are_aligned_as_short_ones_are() -> None:
    tokens, _ = long_sentence(200)
    echoed = [token for number, token in enumerate(tokens) if number % 37 != 3]
    echoed = [word for number, token in enumerate(echoed) for word in ([token, "well"] if number % 41 == 5 else [token])]
    echoed[100] = echoed[100].upper()
    places = align(echoed, tokens)
    paired = [(place, token) for place, token in zip(places, tokens, strict=True) if place is not None]
    assert [place for place, _ in paired] == sorted({place for place, _ in paired})
    right = sum(echoed[place].casefold() == token for place, token in paired)
    assert right >= 0.99 * (len(tokens) - len(tokens) // 37 - 1)
