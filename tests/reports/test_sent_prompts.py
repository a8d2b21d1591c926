"""Tests of how what was sent in two runs is compared, and of the settings in which they differ."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.reports.sent_prompts import Part, prompts_compared, SentPrompts
from clinspan.reports.settings import setting_changes

IDS = [f"d:{n}" for n in range(4)]


def sent(system: str = "Tag.", *, ask: str = "No fever {}", sha: str = "", rendered: str = "", **ids: list[Any]) -> SentPrompts:
    """A run that asked about every sentence; `ids` are of demonstrations or chunks of the first two."""
    parts = [Part("system", system), *(Part("user", [ask.format(n)]) for n in range(4))]
    asked = {}
    for n, id in enumerate(IDS):
        own = ids if n < 2 else {}
        digest = f"{system}{ask}{sorted(own.items())}{sha}{n}"
        asked[id] = [{**own, "questions": [{"sha": digest, "turns": [0, n + 1]}]}]
    return SentPrompts(parts, asked, {IDS[0]: rendered} if rendered else {})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (sent(), "The prompts are the same."),
        (sent("Find."), "The instructions, or the rules of the format, differ for 4 of 4 sentences (100 %)."),
        (sent(demonstrations=["t:1"]), "Other demonstrations for 2 of 4 sentences (50 %)."),
        (sent(chunks=["a:1"]), "Other chunks for 2 of 4 sentences (50 %)."),
        (sent(ask="Text: {}"), "Demonstrations or questions are written in another way for 4 of 4 sentences (100 %)."),
        (sent(sha="x"), "Only one run's model is here and shows its template: 4 of 4 sentences (100 %)."),
        (sent(sha="x", rendered="<s>Tag."), "The model's template writes other text: 4 of 4 sentences (100 %)."),
    ],
)
def test_what_differs_is_said_with_its_share_in_both_directions(other: SentPrompts, said: str) -> None:
    first = sent(rendered="[INST]Tag.")
    assert prompts_compared(first, other, IDS)[0] == prompts_compared(other, first, IDS)[0] == [said]


def test_the_diff_is_of_the_first_sentence_that_differs() -> None:
    lines = prompts_compared(sent("Tag."), sent("Find."), IDS)[1]
    assert lines[0] == "Sentence d:0:"
    assert "-Tag." in lines
    assert "+Find." in lines
    rendered = prompts_compared(sent(rendered="[INST]Tag."), sent(sha="x", rendered="<s>Tag."), IDS)[1]
    assert rendered[-2:] == ["-[INST]Tag.", "+<s>Tag."]
    assert prompts_compared(sent(), sent(), IDS)[1] == []


def test_several_reasons_and_missing_sentences_are_all_said() -> None:
    other = sent("Find.", demonstrations=["t:1"], chunks=["a:1"])
    del other.asked["d:3"]
    assert prompts_compared(sent(), other, IDS)[0] == [
        "Of 1 of 4 sentences (25 %) what was sent is not recorded for both runs.",
        "The instructions, or the rules of the format, differ for 3 of 3 sentences (100 %).",
        "Other demonstrations for 2 of 3 sentences (67 %).",
        "Other chunks for 2 of 3 sentences (67 %).",
    ]
    assert prompts_compared(None, other, IDS) == (["What was sent is not recorded for both runs."], [])


def record(strategy: str, seed: int = 0, revision: str = "1", **keys: Any) -> dict[str, Any]:
    config = {"seed": seed, "strategy": {"_target_": strategy, **keys}, "model": {"dtype": "float32", "stop": [seed]}}
    return {"choices": {"strategy": strategy, "model": "m"}, "config": config, "model": {"id": "m", "revision": revision}}


def test_settings_of_another_option_are_compared_where_both_have_them() -> None:
    changes = setting_changes(record("few_shot", k=5, pool=None, draw="auto"), record("knn", 1, "2", k=3, pool=60))
    assert {change["key"]: (change["first"], change["second"]) for change in changes} == {
        "strategy": ("few_shot", "knn"),
        "strategy.k": (5, 3),
        "strategy.pool": (None, 60),
        "model.stop": ([0], [1]),
        "seed": (0, 1),
        "model.revision": ("1", "2"),
    }
    assert setting_changes(record("knn"), record("knn")) == []
