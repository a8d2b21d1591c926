"""Tests of the rules that cut texts: programs record them, and they are used wherever a program goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.sources import RareMini
from clinspan.programs.annotation.build_annotator import annotator_settings
from clinspan.programs.building.build_run import Overrides, program_settings
from clinspan.programs.building.text_cut import note_other_cut
from clinspan.programs.config.composition import compose
from clinspan.programs.tagging.saved_program import dump_program
from clinspan.programs.tagging.tagger import Tagger

PROTOCOL = {"tokenizer": "punctuation", "sentences": "punctuation"}
WORDS = {"tokenizer": "whitespace", "sentences": "lines"}
LABELS = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]


def saved(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"format": {"choice": "entities"}, "strategy": {"choice": "zero_shot", "demonstrations": "none"}}
    settings |= {"alignment": "tokens", "label_order": "corpus", "label_wording": "corpus"}
    corpus = Corpus("c", {}, (Label("Sign"),), phi=False, cut=WORDS)
    content = dump_program(Tagger("Tag.", settings=settings), corpus) | changes
    (folder / "program.json").write_text(json.dumps(content))
    return folder


def settings_of(command: str, *words: str) -> Any:
    config, chosen, keys = compose(command, words)
    return program_settings(config, Overrides(chosen, keys))[0]


def test_a_program_records_the_cut_of_its_corpus(tmp_path: Path) -> None:
    assert json.loads((saved(tmp_path) / "program.json").read_text())["cut"] == WORDS
    assert RareMini(labels=LABELS, definitions={}).load().cut == PROTOCOL


def test_notes_and_corpora_are_cut_as_the_program_says(tmp_path: Path) -> None:
    program = f"program={saved(tmp_path)}"
    notes = settings_of("annotate", program)
    assert (notes.tokenizer, notes.sentences) == ("whitespace", "lines")
    corpus = settings_of("run", program, "corpus=brat").corpus
    assert (corpus.tokenizer, corpus.sentences) == ("whitespace", "lines")
    own = settings_of("run", program, "corpus=brat", "corpus.tokenizer=clinical").corpus
    assert (own.tokenizer, own.sentences) == ("clinical", "lines")
    own = settings_of("annotate", program, "sentences=clinical")
    assert (own.tokenizer, own.sentences) == ("whitespace", "clinical")


def test_without_a_program_notes_are_cut_by_the_clinical_rules() -> None:
    config, chosen, keys = compose("annotate", [])
    notes, _ = annotator_settings(config, Overrides(chosen, keys))
    assert (notes.tokenizer, notes.sentences) == ("clinical", "clinical")


def test_a_program_that_names_no_cut_was_made_on_words(tmp_path: Path) -> None:
    notes = settings_of("annotate", f"program={saved(tmp_path, cut=None)}")
    assert (notes.tokenizer, notes.sentences) == ("punctuation", "clinical")


@pytest.mark.parametrize(
    "cut", [3, [], {}, {"tokenizer": "clinical"}, {"tokenizer": "x", "sentences": "lines"}, {**WORDS, "more": 1}]
)
def test_a_cut_that_is_none_is_refused(tmp_path: Path, cut: Any) -> None:
    with pytest.raises(InputError, match="cut does not name a tokenizer and a rule of sentences"):
        settings_of("run", f"program={saved(tmp_path, cut=cut)}")


def test_another_cut_than_the_programs_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = Corpus("mine", {}, (Label("Sign"),), cut=PROTOCOL)
    note_other_cut({"cut": WORDS}, corpus)
    assert "cut with tokenizer=whitespace sentences=lines; mine is cut with tokenizer=punctuation" in capsys.readouterr().err
    note_other_cut({"cut": PROTOCOL}, corpus)
    note_other_cut({"cut": None}, corpus)
    note_other_cut({}, corpus)
    note_other_cut({"cut": WORDS}, replace(corpus, cut=None))
    assert not capsys.readouterr().err
