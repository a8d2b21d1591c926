"""Forms of annotated notes for other programs: CSV, FHIR, brat's notes, and the list of note pages."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.annotated import Annotated, Mention
from clinspan.corpora.file_names import file_name
from clinspan.corpora.readers.brat import load_pair
from clinspan.corpora.sources import Csv
from clinspan.programs.annotation.note_index import write_index
from clinspan.programs.annotation.state import Entry, ResumeState
from clinspan.programs.annotation.writers import COLUMNS, DocumentWriter, join_pieces
from clinspan.reports.page.note_html import note_page

LABELS = ("Disease", "Sign")
TEXT = "No fever 🤒;\n=1+1 and Gaucher\ndisease, “rash”"


def note(name: str, confidences: tuple[float | None, ...] = (0.9312, None, 0.25), text: str = TEXT) -> Annotated:
    places = [("fever", "Sign"), ("=1+1", "Sign"), ("Gaucher\ndisease", "Disease")]
    mentions = [
        Mention(text.index(words), text.index(words) + len(words), label, words, confidence)
        for (words, label), confidence in zip(places, confidences)
    ]
    return Annotated(name, text, (), tuple(mentions), "a/model", "program")


def written(folder: Path, to: list[str], notes: list[Annotated]) -> Path:
    """The folder of an annotation of these notes."""
    folder.mkdir(exist_ok=True)
    writer = DocumentWriter(folder, to, LABELS)
    writer.open()
    state = ResumeState(folder / "state.jsonl")
    for one in notes:
        writer.write(one, writer.separate)
        state.add(Entry.of(one, sha256="", by="", to=writer.separate, counts=Counter(), repairs=Counter()))
    writer.write_together(lambda: notes)
    return folder


def test_csv_has_one_row_a_mention_and_no_formula(tmp_path: Path) -> None:
    path = written(tmp_path / "out", ["csv"], [note("a"), note("-b", ())]) / "annotations.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["text"] for row in rows] == ["fever", "'=1+1", "Gaucher\ndisease"]
    assert [row["confidence"] for row in rows] == ["0.9312", "", "0.25"]
    assert all(TEXT[int(row["start"]) : int(row["end"])] == row["text"].removeprefix("'") for row in rows)


def test_csv_is_read_back_beside_the_texts(tmp_path: Path) -> None:
    written(tmp_path / "out", ["csv"], [note("a")])
    (tmp_path / "out" / "a.txt").write_text(TEXT, encoding="utf-8", newline="")
    corpus = Csv(path=str(tmp_path / "out" / "annotations.csv"), texts=str(tmp_path / "out")).load()
    (document,) = corpus.splits["test"]
    assert [(e.start, e.end, e.label) for e in document.entities] == [(m.start, m.end, m.label) for m in note("a").mentions]
    assert not any("differ" in act for act in corpus.conversion["test"])


def test_pieces_of_csv_are_joined_as_if_they_were_written_at_once(tmp_path: Path) -> None:
    groups = [[note("a")], [note("nothing", ())], [], [note("-b"), note("c")]]
    pieces = [written(tmp_path / str(n), ["csv"], notes) / "annotations.csv" for n, notes in enumerate(groups)]
    whole = written(tmp_path / "whole", ["csv"], [one for notes in groups for one in notes]) / "annotations.csv"
    (tmp_path / "joined").mkdir()
    join_pieces("csv", pieces, tmp_path / "joined")
    assert (tmp_path / "joined" / "annotations.csv").read_bytes() == whole.read_bytes()


def test_brat_shows_the_confidence_as_a_note(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", ["brat"], [note("a")])
    lines = (folder / "brat" / "a.ann").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "#1\tAnnotatorNotes T1\tconfidence 0.9312",
        "#3\tAnnotatorNotes T3\tconfidence 0.25",
    ]
    text, annotations, acts = load_pair(folder / "brat" / "a.txt")
    assert (text, len(annotations), acts) == (TEXT, 3, {"other_lines": 2})


def extension(resource: dict[str, Any]) -> dict[str, Any]:
    ((outer),) = resource["extension"]
    assert outer["url"] == "http://hl7.org/fhir/StructureDefinition/derivation-reference"
    return {part["url"]: next(value for key, value in part.items() if key != "url") for part in outer["extension"]}


def test_fhir_bundles_are_valid_and_claim_nothing_of_a_patient(tmp_path: Path) -> None:
    bundle_class = pytest.importorskip("fhir.resources.R4B.bundle").Bundle
    folder = written(tmp_path / "out", ["fhir"], [note("ward/a"), note("empty", ())])
    content = (folder / "fhir" / "ward" / "a.json").read_bytes()
    bundle_class.model_validate_json(content)
    bundle_class.model_validate_json((folder / "fhir" / "empty.json").read_bytes())
    bundle = json.loads(content)
    document, *observations = bundle["entry"]
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == ["DocumentReference", *["Observation"] * 3]
    assert document["resource"]["content"][0]["attachment"]["size"] == len(TEXT.encode())
    assert "data" not in document["resource"]["content"][0]["attachment"]
    names = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(names)) == 4
    for entry, mention in zip(observations, note("ward/a").mentions, strict=True):
        resource = entry["resource"]
        place = extension(resource)
        assert TEXT[place["offset"] : place["offset"] + place["length"]] == mention.text
        assert place["reference"] == {"reference": names[0]} == resource["derivedFrom"][0] == resource["focus"][0]
        assert (resource["status"], "subject" in resource) == ("preliminary", False)
        assert resource["valueCodeableConcept"]["text"] == mention.label
        values = {part["code"]["text"]: part for part in resource["component"]}
        assert values["text of the mention"]["valueString"] == mention.text
        assert (values["confidence"]["valueQuantity"]["value"] if "confidence" in values else None) == mention.confidence
    assert content == (written(tmp_path / "again", ["fhir"], [note("ward/a")]) / "fhir" / "ward" / "a.json").read_bytes()


def test_the_list_has_every_page_the_most_doubtful_note_first(tmp_path: Path) -> None:
    names = ["sure", "ward 3/50%?", "index", "<b>none", "unknown"]
    notes = [
        note("sure", (0.9, 0.8)),
        note(names[1], (0.9, 0.3)),
        note("index", (0.5,)),
        note("<b>none", ()),
        note("unknown", (None,)),
    ]
    folder = written(tmp_path / "out", ["html", "jsonl"], notes)
    state = ResumeState(folder / "state.jsonl")
    state.add(Entry.of(note("elsewhere"), sha256="", by="", to=["brat"], counts=Counter(), repairs=Counter()))
    state.add(Entry.of(note("removed"), sha256="", by="", to=["html"], counts=Counter(), repairs=Counter()))
    page = write_index(folder, LABELS).read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"]+)">([^<]*)</a>', page)
    assert [words for _, words in links] == ["ward 3/50%?", "index", "sure", "unknown", "&lt;b&gt;none"]
    assert links[0][0] == "html/ward%203/50%25%3F.html"
    assert "<td>.30</td><td>2</td><td></td><td>2</td>" in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    inner = (folder / "html" / (file_name(names[1]) + ".html")).read_text(encoding="utf-8")
    assert '<a href="../../index.html">all notes</a>' in inner
    assert "all notes" not in note_page(note("a"), list(LABELS)).decode()


def test_confidences_are_read_without_a_pointer() -> None:
    page = note_page(note("a"), list(LABELS)).decode()
    assert re.findall("<small>(.*?)</small>", page) == ["Sign .93", "Sign", "Disease .25"]
    assert 'name="viewport"' in page
