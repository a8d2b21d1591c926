"""Tests of scores on the annotators' own character offsets."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.metrics.offset_scores import offset_scores

TOKENS = {"id": "d:0", "document": "d", "tokens": ["HTN/HLD", "and", "PE"], "offsets": [[0, 7], [8, 11], [12, 14]]}


def mention(label: str, *fragments: tuple[int, int]) -> dict[str, Any]:
    return {"label": label, "fragments": [list(piece) for piece in fragments]}


def row(gold: list[str], pred: list[str], *mentions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**TOKENS, "gold": gold, "pred": pred, "mentions": list(mentions), **changes}


def test_a_mention_is_right_at_its_own_offsets_alone() -> None:
    wide = row(["B-P", "O", "B-P"], ["B-P", "O", "B-P"], mention("P", (0, 3)), mention("P", (4, 7)), mention("P", (12, 14)))
    scores = offset_scores([wide], ["P"])
    assert scores is not None
    assert scores["micro"] == {"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5}
    ceiling = {"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "mentions": 3}
    assert scores["ceiling"] == {**ceiling, "discontinuous": 0, "other_ends": 2, "dropped": 0}


def test_causes_of_lost_annotations_are_told_apart() -> None:
    tags = ["B-P", "O", "O"]
    lost = row(tags, tags, mention("P", (0, 7)), mention("Q", (0, 7)), mention("P", (12, 14), (8, 11)), mention("P", (0, 7)))
    scores = offset_scores([lost], ["P", "Q"])
    assert scores is not None
    counts = {key: scores["ceiling"][key] for key in ("mentions", "discontinuous", "other_ends", "dropped")}
    assert counts == {"mentions": 3, "discontinuous": 1, "other_ends": 0, "dropped": 1}  # the repeated annotation counts once
    assert scores["per_type"]["Q"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_documents_are_kept_apart() -> None:
    first = row(["O", "O", "B-P"], ["O", "O", "O"], mention("P", (12, 14)))
    second = row(["O", "O", "O"], ["O", "O", "B-P"], document="e")
    scores = offset_scores([first, second], ["P"])
    assert scores is not None and scores["micro"]["f1"] == 0


@pytest.mark.parametrize("key", ["mentions", "offsets"])
def test_corpora_without_offsets_have_no_such_score(key: str) -> None:
    assert offset_scores([row(["O"] * 3, ["O"] * 3), row(["O"] * 3, ["O"] * 3, **{key: None})], ["P"]) is None
    assert offset_scores([], ["P"]) is None


def test_the_reading_of_tags_follows_the_mode() -> None:
    opened = row(["O", "O", "B-P"], ["O", "O", "I-P"], mention("P", (12, 14)))
    by_mode = {mode: offset_scores([opened], ["P"], mode) for mode in ("conlleval", "strict")}  # type: ignore[arg-type]
    assert by_mode["conlleval"]["micro"]["f1"] == 1 and by_mode["strict"]["micro"]["f1"] == 0  # type: ignore[index]


def test_every_lost_annotation_is_counted_by_its_cause() -> None:
    """A perfect tagger's loss, with several annotations of each cause; touching ends are no overlap."""
    tags = ["B-P", "O", "O"]
    pieces = [mention("P", (n, n + 1), (12, 14)) for n in range(5)]
    inside = [mention("P", (n, n + 2)) for n in range(4)]
    apart = [mention("P", (n, n + 2)) for n in range(7, 13)]
    scores = offset_scores([row(tags, tags, *pieces, *inside, *apart)], ["P"])
    assert scores is not None
    found = {key: scores["ceiling"][key] for key in ("mentions", "discontinuous", "other_ends", "dropped")}
    assert found == {"mentions": 15, "discontinuous": 5, "other_ends": 4, "dropped": 6}


def test_the_gold_tags_are_read_by_the_mode_too() -> None:
    opened = row(["O", "O", "I-P"], ["O", "O", "O"], mention("P", (12, 14)))
    ceilings = [offset_scores([opened], ["P"], mode)["ceiling"]["recall"] for mode in ("conlleval", "strict")]  # type: ignore[arg-type, index]
    assert ceilings == [1, 0]
