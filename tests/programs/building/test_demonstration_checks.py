"""Tests of what is said about demonstrations before anything is sent: strange tags, lost mentions, texts that are tagged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import RareMini
from clinspan.programs.building.demonstration_checks import check_tags, lost_mentions, remarks, unshown
from clinspan.programs.formats import BioLines, Entities, Inline
from clinspan.programs.formats.types import Decoded
from clinspan.programs.tagging.strategy import as_demonstration
from conftest import Command, load
from support.scripted_models import NAMES

CORPUS = RareMini(labels=NAMES, definitions={}).load()
TRAIN = [sentence for sentence in CORPUS.sentences("train") if any(tag != "O" for tag in sentence.tags)]


@pytest.mark.parametrize("kind", [BioLines, Entities, Inline])
def test_every_mention_of_a_train_sentence_is_found_again(kind: Any) -> None:
    adapter = kind(labels=CORPUS.labels)
    assert sum(lost_mentions(as_demonstration(sentence), adapter) for sentence in TRAIN[:60]) == 0


class Forgetful(Entities):
    """Reads no answer."""

    def read(self, answers: Any, tokens: Any) -> Decoded:
        return Decoded(["O"] * len(tokens), {}, [None] * len(tokens))  # type: ignore[arg-type]


def test_lost_mentions_and_tagged_texts_are_said_by_id_without_text() -> None:
    demos = [as_demonstration(sentence) for sentence in TRAIN[:5]]
    lost, seen = remarks(demos, Forgetful(labels=CORPUS.labels), TRAIN[:1])
    assert "not found again in the text when the shown answer is read" in lost and "and 2 more" in lost
    assert seen == f"demonstrations: 1 is a sentence that is tagged, so scores are too high ({TRAIN[0].id})"
    assert not list(remarks(demos, Entities(labels=CORPUS.labels), TRAIN[5:9]))


def test_labels_that_a_program_does_not_show_are_named() -> None:
    demos = [{"tokens": ["fever"], "tags": ["B-Sign"]}]
    assert list(unshown(demos, ["Sign", "Symptom"])) == ["demonstrations: the program's sentence shows no Symptom"]
    assert not list(unshown(demos, ["Sign"])) and not list(unshown([], ["Sign"]))


@pytest.mark.parametrize(
    ("demo", "message"),
    [
        ({"tokens": ["a"], "tags": ["B-Age"]}, "demonstration without an id has the tag B-Age, which is none of the corpus"),
        ({"id": "d:1", "tokens": ["a"], "tags": ["Sign"]}, "has the tag Sign"),
    ],
)
def test_tags_that_do_not_fit_are_refused(demo: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_tags(demo, ["Sign"])


def test_a_run_says_that_its_demonstrations_are_tagged_themselves(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text('{"output": "x : O"}\n', encoding="utf-8")
    chosen = next(s for s in CORPUS.sentences("train") if len(s.tokens) > 5)
    first = next(iter(CORPUS.sentences("train"))).id
    words = ["model=replay", "model.path=out.jsonl", "limit=1", "hydra.run.dir=a"]
    done = command("run", *words, "split=train", f"strategy.ids=[{first}]")
    assert done.returncode == 0, done.stderr
    assert ("is a sentence that is tagged" in done.stderr) == (chosen.id == first)
    program = load(tmp_path / "a" / "program.json")
    program["tag"]["demos"][0]["tags"][0] = "B-Nonsense"
    (tmp_path / "p.json").write_text(json.dumps(program), encoding="utf-8")
    refused = command("run", *words[:-1], "program=p.json")
    assert refused.returncode == 2 and f"demonstration {first} has the tag B-Nonsense" in refused.stderr
