"""Tests of the tokenizer that learns from a train split where words must be cut: `tokenizer=fit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.build import Cutting
from clinspan.corpora.fidelity import changed_mentions
from clinspan.corpora.fitted_tokens import fit_rules, Rules
from clinspan.corpora.sources import Brat
from clinspan.corpora.types import Token
from clinspan.programs.building.build_run import Overrides, program_settings
from clinspan.programs.building.load_program import program_cut
from clinspan.programs.config.composition import compose
from clinspan.programs.tagging.saved_program import dump_program
from clinspan.programs.tagging.tagger import Tagger

TRAIN = [
    ("The hSOX2 gene, hGATA1 too.", ["SOX2", "GATA1"]),
    ("An antitumor and anticancer effect.", ["tumor", "cancer"]),
    ("Many mRNAs and two miRNAs.", ["mRNA", "miRNA"]),
    ("A bloodstream infection.", ["blood"]),
]
TEST = [("An hOCT4 clone; anticoagulant drugs, tRNAs, bloodstream.", ["OCT4", "coagulant", "tRNA", "blood"])]


def write(folder: Path, documents: list[tuple[str, list[str]]]) -> None:
    folder.mkdir(parents=True)
    for number, (text, mentions) in enumerate(documents):
        (folder / f"{number}.txt").write_text(text)
        rows = [f"T{n}\tThing {text.index(word)} {text.index(word) + len(word)}\t{word}\n" for n, word in enumerate(mentions, 1)]
        (folder / f"{number}.ann").write_text("".join(rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "c" / "train", TRAIN)
    write(tmp_path / "c" / "test", TEST)
    return tmp_path / "c"


def load(folder: Path, **keys: Any) -> Corpus:
    return Brat(path=str(folder), **keys).load()


def test_rules_are_learnt_from_train_and_cut_test(folder: Path) -> None:
    plain, fitted = load(folder), load(folder, tokenizer="fit")
    assert len(changed_mentions(plain.splits["test"])) == 4
    assert not changed_mentions(fitted.splits["test"]) and not changed_mentions(fitted.splits["train"])
    assert fitted.cut is not None
    assert fitted.cut["rules"] == {"case": True, "prefixes": ["anti"], "suffixes": ["s"], "words": {"bloodstream": [5]}}
    words = [word for sentence in fitted.sentences("test") for word in sentence.words]
    assert words[:6] == ["An", "h", "OCT", "4", "clone", ";"]


def test_annotations_of_test_teach_nothing(folder: Path) -> None:
    before = load(folder, tokenizer="fit")
    for path in (folder / "test").glob("*.ann"):
        path.write_text("")
    after = load(folder, tokenizer="fit")
    assert after.cut == before.cut
    assert [s.tokens for s in after.sentences("test")] == [s.tokens for s in before.sentences("test")]


def test_without_need_nothing_is_cut(tmp_path: Path) -> None:
    write(tmp_path / "c" / "train", [("Has fever.", ["fever"])])
    corpus = load(tmp_path / "c", tokenizer="fit")
    assert fit_rules(corpus.splits["train"]) == Rules()
    assert [s.words for s in corpus.sentences("train")] == [("Has", "fever", ".")]


def test_a_rule_that_costs_too_many_tokens_is_not_taken(tmp_path: Path) -> None:
    text = " ".join(["signs"] * 400)
    write(tmp_path / "c" / "train", [(f"{text} rashes mRNAs", ["rashe", "mRNA"])])
    rules = fit_rules(load(tmp_path / "c").splits["train"])
    assert "s" not in rules.suffixes and set(rules.words or {}) == {"rashes", "mRNAs"}


def test_fit_needs_a_train_split_or_rules(tmp_path: Path) -> None:
    write(tmp_path / "c", [("Has hSOX2 and hOCT4.", ["SOX2", "OCT4"]), ("Has hSOX2.", ["SOX2"]), ("An hSOX2.", ["SOX2"])])
    with pytest.raises(InputError, match=r"learns from a train split, and there is none.*corpus\.split"):
        load(tmp_path / "c", tokenizer="fit")
    divided = load(tmp_path / "c", tokenizer="fit", split=[0.5, 0.5])
    again = load(tmp_path / "c", split=[0.5, 0.5])
    assert {split: [d.id for d in ds] for split, ds in divided.splits.items()} == {
        split: [d.id for d in ds] for split, ds in again.splits.items()
    }
    given = load(tmp_path / "c", tokenizer="fit", rules=Rules(case=True).as_dict())
    assert not changed_mentions(given.splits["test"])
    with pytest.raises(InputError, match="has no rules here"):
        Cutting("fit")


@pytest.mark.parametrize(
    "rules",
    [3, {}, {**Rules().as_dict(), "case": 1}, {**Rules().as_dict(), "words": {"ab": [2]}}, {**Rules().as_dict(), "prefixes": [""]},
     {**Rules().as_dict(), "words": {"ab": [True]}}, {**Rules().as_dict(), "more": 1}],
)  # fmt: skip
def test_content_that_is_no_rules_is_refused(rules: Any) -> None:
    with pytest.raises(InputError, match="is not the rules of a fitted tokenizer"):
        Rules.of(rules)


def test_rules_survive_json_and_cut_the_same() -> None:
    rules = Rules(True, ("anti",), ("s",), {"bloodstream": [5]})
    again = Rules.of(json.loads(json.dumps(rules.as_dict())))
    for word in ("hSOX", "antitumors", "bloodstream", "anti", "s", "ABc"):
        assert [t.text for t in again.pieces(Token(word, 0, len(word)))] == [
            t.text for t in rules.pieces(Token(word, 0, len(word)))
        ]
    assert [t.text for t in rules.pieces(Token("antitumors", 3, 13))] == ["anti", "tumor", "s"]
    assert [(t.start, t.end) for t in rules.pieces(Token("antitumors", 3, 13))] == [(3, 7), (7, 12), (12, 13)]


def test_a_program_brings_its_rules_to_notes_and_corpora(folder: Path, tmp_path: Path) -> None:
    corpus = load(folder, tokenizer="fit")
    settings: dict[str, Any] = {"format": {"choice": "entities"}, "strategy": {"choice": "zero_shot", "demonstrations": "none"}}
    settings |= {"alignment": "tokens", "label_order": "corpus", "label_wording": "corpus"}
    content = dump_program(Tagger("Tag.", settings=settings), corpus)
    (tmp_path / "program.json").write_text(json.dumps(content))
    cut = program_cut(content, tmp_path)
    assert cut is not None and cut.names == corpus.cut
    for command, words, where in (("annotate", [], ""), ("run", ["corpus=brat"], "corpus")):
        config, chosen, keys = compose(command, [f"program={tmp_path}", *words])
        own = program_settings(config, Overrides(chosen, keys))[0]
        part = own[where] if where else own
        assert part.tokenizer == "fit" and part.rules["prefixes"] == ["anti"]
