"""Tests of instructions: those written by hand, with the advice of a guideline, and those from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import InputError, Label
from clinspan.programs.building.build_instructions import build_instructions
from clinspan.programs.config.composition import compose, load_corpus
from clinspan.programs.tagging.instructions import from_file, handwritten

LABELS = [Label("Problem", "what is wrong"), Label("Drug")]
ABOUT_RAREDIS = ("articles", "negated mentions", "point back")


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.md"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_placeholders_are_filled_and_other_braces_stay(tmp_path: Path) -> None:
    text = '\ufeffFind {labels}.\r\n{definitions}\nAs {"a": [1]}, {}, {{labels}} or {patient}.\n'
    assert from_file(LABELS, written(tmp_path, text)) == (
        'Find Problem, Drug.\n- Problem: what is wrong\n- Drug\nAs {"a": [1]}, {}, {{labels}} or {patient}.'
    )


def test_a_label_that_looks_like_a_placeholder_is_not_filled_again(tmp_path: Path) -> None:
    assert from_file([Label("{definitions}")], written(tmp_path, "Find {labels}.")) == "Find {definitions}."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine\.md: is empty"),
        (" \n", r"mine\.md: is empty"),
        ("\nFind {lables}.", r"mine\.md:2: \{lables\} is not a placeholder\. Did you mean \{labels\}\? Write \{\{lables\}\}"),
        ("{Labels}", r"mine\.md:1: .* mean \{labels\}"),
        ("{ definition }", r"mine\.md:1: .* mean \{definitions\}"),
    ],
)
def test_a_file_without_text_or_with_a_misspelt_placeholder_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_file(LABELS, written(tmp_path, text))


def test_a_missing_file_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.md: cannot be read"):
        from_file(LABELS, str(tmp_path / "none.md"))
    with pytest.raises(InputError, match=r"prompt=file needs prompt\.path"):
        from_file(LABELS)


def test_the_advice_of_a_guideline_comes_before_the_rule_for_doubts() -> None:
    assert handwritten(LABELS).endswith("- Drug\nIf in doubt whether a word is part of a mention, tag it O.")
    assert handwritten(LABELS, "Without articles.").endswith(
        "\nWithout articles. If in doubt whether a word is part of a mention, tag it O."
    )


def instructions_for(*words: str) -> str:
    config, _, _ = compose("run", words)
    corpus = load_corpus(config)
    return build_instructions(config, corpus.labels, corpus)


def test_only_the_corpora_of_the_guideline_have_its_advice(tmp_path: Path) -> None:
    assert all(words in instructions_for() for words in ABOUT_RAREDIS)
    row = '{"text": "No fever.", "entities": [{"label": "Sign", "start": 3, "end": 8}]}\n'
    (tmp_path / "test.jsonl").write_text(row)
    other = ("corpus=jsonl", f"corpus.path={tmp_path}")
    assert not any(words in instructions_for(*other) for words in ABOUT_RAREDIS)
    assert "Keep doses apart. If in doubt" in instructions_for(*other, "corpus.advice=Keep doses apart.")
    assert instructions_for("corpus.advice=''") == handwritten(load_corpus(compose("run", [])[0]).labels)


def test_the_advice_of_both_corpora_is_the_same() -> None:
    advice = [compose("run", [f"corpus={name}"])[0].corpus.advice for name in ("raremini", "raredis")]
    assert advice[0] == advice[1] and advice[0].startswith("Mark a mention in full") and advice[0].endswith("do not.")
