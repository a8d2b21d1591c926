"""`min_confidence`: nothing below it is in any output, what it removes is counted, and it is refused where it cannot be kept."""

from __future__ import annotations

import csv
import json
import re
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.bio import span_tags
from clinspan.corpora.readers.notes import Note
from clinspan.programs.annotation.annotator import Annotator, Facts
from clinspan.programs.annotation.job import AnnotationJob, JobStats
from clinspan.programs.annotation.min_confidence import MinConfidence, removed
from clinspan.programs.annotation.note_index import write_index
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.annotation.writers import DocumentWriter, SEPARATE, TOGETHER
from clinspan.programs.inference.predictor import blank_record
from conftest import Command, folder_of, load
from support.scripted_server import ScriptedServer
from support.tiny_models import tiny_encoder

LABELS = ("Disease", "Sign", "Rare Disease")
FORMATS = [*SEPARATE, *TOGETHER]


class Told:
    """Tags every word: `Sign_037` is a Sign with the confidence .37; `Sign_x` has none."""

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        for sentence in sentences:
            words = [word.split("_") for word in sentence.words]
            spans = [(n, n + 1, label.replace("+", " ")) for n, (label, _) in enumerate(words)]
            told = [None if number == "x" else int(number) / 100 for _, number in words]
            fields = {"pred": span_tags(len(words), spans), "confidence": told}
            yield sentence, {**blank_record(sentence), **fields, "repairs": {}, "usage": {}, "error": None}


def annotated(folder: Path, notes: dict[str, str], bound: Any, to: Sequence[str] = FORMATS) -> JobStats:
    folder.mkdir(exist_ok=True)
    least = MinConfidence.of(bound, LABELS)

    annotator = Annotator(Told(), Facts(LABELS, "m", "p", "b"), Segmenter(tokenizer="whitespace"), least)
    writer = DocumentWriter(folder, to, LABELS)
    writer.open()
    job = AnnotationJob(annotator, writer, folder, stop_after=3, progress=lambda done, sentences: None)
    stats = job.run(lambda: [Note(name, text) for name, text in notes.items()])
    if "html" in to:
        write_index(folder, LABELS)
    return stats


def written(folder: Path) -> dict[str, list[tuple[str, int, int]]]:
    """By format: the note, start and end of each mention in its files."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for path in sorted((folder / "brat").glob("*.ann")):
        spans = re.findall(r"^T\d+\t\S+ (\d+) (\d+)\t", path.read_text(encoding="utf-8"), re.MULTILINE)
        found.setdefault("brat", []).extend((path.stem, int(start), int(end)) for start, end in spans)
    for path in sorted((folder / "bioc_json").glob("*.json")):
        (document,) = json.loads(path.read_bytes())["documents"]
        for place in (a["locations"][0] for passage in document["passages"] for a in passage["annotations"]):
            found.setdefault("bioc_json", []).append((path.stem, place["offset"], place["offset"] + place["length"]))
    for path in sorted((folder / "bioc_xml").glob("*.xml")):
        for place in (mark.find("location") for mark in ET.parse(path).iter("annotation")):
            assert place is not None
            start = int(place.get("offset", ""))
            found.setdefault("bioc_xml", []).append((path.stem, start, start + int(place.get("length", ""))))
    for path in sorted((folder / "fhir").glob("*.json")):
        for entry in json.loads(path.read_bytes())["entry"][1:]:
            parts = {part["url"]: part for part in entry["resource"]["extension"][0]["extension"]}
            start = parts["offset"]["valueInteger"]
            found.setdefault("fhir", []).append((path.stem, start, start + parts["length"]["valueInteger"]))
    for path in sorted((folder / "html").glob("*.html")):
        spans = re.findall(r'title="[^"]*, characters (\d+) to (\d+)"', path.read_text(encoding="utf-8"))
        found.setdefault("html", []).extend((path.stem, int(start), int(end)) for start, end in spans)
    with (folder / "annotations.csv").open(encoding="utf-8", newline="") as file:
        found["csv"] = [(row["document"], int(row["start"]), int(row["end"])) for row in csv.DictReader(file)]
    rows = [json.loads(line) for line in (folder / "annotations.jsonl").read_text(encoding="utf-8").splitlines()]
    found["jsonl"] = [(row["id"], e["start"], e["end"]) for row in rows for e in row["entities"]]
    if "parquet" in FORMATS and (folder / "annotations.parquet").is_file():
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(folder / "annotations.parquet").to_pylist()
        found["parquet"] = [(row["id"], e["start"], e["end"]) for row in table for e in row["entities"]]
    return {form: sorted(spans) for form, spans in found.items() if spans}


words = st.tuples(st.sampled_from(["Disease", "Sign", "Rare+Disease"]), st.one_of(st.integers(0, 100), st.just("x")))
bounds = st.one_of(
    st.none(),
    st.integers(0, 100).map(lambda number: number / 100),
    st.dictionaries(st.sampled_from(LABELS), st.integers(0, 100).map(lambda number: number / 100)),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(words, max_size=6), min_size=1, max_size=3), bounds)
def test_nothing_below_it_is_written_in_any_format(notes: list[list[tuple[str, Any]]], bound: Any) -> None:
    pytest.importorskip("pyarrow")
    texts = {f"n{n}": " ".join(["Sign_100", *(f"{label}_{value}" for label, value in note)]) for n, note in enumerate(notes)}
    by_label = bound if isinstance(bound, dict) else dict.fromkeys(LABELS, bound or 0.0)
    kept, low = [], Counter[str]()
    for name, text in texts.items():
        for match in re.finditer(r"(\S+)_(\S+)", text):
            label = match[1].replace("+", " ")
            if (0.0 if match[2] == "x" else int(match[2]) / 100) < by_label.get(label, 0.0):
                low[label] += 1
            else:
                kept.append((name, match.start(), match.end()))
    with tempfile.TemporaryDirectory() as place:
        stats = annotated(Path(place), texts, bound)
        found = written(Path(place))
        assert found.keys() == set(FORMATS) - {"conll"}
        assert all(spans == sorted(kept) for spans in found.values())
        conll = (Path(place) / "annotations.conll").read_text(encoding="utf-8")
        assert len(re.findall(r"\sB-", conll)) == len(kept)
        again = annotated(Path(place), texts, bound)  # all notes are kept, and every file is written from the resume state
        assert written(Path(place)) == found
    assert removed(stats.counts) == removed(again.counts) == dict(low)
    assert stats.entities.total() == len(kept)


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (1.5, "min_confidence=1.5 is not a number from 0 to 1"),
        (True, "min_confidence=True is not a number from 0 to 1"),
        (float("nan"), "min_confidence=nan is not a number from 0 to 1"),
        ({"Sign": -1}, "min_confidence=-1 is not a number from 0 to 1"),
        ({"Sgin": 0.5}, "min_confidence names Sgin, which is not a label of the annotator. Did you mean Sign?"),
        ({"Dose": 0.5}, "min_confidence names Dose, which is not a label of the annotator. The labels are Disease, Sign"),
    ],
)
def test_a_wrong_bound_is_refused(bound: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        MinConfidence.of(bound, LABELS)


def test_a_model_without_any_confidence_is_refused_at_its_first_mention(tmp_path: Path) -> None:
    assert not annotated(tmp_path / "none", {"a": ""}, 0.5, ["csv"]).entities
    with pytest.raises(InputError, match="the model gives no confidences"):
        annotated(tmp_path / "some", {"a": "Sign_x Disease_x"}, 0.5, ["csv"])
    assert annotated(tmp_path / "free", {"a": "Sign_x"}, {"Disease": 0.5}, ["csv"]).entities == {"Sign": 1}


def test_the_command_counts_what_it_leaves_out_and_annotates_again_with_another_bound(command: Command, tmp_path: Path) -> None:
    program = tiny_encoder(tmp_path / "program")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("the fever and rash", encoding="utf-8")
    call = ["annotate", "input=in", "output=out", f"program={program}", "to=csv"]
    told = command(*call, "min_confidence={Sign: 1}")
    assert "no entities\n2 mentions left out, below min_confidence: 2 Sign\n" in told.stdout
    folder = tmp_path / folder_of(told)
    assert load(folder / "run.json")["counts"]["below_min_confidence"] == {"Sign": 2}
    assert (folder / "annotations.csv").read_text(encoding="utf-8").count("\n") == 1
    told = command(*call, "min_confidence=.05")
    assert "1 document annotated, 0 kept, 0 failed" in told.stdout
    assert "left out" not in told.stdout
    assert load(folder / "run.json")["counts"]["below_min_confidence"] == {}
    assert (folder / "annotations.csv").read_text(encoding="utf-8").count("\n") == 3
    for setting, words in (
        ("min_confidence={Sing: .5}", "min_confidence names Sing, which is not a label of the annotator. Did you mean Sign?"),
        ("min_confidence=2", "min_confidence=2 is not a number from 0 to 1"),
        ("min_confidence=high", "min_confidence=high is not a number"),
    ):
        refused = command(*call, setting)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


def test_a_server_without_probabilities_is_refused_before_any_request(
    command: Command, tmp_path: Path, server: ScriptedServer
) -> None:
    (tmp_path / "a.txt").write_text("No fever.", encoding="utf-8")
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "strategy=zero_shot"]
    refused = command("annotate", "input=a.txt", "output=out", "min_confidence=.5", *words)
    assert refused.returncode == 2
    assert "min_confidence is set, but the model gives no confidences. Leave it out, or " in refused.stderr
    assert "model.wire.logprobs=true" in refused.stderr
    assert not server.requests
