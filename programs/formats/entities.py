"""Lists of mentions by type: the document-level answer, turned into spans by exact string matching."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import json_repair

from corpora import Label
from corpora.bio import span_tags, tag_spans
from corpora.tokens import punctuation_tokens
from programs.formats.align import fold
from programs.formats.base import Alignment, Decoded, Format, Question
from programs.formats.tags import TagReader

_READ = "I've read this text."


class Entities(Format):
    """A JSON object of lists by type or, with `per_type`, one question and one JSON list a type.

    A mention marks every place where its tokens stand in the sentence. Where two would share a token the longer
    is kept and, of equally long ones, that of the earlier label.

    Args:
        labels: The corpus' labels.
        alignment: Only `tokens` has a meaning here: mentions carry no positions.
        per_type: Ask for one type at a time, in the conversation that UniversalNER was tuned on.
    """

    def __init__(self, *, labels: Sequence[Label], alignment: Alignment = "tokens", per_type: bool = False) -> None:
        super().__init__(labels=labels, alignment=alignment)
        self.per_type = per_type
        self._reader = TagReader(self.labels)

    def rules(self) -> str:
        if self.per_type:
            return "You are asked about one type at a time. Answer with a JSON list of the mentions, as they are written."
        names = ", ".join(f'"{label.name}"' for label in self.labels)
        return (
            "Answer with one JSON object and nothing else. Its keys are "
            f"{names}; each value is the list of the mentions of that type, written as in the sentence."
        )

    def questions(self, tokens: Sequence[str], context: Sequence[str]) -> list[Question]:
        if not self.per_type:
            return super().questions(tokens, context)
        text = f"Text: {self.shown(tokens, context)}"
        ask = "What describes {} in the text?"
        return [
            Question(label.name, (("user", text), ("assistant", _READ), ("user", ask.format(label.spoken))))
            for label in self.labels
        ]

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        lists: dict[str, list[str]] = {label.name: [] for label in self.labels}
        for start, end, label in tag_spans(tags):
            mention = " ".join(tokens[start:end])
            if mention not in lists[label]:
                lists[label].append(mention)
        return json.dumps(lists[key] if key else lists, ensure_ascii=False)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs: Counter[str] = Counter()
        spans: list[tuple[int, int, str]] = []
        for key, text in answers.items():
            for label, mention in self._mentions(key, text, repairs):
                spans += [(start, end, label) for start, end in _places(mention, tokens, repairs)]
        order = {label.name: n for n, label in enumerate(self.labels)}
        spans = sorted(set(spans), key=lambda s: (s[0] - s[1], order[s[2]], s[0]))
        taken: set[int] = set()
        kept = []
        for span in spans:
            if taken.isdisjoint(range(span[0], span[1])):
                taken.update(range(span[0], span[1]))
                kept.append(span)
            else:
                repairs["overlapping_mention"] += 1
        return Decoded(span_tags(len(tokens), kept), repairs)

    def _mentions(self, key: str, text: str, repairs: Counter[str]) -> Iterable[tuple[str, str]]:
        value = _json(text, repairs)
        groups: list[tuple[str | None, Any]]
        if key:
            groups = [(key, value)]
        elif isinstance(value, dict):
            groups = [(self._reader.label(str(name)), items) for name, items in value.items()]
        else:
            repairs["malformed_answer"] += 1
            return
        for label, items in groups:
            listed = items if isinstance(items, list) else [items] if isinstance(items, str) else []
            texts = [item for item in listed if isinstance(item, str) and item.strip()]
            repairs["malformed_mention"] += len(listed) - len(texts)
            if label is None:
                repairs["unknown_label"] += 1
                continue
            repairs["repeated_mention"] += len(texts) - len(set(texts))
            yield from ((label, mention) for mention in dict.fromkeys(texts))


def _json(text: str, repairs: Counter[str]) -> Any:
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        repairs["malformed_json"] += 1
    try:
        return json_repair.loads(body)
    except (ValueError, RecursionError, TypeError, IndexError):
        return None


def _places(mention: str, tokens: Sequence[str], repairs: Counter[str]) -> list[tuple[int, int]]:
    """Every place where the mention's tokens stand; if none does, the same without regard to case and quotes."""
    wanted = [token.text for token in punctuation_tokens(mention)]
    places = _matches(wanted, tokens) or _matches(mention.split(), tokens)
    if not places:
        folded = [fold(token) for token in tokens]
        places = _matches([fold(token) for token in wanted], folded)
        repairs["changed_case"] += bool(places)
    repairs["mention_not_found"] += not places
    return places


def _matches(wanted: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int]]:
    width = len(wanted)
    rows = list(wanted)
    return [(i, i + width) for i in range(len(tokens) - width + 1) if list(tokens[i : i + width]) == rows] if width else []
