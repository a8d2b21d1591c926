"""Tests of joining the parts of a sentence that was cut."""

from __future__ import annotations

from typing import Any

from clinspan.corpora import Sentence, Token
from clinspan.programs.annotation.segments import full_annotations, merge_segments, sentence_mentions, Tagged

TEXT = "no Wilson disease here"


def part(words: list[tuple[str, int]], tags: list[str], mentions: list[tuple[str, list[list[int]], float | None]]) -> Tagged:
    tokens = tuple(Token(word, start, start + len(word)) for word, start in words)
    listed: list[dict[str, Any]] = [{"label": label, "fragments": at, "confidence": value} for label, at, value in mentions]
    sentence = Sentence(f"0:{words[0][1]}", "d", tokens, ("O",) * len(tokens))
    return sentence, {"pred": tags, "confidence": [0.9] * len(tags), "pred_mentions": listed}


def test_a_mention_across_a_cut_is_one_in_tags_and_among_the_listed_ones() -> None:
    first = part([("no", 0), ("Wilson", 3)], ["O", "B-D"], [("D", [[1, 2]], 0.8), ("N", [[1, 2]], 0.7)])
    second = part([("disease", 10), ("here", 18)], ["B-D", "O"], [("D", [[0, 1]], 0.6), ("G", [[0, 2]], None)])
    (joined,) = merge_segments([first, second], {10})
    assert [(one.start, one.end) for one in sentence_mentions(TEXT, *joined)] == [(3, 17)]
    found = full_annotations([joined]) or []
    assert {(one.entity.label, one.entity.fragments, one.confidence) for one in found} == {
        ("D", ((3, 17),), 0.6),
        ("N", ((3, 9),), 0.7),
        ("G", ((10, 22),), None),
    }


def test_mentions_of_whole_sentences_and_in_pieces_stay_apart() -> None:
    first = part([("no", 0), ("Wilson", 3)], ["O", "B-D"], [("D", [[1, 2]], 0.8), ("N", [[0, 1], [1, 2]], 0.5)])
    second = part([("disease", 10), ("here", 18)], ["B-D", "O"], [("D", [[0, 1]], 0.6), ("N", [[0, 1]], 0.5)])
    assert len(full_annotations(merge_segments([first, second], set())) or []) == 4
    assert len(full_annotations(merge_segments([first, second], {10})) or []) == 3
