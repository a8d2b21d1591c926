"""Runs, scores, exports and annotations with `corpus.mentions=full`, against a scripted server that lists mentions in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.sources import Brat, Jsonl
from clinspan.programs.finetune import mentions_of
from clinspan.tuning import Encoder
from conftest import Command, folder_of, lines, load, records
from support.runs_in_process import run_here
from support.scripted_server import ScriptedServer
from support.tiny_models import random_bert

TRAIN = "Hepatic and renal failure were seen."
TEST = "Pain in arms and legs, acute renal failure."
MENTIONS = {
    TRAIN: [("Sign", "0 7;18 25"), ("Sign", "12 25"), ("Organ", "12 17")],
    TEST: [("Sign", "0 12"), ("Sign", "0 7;17 21"), ("Sign", "23 42"), ("Organ", "29 34")],
}
SHOWN = '{"Organ": ["renal"], "Sign": ["Hepatic ... failure", "renal failure"]}'
ANSWER = {"Organ": ["renal"], "Sign": ["Pain in arms", "Pain in ... legs", "renal failure", "in ... knees"]}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    for split, text in (("train", TRAIN), ("test", TEST)):
        folder = tmp_path / "notes" / split
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(text)
        rows = []
        for n, (label, places) in enumerate(MENTIONS[text], 1):
            words = " ".join(text[int(a) : int(b)] for a, b in (piece.split() for piece in places.split(";")))
            rows.append(f"T{n}\t{label} {places}\t{words}\n")
        (folder / "a.ann").write_text("".join(rows))
    return tmp_path / "notes"


def settings(notes: Path, server: ScriptedServer) -> list[str]:
    server.reply = lambda messages: json.dumps(ANSWER)
    model = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1"]
    return ["corpus=brat", f"corpus.path={notes}", "corpus.phi=false", "format=entities", *model]


def a_run(folder: Path, notes: Path, server: ScriptedServer, *words: str) -> Path:
    run_here(folder, *settings(notes, server), "strategy=few_shot", "strategy.k=1", "corpus.mentions=full", *words)
    return folder


def test_a_run_asks_for_reads_and_scores_full_mentions(
    notes: Path, server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(tmp_path / "run", notes, server)
    (row,) = records(folder)
    pieces = [(one["label"], one["fragments"]) for one in row["pred_mentions"]]
    assert (
        pieces
        == [
            ("Sign", [[0, 3]]),
            ("Sign", [[0, 2], [4, 5]]),
            ("Organ", [[7, 8]]),
            ("Sign", [[7, 9]]),
        ][: len(pieces)]
        and len(pieces) == 4
    )
    assert [one["fragments"] for one in row["gold_mentions"]] == [[[0, 3]], [[0, 2], [4, 5]], [[7, 8]], [[6, 9]]]
    assert row["pred"] == "B-Sign I-Sign I-Sign O O O O B-Sign I-Sign O".split() and row["repairs"] == {"mention_not_found": 1}
    scores = load(folder / "scores.json")
    assert scores["full"]["micro"]["f1"] == 0.75 and scores["micro"]["f1"] == 0.5
    assert (scores["full"]["flat"]["lost"], scores["full"]["flat"]["discontinuous"]) == (2, 1)
    assert "flat F1 0.5000, full F1 0.7500; tags reach a full F1 of at most 0.6667" in capsys.readouterr().out
    sent = json.dumps(server.requests[-1][2]["messages"])
    assert json.dumps(SHOWN)[1:-1] in sent and "List mentions inside other mentions too" in sent
    program = load(folder / "program.json")
    assert program["settings"]["format"]["mentions"] == "full" and program["tag"]["demos"][0]["mentions"]


def test_flat_runs_are_as_before(notes: Path, server: ScriptedServer, tmp_path: Path) -> None:
    run_here(tmp_path / "flat", *settings(notes, server), "strategy=few_shot", "strategy.k=1")
    (row,) = records(tmp_path / "flat")
    assert not {"gold_mentions", "pred_mentions"} & row.keys() and "full" not in load(tmp_path / "flat" / "scores.json")
    assert " ... " not in json.dumps(server.requests[-1][2]["messages"])
    assert "mentions" not in load(tmp_path / "flat" / "program.json")["tag"]["demos"][0]
    asked_flat = a_run(tmp_path / "asked", notes, server, "format.mentions=flat")
    (row,) = records(asked_flat)
    assert row["gold_mentions"] and "pred_mentions" not in row and load(asked_flat / "scores.json")["full"]["micro"]["f1"] < 0.75


def test_votes_and_other_formats_have_full_scores(notes: Path, server: ScriptedServer, tmp_path: Path) -> None:
    voted = a_run(tmp_path / "votes", notes, server, "strategy.votes=3")
    (row,) = records(voted)
    assert len(row["pred_mentions"]) == 4 and {one["confidence"] for one in row["pred_mentions"]} == {1.0}
    other = a_run(tmp_path / "lines", notes, server, "format=bio_lines")
    (row,) = records(other)
    assert "pred_mentions" not in row and load(other / "scores.json")["full"]["micro"]["f1"] == 0


@pytest.mark.long
def test_other_commands_take_such_runs(notes: Path, server: ScriptedServer, tmp_path: Path, command: Command) -> None:
    one = a_run(tmp_path / "runs" / "one", notes, server)
    two = a_run(tmp_path / "runs" / "two", notes, server, "format=bio_lines")
    for words in (["compare", str(one), str(two)], ["report", str(one), str(two)], ["score", str(one), "all=true"]):
        done = command(*words)
        assert done.returncode == 0, done.stderr
    assert "full" in command("score", str(one), "match=full", "--json").stdout
    exported = folder_of(command("export", str(one), "to=brat", "output=out"))
    ann = (tmp_path / exported / "brat" / "a.ann").read_text()
    assert "Gold_Sign 0 7;17 21\tPain in legs\n" in ann and "Predicted_Sign 0 7;17 21\tPain in legs\n" in ann
    assert ann.count("\tPredicted_") == 4 and ann.count("AnnotatorNotes") == 1 and "\twrong\n" in ann
    folder_of(command("run", f"resume={one}"))


def test_annotations_have_nested_mentions_and_pieces(notes: Path, server: ScriptedServer, tmp_path: Path, command: Command) -> None:
    one = a_run(tmp_path / "one", notes, server)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "n.txt").write_text(TEST)
    words = [f"program={one}", "input=texts", "output=out", "to=[brat,jsonl,conll]", "phi=false", *settings(notes, server)[4:]]
    for _ in range(2):  # the second time from the saved state
        done = command("annotate", *words)
        assert done.returncode == 0, done.stderr
        (path,) = tmp_path.glob("out/**/n.ann")
        assert "Sign 0 7;17 21\tPain in legs\n" in path.read_text() and "Organ 29 34\trenal\n" in path.read_text()
        path.unlink()
    (file,) = tmp_path.glob("out/**/annotations.jsonl")
    entities: list[dict[str, Any]] = lines(file)[0]["entities"]
    assert [one.get("fragments") for one in entities] == [None, [[0, 7], [17, 21]], None, None]
    (sentence,) = Jsonl(path=str(file), mentions="full").load().sentences("test")
    (gold,) = Brat(path=str(notes), mentions="full").load().sentences("test")
    assert set(sentence.full or ()) & set(gold.full or ()) == {m for m in gold.full or () if m.fragments != ((6, 9),)}


@pytest.mark.long
def test_a_token_classifier_finds_nested_mentions_of_different_labels(notes: Path, tmp_path: Path, command: Command) -> None:
    for n in range(12):
        for kind in ("txt", "ann"):
            (notes / "train" / f"b{n}.{kind}").write_text((notes / "test" / f"a.{kind}").read_text())
    corpus = ["corpus=brat", f"corpus.path={notes}", "corpus.phi=false"]
    encoder = [f"model.path={random_bert(tmp_path / 'bert')}", "model.package=null"]
    trained = folder_of(
        command(
            "finetune", "tuning=encoder", *encoder, *corpus, "corpus.mentions=full", "tuning.epochs=30", "tuning.learning_rate=0.01"
        )
    )
    assert load(trained / "model" / "tuning.json")["classes"] == ["O-Organ", "B-Organ", "I-Organ", "O-Sign", "B-Sign", "I-Sign"]
    ran = folder_of(command("run", f"program={trained}", *corpus, "corpus.mentions=full"))
    (row,) = records(ran)
    pieces = [(one["label"], one["fragments"]) for one in row["pred_mentions"]]
    assert pieces == [("Sign", [[0, 3]]), ("Organ", [[7, 8]]), ("Sign", [[6, 9]])]
    scores = load(ran / "scores.json")
    assert scores["full"]["flat"]["best"]["f1"] < scores["full"]["micro"]["f1"] == pytest.approx(6 / 7)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "n.txt").write_text(TEST)
    done = command("annotate", f"program={trained}", "input=texts", "output=out", "to=brat", "phi=false")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("out/**/n.ann")
    assert "Sign 23 42\tacute renal failure\n" in path.read_text() and "Organ 29 34\trenal\n" in path.read_text()


def test_tags_of_each_label_need_full_mentions(notes: Path) -> None:
    corpus = Brat(path=str(notes)).load()
    assert (
        mentions_of(Encoder(), corpus) == "flat" and mentions_of(Encoder(), Brat(path=str(notes), mentions="full").load()) == "full"
    )
    assert mentions_of(Encoder(mentions="flat"), Brat(path=str(notes), mentions="full").load()) == "flat"
    with pytest.raises(InputError, match=r"tuning.mentions=full needs the full mentions of the corpus. Add corpus.mentions=full"):
        mentions_of(Encoder(mentions="full"), corpus)
