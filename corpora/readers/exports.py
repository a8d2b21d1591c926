r"""Documents as annotation tools export them, one JSON object each.

    {"id": 1, "text": "No fever.", "label": [[3, 8, "Sign"]]}                                          doccano (also `labels`)
    {"id": 1, "text": "No fever.", "entities": [{"label": "Sign", "start_offset": 3, "end_offset": 8}]}   doccano with relations
    {"text": "No fever.", "spans": [{"start": 3, "end": 8, "label": "Sign"}], "answer": "accept"}      Prodigy
    {"id": 1, "data": {"text": "No fever."}, "annotations": [{"result": [{"type": "labels",
     "value": {"start": 3, "end": 8, "text": "fever", "labels": ["Sign"]}}]}]}                         Label Studio (also JSON-MIN)

If several annotators annotated one text, only the first is read, and the others are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.corpora.bio import check_tag
from clinspan.corpora.offsets import Placed
from clinspan.corpora.types import Entity

KEYS = ("entities", "label", "labels", "spans", "annotations")
"""Keys that may hold the annotations, in the order in which they are tried."""


_OTHER = ("sentences", "tokens", "relations", "Comments", "comments", "data", "meta", "predictions")


def not_accepted(record: Mapping[str, Any]) -> bool:
    """Whether an annotator has rejected or skipped a text (Prodigy's `answer`)."""
    return bool(record.get("answer", "accept") != "accept")


def document_of(record: Mapping[str, Any], usual: str) -> tuple[str, str]:
    """The id and text of a document; the id is `usual` if the record has none.

    Raises:
        ValueError: It has no text.
    """
    data = record.get("data")
    text = record.get("text")
    if text is None and isinstance(data, Mapping):  # Label Studio
        texts = [value for value in data.values() if isinstance(value, str)]
        text = data.get("text", texts[0] if len(texts) == 1 else None)
    elif text is None and isinstance(data, str):  # old versions of doccano
        text = data
    if not isinstance(text, str):
        raise ValueError("it has no text: the key text is required")
    meta = record.get("meta")
    name = record.get("id", meta.get("id") if isinstance(meta, Mapping) else None)
    return usual if name is None or isinstance(name, (dict, list, bool)) or not str(name) else str(name), text


def annotations_of(record: Mapping[str, Any]) -> tuple[list[Placed], Counter[str]]:
    """The annotations of a document, and counts of skipped items.

    Raises:
        ValueError: The form or the key of the annotations is not known.
    """
    acts: Counter[str] = Counter()
    key = next((key for key in KEYS if isinstance(record.get(key), Sequence) and not isinstance(record[key], str)), None)
    if key is None:
        if present := [key for key in KEYS if record.get(key) is not None]:
            raise ValueError(f"{present[0]} is not a list of annotations")
        if strange := [key for key, value in record.items() if _looks_like_spans(key, value)]:
            raise ValueError(f"annotations are under the key {strange[0]}; known keys are {', '.join(KEYS)}")
        acts["documents_without_annotations"] += "sentences" not in record
        return [], +acts
    items: Sequence[Any] = record[key]
    if items and isinstance(items[0], Mapping) and "result" in items[0]:
        items = _of_label_studio(items, acts)
    return [_annotation(item) for item in items], +acts


def _looks_like_spans(key: str, value: Any) -> bool:
    if key in _OTHER or not isinstance(value, list):
        return False
    return any(
        (isinstance(item, Mapping) and any("start" in str(name) for name in item))
        or (isinstance(item, list) and len(item) == 3 and all(type(at) is int for at in item[:2]))
        for item in value
    )


def _of_label_studio(annotations: Sequence[Mapping[str, Any]], acts: Counter[str]) -> list[Any]:
    completed = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    acts["further_annotators"] += max(0, len(completed) - 1)
    acts["answers_not_accepted"] += len(annotations) - len(completed)
    items = []
    for result in completed[0]["result"] if completed else ():
        if "labels" in result.get("value", {}):
            items.append(result["value"])
        else:
            acts["other_results"] += 1
    return items


def _annotation(item: Any) -> Placed:
    if isinstance(item, Mapping):
        name = next((item[key] for key in ("label", "labels", "type") if key in item), None)
        fragments = item.get("fragments") or [[_first(item, "start", "start_offset"), _first(item, "end", "end_offset")]]
        mention = item.get("text")
    elif isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 3:
        fragments, name, mention = [item[:2]], item[2], None
    else:
        raise ValueError("an annotation is neither an object nor [start, end, label]")
    entity = Entity(_label(name, item), tuple(_span(piece) for piece in fragments))
    return Placed(entity, mention if isinstance(mention, str) else None)


def _first(item: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        if key in item:
            return item[key]
    raise ValueError(f"an annotation has no {keys[0]}")


def _span(piece: Sequence[Any]) -> tuple[int, int]:
    start, end = piece
    if type(start) is not int or type(end) is not int:
        raise ValueError("a span has an end that is not a whole number")
    return start, end


def _label(name: Any, item: Any) -> str:
    if isinstance(name, list):
        if len(name) != 1:
            raise ValueError(f"an annotation has {len(name)} labels; it must have one")
        name = name[0]
    if name is None or isinstance(name, (bool, Mapping)):
        raise ValueError("an annotation has no label")
    if isinstance(name, int) and isinstance(item, Mapping) and "start_offset" in item:
        raise ValueError(f"the label {name} is doccano's number of a label: export as JSONL with the labels' names")
    check_tag(f"B-{name}")
    return str(name)
