"""Writer of JSON lines: one document per line, with its sentences, tokens and tags; nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clinspan.corpora.fidelity import has_offsets
from clinspan.corpora.types import Corpus, Document


def write_jsonl(corpus: Corpus, folder: Path) -> None:
    """Write each split to `<split>.jsonl`; nothing is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in corpus.splits.items():
        lines = [json.dumps(_record(document), ensure_ascii=False) + "\n" for document in documents]
        (folder / f"{split}.jsonl").write_bytes("".join(lines).encode())


def _record(document: Document) -> dict[str, Any]:
    """The object of a document. `from_tags`: its entities are those of the tags; `spaced`: see `Sentence`."""
    entities: list[dict[str, Any]] = []
    for entity in document.entities:
        bounds: dict[str, Any] = {"start": entity.start, "end": entity.end}
        entities.append({"label": entity.label, **(bounds if entity.continuous else {"fragments": entity.fragments})})
    sentences = [{"tokens": [[t.start, t.end] for t in s.tokens], "tags": s.tags} for s in document.sentences]
    record: dict[str, Any] = {"id": document.id, "text": document.text, "entities": entities, "sentences": sentences}
    if not has_offsets(document):
        record["from_tags"] = True
    if not all(sentence.spaced for sentence in document.sentences):
        record["spaced"] = False
    return record
