"""Tests of mentions that are nested, overlap or are in pieces, read with `corpus.mentions=full`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from clinspan.corpora import Corpus, Entity, FullMention, InputError, Token
from clinspan.corpora.bio import Policies
from clinspan.corpora.full_mentions import full_rows, merged
from clinspan.corpora.sources import BioC, Brat, Gliner, Jsonl, PubTator, RareDis
from conftest import Command

TEXT = "Pain in arms and legs, acute renal failure. No fever."
PIECES = [(0, 7), (17, 21)]  # Pain in ... legs
MENTIONS = [("Sign", [(0, 12)]), ("Sign", PIECES), ("Disease", [(23, 42)]), ("Organ", [(29, 34)]), ("Sign", [(47, 52)])]
FULL = [
    [
        FullMention("Sign", ((0, 3),)),
        FullMention("Sign", ((0, 2), (4, 5))),
        FullMention("Organ", ((7, 8),)),
        FullMention("Disease", ((6, 9),)),
    ],
    [FullMention("Sign", ((1, 2),))],
]


def brat(folder: Path) -> Corpus:
    spans = [(label, ";".join(f"{a} {b}" for a, b in pieces), " ".join(TEXT[a:b] for a, b in pieces)) for label, pieces in MENTIONS]
    (folder / "a.txt").write_text(TEXT)
    (folder / "a.ann").write_text("".join(f"T{n}\t{label} {at}\t{text}\n" for n, (label, at, text) in enumerate(spans, 1)))
    return Brat(path=str(folder), mentions="full").load()


def bioc(folder: Path) -> Corpus:
    annotations = [
        {
            "id": str(n),
            "infons": {"type": label},
            "text": " ".join(TEXT[a:b] for a, b in pieces),
            "locations": [{"offset": a, "length": b - a} for a, b in pieces],
        }
        for n, (label, pieces) in enumerate(MENTIONS)
    ]
    passage = {"offset": 0, "text": TEXT, "annotations": annotations, "relations": [], "infons": {}}
    collection = {"documents": [{"id": "a", "infons": {}, "passages": [passage]}]}
    (folder / "test.json").write_text(json.dumps(collection))
    return BioC(path=str(folder), mentions="full").load()


def jsonl(folder: Path) -> Corpus:
    entities = [{"label": label, "fragments": [list(piece) for piece in pieces]} for label, pieces in MENTIONS]
    (folder / "test.jsonl").write_text(json.dumps({"id": "a", "text": TEXT, "entities": entities}))
    return Jsonl(path=str(folder), mentions="full").load()


@pytest.mark.parametrize("read", [brat, bioc, jsonl])
def test_readers_keep_all_mentions_with_all_pieces(read: object, tmp_path: Path) -> None:
    corpus: Corpus = read(tmp_path)  # type: ignore[operator]
    assert corpus.full and [list(sentence.full or ()) for sentence in corpus.sentences("test")] == FULL
    assert [sentence.tags for sentence in corpus.sentences("test")] == [
        ("B-Sign", "I-Sign", "I-Sign", "O", "O", "O", "B-Disease", "I-Disease", "I-Disease", "O"),
        ("O", "B-Sign", "O"),
    ]
    assert [label.name for label in corpus.labels] == ["Disease", "Organ", "Sign"]  # no tag has Organ


def test_pubtator_and_gliner_keep_nested_mentions(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text(
        "7|t|Acute renal failure\n7|a|\n7\t0\t19\tAcute renal failure\tDisease\n7\t6\t11\trenal\tOrgan\n"
    )
    (sentence,) = PubTator(path=str(tmp_path), mentions="full").load().sentences("test")
    nested = (FullMention("Organ", ((1, 2),)), FullMention("Disease", ((0, 3),)))
    assert sentence.full == nested and sentence.tags == ("B-Disease", "I-Disease", "I-Disease")
    row = {"tokenized_text": ["Acute", "renal", "failure"], "ner": [[0, 2, "Disease"], [1, 1, "Organ"]]}
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "test.json").write_text(json.dumps([row]))
    (sentence,) = Gliner(path=str(tmp_path / "g"), mentions="full").load().sentences("test")
    assert sentence.full == nested


def test_without_the_setting_nothing_changes(tmp_path: Path) -> None:
    full = brat(tmp_path)
    flat = Brat(path=str(tmp_path)).load()
    assert not flat.full and all(sentence.full is None for sentence in flat.sentences("test"))
    assert [sentence.tags for sentence in flat.sentences("test")] == [sentence.tags for sentence in full.sentences("test")]
    assert flat.sha256 != full.sha256
    other = Brat(path=str(tmp_path), mentions="full", map={"Organ": None}).load()
    assert other.sha256 != full.sha256 and "Organ" not in {label.name for label in other.labels}


def test_raredis_has_full_mentions_of_its_five_labels(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.txt").write_text("Hepatic and renal failure. The disease is rare.")
    ann = "T1\tSIGN 0 7;18 25\tHepatic failure\nT2\tSIGN 12 25\trenal failure\nT3\tANAPHOR 27 38\tThe disease\n"
    (tmp_path / "test" / "a.ann").write_text(ann)
    corpus = RareDis(path=str(tmp_path), labels=["Sign", "RareDisease"], definitions={}, mentions="full").load()
    rows = [list(sentence.full or ()) for sentence in corpus.sentences("test")]
    assert rows == [[FullMention("Sign", ((0, 1), (3, 4))), FullMention("Sign", ((2, 4),))], []]


def test_wrong_values_and_labels_are_refused(tmp_path: Path) -> None:
    brat(tmp_path)
    with pytest.raises(InputError, match=r"corpus\.mentions=all is not known. Use flat or full"):
        Brat(path=str(tmp_path), mentions="all").load()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has mentions of the label Organ, which corpus.labels lacks"):
        Brat(path=str(tmp_path), mentions="full", labels=["Sign", "Disease"]).load()


def test_pieces_in_two_sentences_follow_the_policy_and_are_counted(tmp_path: Path) -> None:
    sentences = [[Token("No", 0, 2), Token("rash", 3, 7)], [Token("Mild", 8, 12), Token("fever", 13, 18)]]
    entity = Entity("Sign", ((3, 7), (13, 18)))
    one, other = FullMention("Sign", ((1, 2),)), FullMention("Sign", ((1, 2),))
    for crossing, rows in (("split", [(one,), (other,)]), ("first", [(one,), ()]), ("drop", [(), ()])):
        found, acts = full_rows(sentences, [entity], Policies(crossing=crossing))  # type: ignore[arg-type]
        assert found == rows and acts == {"pieces_in_two_sentences": 1}


def test_rows_equal_those_found_token_by_token() -> None:
    """Against brute force: a token belongs to a mention if they share a character."""
    rng = random.Random(7)
    for _ in range(300):
        tokens, at = [], 0
        for _ in range(rng.randint(1, 8)):
            size = rng.randint(1, 3)
            tokens.append(Token("x" * size, at, at + size))
            at += size + rng.randint(0, 2)
        entities = []
        for _ in range(rng.randint(0, 4)):
            pieces = [tuple(sorted(rng.sample(range(at + 1), 2))) for _ in range(rng.randint(1, 3))]
            entities.append(Entity(rng.choice("AB"), tuple(pieces)))  # type: ignore[arg-type]
        (row,), _ = full_rows([tokens], entities, Policies())
        expected = set()
        for entity in entities:
            inside = [n for n, t in enumerate(tokens) if any(t.start < b and a < t.end for a, b in entity.fragments)]
            if inside:
                expected.add(FullMention(entity.label, merged((n, n + 1) for n in inside)))
        assert set(row) == expected and len(row) == len(expected)
        assert [(one.end, one.start) for one in row] == sorted((one.end, one.start) for one in row)


def test_the_setting_is_given_on_the_command_line(tmp_path: Path, command: Command) -> None:
    (tmp_path / "notes").mkdir()
    brat(tmp_path / "notes")
    done = command("stats", "corpus=brat", "corpus.path=notes", "corpus.mentions=full", "--json")
    assert done.returncode == 0 and '"Organ": 0' in done.stdout
    done = command("stats", "corpus=brat", "corpus.path=notes", "corpus.mentions=all")
    assert done.returncode == 2 and "corpus.mentions" in done.stderr
