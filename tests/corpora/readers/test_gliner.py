"""GLiNER's training data: lists of tokens with inclusive spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import Gliner
from conftest import Command

ROW: dict[str, Any] = {"tokenized_text": ["Skin", "rash", ".", "No", "fever", "."], "ner": [[0, 1, "Sign"], [4, 4, "Sign"]]}


def load(path: Path, *rows: Any, **settings: Any) -> Corpus:
    path.write_text(json.dumps(list(rows)) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)), encoding="utf-8")
    return Gliner(path=str(path), **settings).load()


def tags(corpus: Corpus) -> list[str]:
    return [" ".join(sentence.tags) for sentence in corpus.sentences("test")]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_the_last_token_is_part_of_the_mention(tmp_path: Path, name: str) -> None:
    corpus = load(tmp_path / name, ROW, {**ROW, "id": "mine"})
    assert tags(corpus) == ["B-Sign I-Sign O O B-Sign O"] * 2
    first, second = corpus.splits["test"]
    assert first.id == "a-1" and second.id == "mine"
    assert first.text == "Skin rash . No fever ."
    assert [first.text[entity.start : entity.end] for entity in first.entities] == ["Skin rash", "fever"]
    assert not corpus.conversion["test"]


def test_the_text_can_be_split_into_sentences_between_its_tokens(tmp_path: Path) -> None:
    assert tags(load(tmp_path / "a.json", ROW, sentences="punctuation")) == ["B-Sign I-Sign O", "O B-Sign O"]


def test_mentions_that_overlap_follow_the_policy_and_are_counted(tmp_path: Path) -> None:
    row = {**ROW, "ner": [[0, 0, "Site"], [0, 1, "Sign"]]}
    corpus = load(tmp_path / "a.json", row)
    assert tags(corpus) == ["B-Sign I-Sign O O O O"] and corpus.conversion["test"] == {"overlap_longest": 1}
    assert tags(load(tmp_path / "a.json", row, overlap="first")) == ["B-Site O O O O O"]


def test_texts_without_tokens_and_tokens_of_white_space(tmp_path: Path) -> None:
    corpus = load(tmp_path / "a.json", {"tokenized_text": [], "ner": []}, {"tokenized_text": ["a", ""], "ner": [[0, 0, "Sign"]]})
    assert [sentence.words for sentence in corpus.sentences("test")] == [("a", " ")]
    assert corpus.conversion["test"] == {"texts_without_tokens": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ner": [[4, 6, "Sign"]]}, "the mention 4 6 does not lie in the 6 tokens"),
        ({"ner": [[1, 0, "Sign"]]}, "the mention 1 0 does not lie"),
        ({"ner": [["1", 1, "Sign"]]}, r"is not \[first, last, label\]"),
        ({"ner": [[1, 1]]}, r"is not \[first, last, label\]"),
        ({"ner": [[1, 1, ""]]}, "is not a BIO tag"),
        ({"tokenized_text": "text"}, "is not a list of tokens"),
        ({"tokenized_text": ["\ud83e"]}, "lone surrogate"),
        ({"ner": [[1, 1, "\ud83e"]]}, "lone surrogate"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "a.jsonl", ROW, {**ROW, **change})
    assert caught.value.line == 2
    for key in ("ner", "tokenized_text"):
        with pytest.raises(InputError, match=f"it has no '{key}'"):
            load(tmp_path / "a.jsonl", {name: value for name, value in ROW.items() if name != key})


def test_the_command_reads_splits_by_name(command: Command, tmp_path: Path) -> None:
    for name in ("pile_train.json", "pile_test.json"):
        (tmp_path / name).write_text(json.dumps([ROW]), encoding="utf-8")
    done = command("stats", "corpus=gliner", "corpus.path=.", "corpus.sentences=punctuation", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)["splits"]
    assert list(table) == ["train", "test"] and table["test"]["sentences"] == 2 and table["test"]["entities"] == {"Sign": 2}
