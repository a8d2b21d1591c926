"""Tests of instructions that quote annotation guidelines, with those of the bundled corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import InputError, Label
from clinspan.corpora.sources import RAREMINI
from clinspan.programs.building.build_instructions import build_instructions, guidelines_file, instruction_files
from clinspan.programs.config.composition import compose, load_corpus
from clinspan.programs.tagging.guidelines import blocks, excerpt, with_guidelines

TEXT = """# Rules

Mark every mention.

## Ends

| type | ends |
|---|---|
| Sign | without articles |
| Drug | with the dose |

- Skin rare diseases are named in full,
  with their kind.
- Ages are not marked.
"""
BUNDLED = (RAREMINI / "GUIDELINES.md").read_text(encoding="utf-8")


def instructions_for(*words: str) -> str:
    config = compose("run", ["prompt=guidelines", *words])[0]
    corpus = load_corpus(config)
    return build_instructions(config, corpus.labels, corpus)


def test_blocks_know_their_headings_and_the_head_of_their_table() -> None:
    found = list(blocks(TEXT))
    assert [block.text.split("\n")[0] for block in found] == [
        "Mark every mention.",
        "| Sign | without articles |",
        "| Drug | with the dose |",
        "- Skin rare diseases are named in full,",
        "- Ages are not marked.",
    ]
    assert found[0].above == ("# Rules",)
    assert found[1].above == ("# Rules", "## Ends", "| type | ends |", "|---|---|") and found[3].above == ("# Rules", "## Ends")


def test_what_names_a_type_comes_first_and_keeps_its_place() -> None:
    assert excerpt(TEXT, ["SkinRareDisease"], 15) == (
        "# Rules\n## Ends\n- Skin rare diseases are named in full,\n  with their kind."
    )
    assert excerpt(TEXT, ["Sign"], 16) == "# Rules\n## Ends\n| type | ends |\n|---|---|\n| Sign | without articles |"
    assert "Ages" not in excerpt(TEXT, ["Sign"], 17)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 900), st.lists(st.sampled_from(["Sign", "Symptom", "RareDisease"]), unique=True))
def test_an_excerpt_has_at_most_its_words_and_whole_lines_of_the_text(words: int, labels: list[str]) -> None:
    found = excerpt(BUNDLED, labels, words)
    assert len(found.split()) <= words and set(found.split("\n")) <= set(BUNDLED.split("\n")) | {""}


def test_a_whole_text_is_quoted_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "g.md").write_text(TEXT, encoding="utf-8")
    quoted = with_guidelines([Label("Sign", "what is seen"), Label("Drug")], str(tmp_path / "g.md"))
    assert f"- Sign: what is seen\n- Drug\nAnnotation guidelines:\n{TEXT.strip()}\nIf in doubt" in quoted


def test_the_guidelines_of_the_bundled_corpus_and_of_ones_own(tmp_path: Path) -> None:
    bundled = instructions_for()
    assert "Annotation guidelines:" in bundled and "`Symptom`" in bundled and len(bundled.split()) < 560
    assert len(instructions_for("prompt.words=null").split()) > len(bundled.split())
    (tmp_path / "own.md").write_text("A Sign ends before a comma.\n", encoding="utf-8")
    assert "A Sign ends before a comma." in instructions_for(f"corpus.guidelines={tmp_path / 'own.md'}")
    config = compose("run", ["prompt=guidelines", f"corpus.guidelines={tmp_path / 'own.md'}"])[0]
    assert list(instruction_files(config)) == ["corpus.guidelines"]
    assert not instruction_files(compose("run", [f"corpus.guidelines={tmp_path / 'own.md'}"])[0])


def test_raredis_has_a_summary() -> None:
    labels = [Label("RareDisease"), Label("SkinRareDisease"), Label("Disease"), Label("Sign"), Label("Symptom")]
    file = guidelines_file(compose("run", ["corpus=raredis", "prompt=guidelines"])[0])
    assert file is not None
    quoted = with_guidelines(labels, file, words=400)
    assert all(f"- {label.name}: " in quoted for label in labels) and "Abbreviations are 27 %" in quoted
    assert len(with_guidelines(labels, file).split()) < 500


def test_missing_guidelines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs the annotation guidelines of the corpus\. Add corpus\.guidelines=FILE"):
        with_guidelines([Label("Sign")])
    with pytest.raises(InputError, match=r"none\.md: cannot be read"):
        with_guidelines([Label("Sign")], guidelines=str(tmp_path / "none.md"))
    (tmp_path / "empty.md").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty\.md: is empty"):
        with_guidelines([Label("Sign")], guidelines=str(tmp_path / "empty.md"))
    with pytest.raises(InputError, match=r"prompt\.words"):
        with_guidelines([Label("Sign")], str(RAREMINI / "GUIDELINES.md"), words=0)
