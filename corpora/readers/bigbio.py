"""Documents in BigBIO's schema `kb` (Fries et al. 2022): passages and entities with character offsets into the document.

    {"id": "0", "document_id": "d1",
     "passages": [{"id": "1", "type": "title", "text": ["No fever."], "offsets": [[0, 9]]}],
     "entities": [{"id": "2", "type": "Sign", "text": ["fever"], "offsets": [[3, 8]], "normalized": []}],
     "events": [], "coreferences": [], "relations": []}

Each passage is placed at its own offset. Events, coreferences and relations are counted and skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.offsets import fit, Placed
from clinspan.corpora.readers.brat import whole_mentions
from clinspan.corpora.types import Document, Entity

COLUMNS = ("passages", "entities")
OTHERS = ("events", "coreferences", "relations")
MOST_BETWEEN = 1_000_000  # characters between two passages; a damaged offset must not fill the memory


def kb_document(record: Mapping[str, Any], usual: str, cutting: Cutting, policies: Policies) -> tuple[Document, Counter[str]]:
    """Read one document, and count conversions and skipped items.

    Args:
        record: The document; a list of objects may be an object of lists, as some versions of `datasets` give it.
        usual: Its id if the record has none.
        cutting: How to split the text.
        policies: How to tag.

    Raises:
        KeyError, TypeError, ValueError: It is not a document of the schema.
    """
    acts = Counter({key: len(_objects(record.get(key))) for key in OTHERS})
    text = _text(_objects(record["passages"]), acts)
    placed = []
    for item in _objects(record["entities"]):
        pieces = tuple((int(start), int(end)) for start, end in item["offsets"])
        if not pieces:
            acts["entities_without_offsets"] += 1
            continue
        if not all(0 <= start < end for start, end in pieces):
            raise ValueError("an entity has a span that is empty or ends before it begins")
        label = str(item["type"])
        check_tag(f"B-{label}")
        mention = item.get("text")
        placed.append(Placed(Entity(label, pieces), " ".join(map(str, mention)) if isinstance(mention, list) else mention))
    reading = fit(text, placed)
    if late := [entity.end for entity in reading.entities if entity.end > len(reading.text)]:
        raise ValueError(f"an entity ends at {late[0]}, past the end of the text ({len(reading.text)} characters)")
    entities, join_acts = whole_mentions(reading.text, reading.entities)
    name = str(record.get("document_id") or record.get("id") or usual)
    document, tagging_acts = build_document(name, reading.text, entities, cutting=cutting, policies=policies)
    return document, +(acts + reading.acts + join_acts + tagging_acts)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [dict(zip(value, items, strict=True)) for items in zip(*value.values(), strict=True)]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError("passages, entities and relations have to be lists of objects")
    return value


def _text(passages: Sequence[Mapping[str, Any]], acts: Counter[str]) -> str:
    pieces: list[tuple[int, str]] = []
    for passage in passages:
        texts = [passage["text"]] if isinstance(passage["text"], str) else passage["text"]
        pieces += [(int(start), str(words)) for words, (start, _) in zip(texts, passage["offsets"], strict=True)]
    text = ""
    for start, words in sorted(pieces):
        if start > len(text) + MOST_BETWEEN:
            raise ValueError(f"a passage begins at {start}, far behind the passage before it")
        if start > len(text):
            text += "\n" + " " * (start - len(text) - 1)
        elif text[start : start + len(words)] == words and words:
            acts["repeated_passages"] += 1
            continue
        elif start < len(text):
            raise ValueError(f"a passage begins at {start}, inside the passage before it")
        text += words
    return text
