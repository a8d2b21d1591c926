r"""Reader of JSON lines: one document per line, in `train.jsonl`, `dev.jsonl`, `test.jsonl`.

    {"id": "d1", "text": "No fever.", "entities": [{"label": "Sign", "start": 3, "end": 8}],
     "sentences": [{"tokens": [[0, 2], [3, 8], [8, 9]], "tags": ["O", "B-Sign", "O"]}]}

Without `sentences` the text is tokenized, split and tagged like a brat document. `"from_tags": true` says that the entities were
made from the tags, `"spaced": false` that prompts show the tokens with the spacing of the text. Exports of doccano, Prodigy and
Label Studio are read too, see `corpora.readers.exports`. A `.json` file may hold all documents as one array, as Label Studio
writes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import assemble, build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.json_text import is_text, parse_json
from clinspan.corpora.offsets import fit
from clinspan.corpora.readers.brat import whole_mentions
from clinspan.corpora.readers.exports import annotations_of, document_of, not_accepted
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Document, Token

SUFFIXES = (".jsonl", ".ndjson", ".json")


def load_jsonl(path: Path, *, cutting: Cutting, policies: Policies, **about: Unpack[About]) -> Corpus:
    """Read one file, or a folder with its splits."""

    def read(_: str, place: Place) -> Iterator[Part]:
        for file, number, record in ((one, *numbered) for one in place.files for numbered in load_records(one)):
            try:
                yield _document(record, f"{place.name(file)}-{number}", cutting, policies)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                problem = f"is not a readable document ({_reason(error)})"
                remedy = "See corpora.readers.jsonl and corpora.readers.exports for the accepted formats."
                raise InputError(problem, path=file, line=number, remedy=remedy) from None

    return read_splits(find_splits(path, SUFFIXES), read, **about)


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__


def load_records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """`(line, object)` for each line of JSON lines, or `(position, object)`, counted from 1, for a `.json` file with one array.

    Raises:
        InputError: A line is not a JSON object, a JSON lines file holds one array, or the file is empty.
    """
    text = read_text(path).removeprefix("\ufeff")
    records: list[tuple[int, dict[str, Any]]] = []
    if path.suffix.lower() == ".json":
        records = [(number, _object(value, path, number)) for number, value in enumerate(_array(text, path), 1)]
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                records.append((number, _object(_parsed(line, path, number, text), path, number)))
    if not records:
        raise InputError("is empty", path=path, remedy="Give a file with one JSON object per line.")
    return records


def _array(text: str, path: Path) -> list[Any]:
    try:
        value = parse_json(text)
    except ValueError:
        return [_parsed(line, path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return value if isinstance(value, list) else [value]


def _parsed(line: str, path: Path, number: int, text: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError) and text.lstrip().startswith("["):
            remedy = f"Write one object per line, or name the file {path.stem}.json."
            raise InputError("is one JSON array", path=path, line=number, remedy=remedy) from None
        problem = f"is not JSON ({getattr(error, 'msg', 'nested too deeply, or a number is too long')})"
        raise InputError(problem, path=path, line=number, remedy="Repair or remove the line.") from None


def _object(value: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        remedy = "Repair or remove the line."
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            remedy = f"Write one object per line, or name the file {path.stem}.json."
        raise InputError("is not a JSON object", path=path, line=number, remedy=remedy)
    return value


def _document(record: dict[str, Any], usual: str, cutting: Cutting, policies: Policies) -> tuple[Document | None, Counter[str]]:
    if not is_text(json.dumps(record, ensure_ascii=False)):
        raise ValueError("it holds a lone surrogate, which is not valid text")
    if not_accepted(record):
        return None, Counter(answers_not_accepted=1)
    name, text = document_of(record, usual)
    annotations, acts = annotations_of(record)
    reading = fit(text, annotations, characters_only="sentences" in record)
    for entity in reading.entities:
        for start, end in entity.fragments:
            _check_span(start, end, reading.text)
    entities, join_acts = whole_mentions(reading.text, reading.entities)
    acts = acts + reading.acts + join_acts
    if "sentences" not in record:
        document, tagging_acts = build_document(name, reading.text, entities, cutting=cutting, policies=policies)
        return document, acts + tagging_acts
    cut, rows = _sentences(record["sentences"], text)
    about: dict[str, Any] = {"annotated": record.get("from_tags") is not True, "spaced": record.get("spaced") is not False}
    return assemble(name, text, reading.entities, cut, rows, **about), acts


def _sentences(sentences: Sequence[Any], text: str) -> tuple[list[list[Token]], list[list[str]]]:
    cut, rows = [], []
    for sentence in sentences:
        for start, end in sentence["tokens"]:
            _check_span(start, end, text)
        tokens = [Token(text[start:end], start, end) for start, end in sentence["tokens"]]
        tags = [str(tag) for tag in sentence["tags"]]
        if len(tags) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens but {len(tags)} tags")
        for tag in dict.fromkeys(tags):
            check_tag(tag)
        cut.append(tokens)
        rows.append(tags)
    return cut, rows


def _check_span(start: int, end: int, text: str) -> None:
    if start == end:
        raise ValueError(f"the span {start} {end} is empty")
    if start > end:
        raise ValueError(f"the span {start} {end} ends before it begins")
    if not 0 <= start < end <= len(text):
        raise ValueError(f"the span {start} {end} does not lie in the text of {len(text)} characters")
