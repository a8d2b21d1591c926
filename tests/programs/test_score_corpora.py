"""Tests of the `score` command on annotations of other systems against a gold corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.recognition import corpus_format
from support.score_calls import call, scored

NOTES = {"a": "High fever and cough.", "b": "No rash.", "c": "Gaucher disease."}
GOLD = {"a": [("Sign", 0, 10), ("Sign", 15, 20)], "b": [("Sign", 3, 7)], "c": [("Disease", 0, 15)]}
FOUND = {"a": [("Sign", 5, 10), ("Disease", 15, 20)], "b": [("Sign", 3, 7)]}
Marks = dict[str, list[tuple[str, int, int]]]


def brat(folder: Path, marks: Marks, texts: dict[str, str] = NOTES) -> Path:
    folder.mkdir()
    for name, mentions in marks.items():
        text = texts[name]
        lines = [f"T{n}\t{label} {start} {end}\t{text[start:end]}\n" for n, (label, start, end) in enumerate(mentions, 1)]
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        (folder / f"{name}.ann").write_text("".join(lines), encoding="utf-8")
    return folder


def bioc(path: Path, marks: Marks) -> Path:
    documents = []
    for name, mentions in marks.items():
        annotations = [
            {"infons": {"type": label}, "text": NOTES[name][a:b], "locations": [{"offset": a, "length": b - a}]}
            for label, a, b in mentions
        ]
        documents.append({"id": name, "passages": [{"offset": 0, "text": NOTES[name], "annotations": annotations}]})
    path.write_text(json.dumps({"documents": documents}), encoding="utf-8")
    return path


def jsonl(path: Path, marks: Marks) -> Path:
    rows = []
    for name, mentions in marks.items():
        entities = [{"label": label, "start": a, "end": b} for label, a, b in mentions]
        rows.append(json.dumps({"id": name, "text": NOTES[name], "entities": entities}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


def conll(path: Path, *sentences: str) -> Path:
    """Sentences of `token/tag` words."""
    path.write_text("\n".join("".join(f"{word.replace('/', chr(9))}\n" for word in s.split()) for s in sentences), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", [bioc, jsonl, brat])
def test_annotations_of_another_system(form: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = brat(tmp_path / "gold", GOLD)
    found = form(tmp_path / {bioc: "found.json", jsonl: "found.jsonl", brat: "found"}[form], FOUND)
    (result,) = scored(capsys, f"gold={gold}", f"predicted={found}", "all=true")
    matched = {s["match"]: sum(row["matched"] for row in s["counts"].values()) for s in result["readings"]}
    assert matched == {"exact": 1, "relaxed": 2, "type_free": 2}
    assert result["readings"][0]["micro"] == {"precision": 1 / 3, "recall": 1 / 4, "f1": pytest.approx(2 / 7)}
    assert (result["missing"], result["extra"]) == (["c"], [])
    assert result["remarks"] == ["not predicted, and counted as without mentions: 1 gold document (c)"]
    call(f"gold={found}", f"predicted={gold}", "match=relaxed")
    out = capsys.readouterr().out
    assert "not in gold, and left out: 1 predicted document (c)" in out
    assert "overlapping spans of the same type, macro over 2 types, by characters; 2 documents, none missing" in out


def test_labels_and_files_that_only_one_corpus_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, found = brat(tmp_path / "gold", GOLD), brat(tmp_path / "found", {"a": [("Drug", 0, 4)], "b": [], "c": []})
    (found / "b.ann").unlink()
    (result,) = scored(capsys, f"gold={gold}", f"predicted={found}")
    assert list(result["readings"][0]["per_type"]) == ["Disease", "Sign", "Drug"]
    assert result["remarks"] == ["labels that gold does not have: Drug", "predicted without an annotation file: 1 document"]


def test_texts_have_to_be_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = brat(tmp_path / "gold", GOLD)
    other = brat(tmp_path / "other", GOLD, {**NOTES, "b": "No  rash."})
    with pytest.raises(InputError, match="document b: the two texts differ from character 3 on") as caught:
        call(f"gold={gold}", f"predicted={other}")
    assert "rash" not in str(caught.value)
    end = brat(tmp_path / "end", GOLD, {**NOTES, "b": "No rash.\n"})
    assert scored(capsys, f"gold={gold}", f"predicted={end}")[0]["readings"][0]["micro"]["f1"] == 1
    strange = brat(tmp_path / "strange", {"x": []}, {"x": "Other."})
    with pytest.raises(InputError, match="gold and strange have no document in common: their ids are like a, b, c and x"):
        call(f"gold={gold}", f"predicted={strange}")


def test_splits_are_paired_by_name_or_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("gold", "found"):
        (tmp_path / part).mkdir()
        for split in ("train", "test"):
            brat(tmp_path / part / split, {"a": GOLD["a"]} if split == "test" or part == "gold" else {"a": []})
    both = [f"gold={tmp_path / 'gold'}", f"predicted={tmp_path / 'found'}"]
    assert scored(capsys, *both)[0]["readings"][0]["micro"]["recall"] == 0.5
    assert scored(capsys, *both, "split=test")[0]["readings"][0]["micro"]["f1"] == 1
    flat = f"predicted={tmp_path / 'found' / 'test'}"
    assert scored(capsys, both[0], flat, "split=train")[0]["readings"][0]["documents"] == 1
    with pytest.raises(InputError, match="document a is in two splits of gold. Choose one with split=NAME"):
        call(both[0], flat)
    with pytest.raises(InputError, match="gold has no split dev. It has: train, test"):
        call(*both, "split=dev")


def test_column_files_are_compared_by_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = conll(tmp_path / "gold.tsv", "High/B-Sign fever/I-Sign ./O", "No/O rash/B-Sign", "A/O cough/B-Sign")
    found = conll(tmp_path / "system.tsv", "High/O fever/B-Sign ./O", "No/O rash/B-Sign")
    both = [f"gold={gold}", f"predicted={found}"]
    (result,) = scored(capsys, *both, "all=true", "metric.mode=strict")
    matched = {s["match"]: sum(row["matched"] for row in s["counts"].values()) for s in result["readings"]}
    assert matched == {"exact": 1, "relaxed": 2, "type_free": 1, "token": 2, "document": 1}
    assert result["missing"] == ["2"] and result["readings"][0]["failures"] == {"missing_document": 1}
    assert "failed:1/3" in result["readings"][0]["signature"]
    with pytest.raises(InputError, match="match=offsets is not possible for CoNLL columns. Use one of exact, relaxed"):
        call(*both, "match=offsets")
    other = conll(tmp_path / "other.tsv", "High/O fever/B-Sign ./O", "No/O itch/B-Sign")
    with pytest.raises(InputError, match="document 1: the two files have other tokens in sentence 0"):
        call(both[0], f"predicted={other}")
    notes = brat(tmp_path / "notes", GOLD)
    with pytest.raises(InputError, match="gold is read as conll and predicted as brat"):
        call(both[0], f"predicted={notes}")
    with pytest.raises(InputError, match="match=token is not possible for annotations by characters"):
        call(f"gold={notes}", f"predicted={notes}", "match=token")
    with pytest.raises(InputError, match="these corpora have annotations"):
        call(f"gold={notes}", f"predicted={notes}", "metric.mode=strict")


def test_formats_are_recognised_or_named(tmp_path: Path) -> None:
    brat(tmp_path / "brat", GOLD)
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "test.xml").write_text("<collection/>", encoding="utf-8")
    (tmp_path / "label-studio.json").write_text('[{"data": {"text": "x"}}]', encoding="utf-8")
    known = {
        tmp_path / "brat": "brat",
        tmp_path / "xml": "bioc",
        bioc(tmp_path / "some.json", GOLD): "bioc",
        tmp_path / "label-studio.json": "jsonl",
        jsonl(tmp_path / "some.jsonl", GOLD): "jsonl",
        conll(tmp_path / "some.conll", "A/O"): "conll",
        conll(tmp_path / "some.txt", "A/O"): "conll",
    }
    assert {path: corpus_format(path) for path in known} == known
    (tmp_path / "xml" / "a.ann").touch()
    with pytest.raises(InputError, match="xml: may be brat or bioc. Name the format with gold_corpus="):
        corpus_format(tmp_path / "xml")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.txt").touch()
    with pytest.raises(InputError, match=r"has no format that its suffixes tell \(\.txt\)"):
        corpus_format(tmp_path / "plain")
    with pytest.raises(InputError, match="there is no such file or folder"):
        corpus_format(tmp_path / "nowhere")
    both = [f"gold={tmp_path / 'some.jsonl'}", f"predicted={tmp_path / 'some.jsonl'}"]
    call(*both, "gold_corpus=jsonl", "predicted_corpus=jsonl")
    for option, message in (("brot", "there is no corpus=brot. Did you mean corpus=brat"), ("raremini", "raremini reads no path")):
        with pytest.raises(InputError, match=message):
            call(*both, f"gold_corpus={option}")
