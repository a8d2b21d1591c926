r"""Our JSON lines: one document a line, in `train.jsonl`, `dev.jsonl`, `test.jsonl`.

    {"id": "d1", "text": "No fever.", "entities": [{"label": "Sign", "start": 3, "end": 8}],
     "sentences": [{"tokens": [[0, 2], [3, 8], [8, 9]], "tags": ["O", "B-Sign", "O"]}]}

`sentences` may be missing: then the text is cut and tagged like a brat document. An entity in pieces has
`"fragments": [[start, end], ...]` instead of `start` and `end`. For `label` it may say `type`, as `programs.annotate` does.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from corpora.bio import check_tag, Policies
from corpora.build import assemble, build_corpus, build_document, Cutting
from corpora.errors import InputError, read_text
from corpora.json_text import is_text, parse_json
from corpora.types import Corpus, Document, Entity, Label, SPLITS, Token


def load_jsonl(
    path: Path,
    *,
    name: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
    cutting: Cutting,
    policies: Policies,
) -> Corpus:
    """Read a folder of `<split>.jsonl`, or one file as `test`."""
    files = {"test": path} if path.is_file() else {s: path / f"{s}.jsonl" for s in SPLITS if (path / f"{s}.jsonl").is_file()}
    if not files:
        raise InputError("holds no train.jsonl, dev.jsonl or test.jsonl", path=path, remedy="Set corpus.path.")
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, file in files.items():
        splits[split], conversion[split] = [], Counter()
        for number, record in load_records(file):
            try:
                document, acts = _document(record, cutting, policies)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                problem = f"no document as clinspan writes it ({type(error).__name__}: {error})"
                remedy = "See the module corpora.jsonl for one line of the format."
                raise InputError(problem, path=file, line=number, remedy=remedy) from None
            splits[split].append(document)
            conversion[split] += acts
    return build_corpus(name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion)


def load_records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """`(line, object)` of each line of a JSON lines file; `InputError` at a line that is no JSON object."""
    records = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            problem = f"is not JSON ({getattr(error, 'msg', 'too deep, or a number too long')})"
            raise InputError(problem, path=path, line=number, remedy="Mend or remove the line.") from None
        if not isinstance(record, dict):
            raise InputError("is not a JSON object", path=path, line=number, remedy="Mend or remove the line.")
        records.append((number, record))
    if not records:
        raise InputError("is empty", path=path, remedy="Give a file with one JSON object a line.")
    return records


def _document(record: dict[str, Any], cutting: Cutting, policies: Policies) -> tuple[Document, Counter[str]]:
    name, text = str(record["id"]), record["text"]
    if not isinstance(text, str):
        raise ValueError("the text is no text")
    if not is_text(json.dumps(record, ensure_ascii=False)):
        raise ValueError("it holds half of a surrogate pair, which no text has")
    entities = [_entity(item, text) for item in record.get("entities", [])]
    if "sentences" not in record:
        return build_document(name, text, entities, cutting=cutting, policies=policies)
    cut, rows = [], []
    for sentence in record["sentences"]:
        tokens = [Token(text[start:end], start, end) for start, end in sentence["tokens"]]
        for token in tokens:
            _check_span(token.start, token.end, text)
        tags = [str(tag) for tag in sentence["tags"]]
        if len(tags) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens but {len(tags)} tags")
        for tag in dict.fromkeys(tags):
            check_tag(tag)
        cut.append(tokens)
        rows.append(tags)
    return assemble(name, text, entities, cut, rows), Counter()


def _entity(item: dict[str, Any], text: str) -> Entity:
    fragments = item.get("fragments") or [[item["start"], item["end"]]]
    for start, end in fragments:
        _check_span(start, end, text)
    return Entity(_label(item["label"] if "label" in item else item["type"]), tuple((start, end) for start, end in fragments))


def _label(name: Any) -> str:
    check_tag(f"B-{name}")
    return str(name)


def _check_span(start: int, end: int, text: str) -> None:
    if type(start) is not int or type(end) is not int:
        raise ValueError("a span has an end that is no whole number")
    if not 0 <= start < end <= len(text):
        raise ValueError(f"the span {start} {end} does not lie in the text of {len(text)} characters")


def write_jsonl(corpus: Corpus, folder: Path) -> None:
    """Write each split to `<split>.jsonl`; nothing is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in corpus.splits.items():
        lines = [json.dumps(_record(document), ensure_ascii=False) + "\n" for document in documents]
        (folder / f"{split}.jsonl").write_bytes("".join(lines).encode())


def _record(document: Document) -> dict[str, Any]:
    entities: list[dict[str, Any]] = []
    for entity in document.entities:
        where: dict[str, Any] = {"start": entity.start, "end": entity.end}
        entities.append({"label": entity.label, **(where if entity.continuous else {"fragments": entity.fragments})})
    sentences = [{"tokens": [[t.start, t.end] for t in s.tokens], "tags": s.tags} for s in document.sentences]
    return {"id": document.id, "text": document.text, "entities": entities, "sentences": sentences}
