"""Lists of mentions by type: the document-level answer, turned into spans by exact string matching."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import json_repair

from corpora import Label
from corpora.bio import span_tags, tag_spans
from corpora.json_text import parse_json
from corpora.tokens import punctuation_tokens
from lms import Grammar, Rule
from lms.grammars import Alternatives
from programs.formats.align import fold
from programs.formats.base import Decoded, Format, Place, Question
from programs.formats.tags import TagReader

_LISTED = 600
_REPAIRED = 4_000
_NEAR = 10_000
_READ = "I've read this text."


class Entities(Format):
    """A JSON object of lists by type or, with `per_type`, one question and one JSON list a type.

    A mention marks every place where its tokens stand in the sentence. Where two would share a token the longer
    is kept and, of equally long ones, that of the earlier label.

    Args:
        labels: The corpus' labels.
        per_type: Ask for one type at a time, in the conversation that UniversalNER was tuned on.
        options: See `Format`; `alignment` has no meaning here, since mentions carry no positions.
    """

    def __init__(self, *, labels: Sequence[Label], per_type: bool = False, **options: Any) -> None:
        super().__init__(labels=labels, **options)
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

    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """Lists of mentions that stand in the sentence, each behind the one before, so that every list ends.

        Rule `list` is what follows an opening bracket, `m3` a mention that begins at token 3 or later, `w3` what
        follows token 3 inside a mention, `c4` what follows a mention before token 4.
        """
        words = [json.dumps(token, ensure_ascii=False)[1:-1] for token in tokens]
        if key:
            rules: dict[str, Alternatives] = {"start": [["[", Rule("list")]]}
        else:
            parts: list[str | Rule] = []
            for n, label in enumerate(self.labels):
                parts += [f"{', ' if n else '{'}{json.dumps(label.name, ensure_ascii=False)}: [", Rule("list")]
            rules = {"start": [[*parts, "}"]]}
        rules["list"] = [["]"], ['"', Rule("m0")]]
        for i, word in enumerate(words):
            behind = i + 1
            rules[f"m{i}"] = [[word, Rule(f"w{i}")], [Rule(f"m{behind}")]]
            if behind < len(words):
                rules[f"w{i}"] = [['"', Rule(f"c{behind}")], [f" {words[behind]}", Rule(f"w{behind}")]]
                rules[f"c{behind}"] = [["]"], [', "', Rule(f"m{behind}")]]
            else:
                rules[f"m{i}"], rules[f"w{i}"], rules[f"c{behind}"] = [[word, Rule(f"w{i}")]], [['"', Rule(f"c{behind}")]], [["]"]]
        return Grammar(rules)

    def schema(self, key: str = "") -> dict[str, Any] | None:
        """An object with a list of texts a type; OpenAI's structured outputs take objects only, so none for one type's list."""
        if key:
            return None
        names = [label.name for label in self.labels]
        listed = {"type": "array", "items": {"type": "string"}}
        return {"type": "object", "properties": dict.fromkeys(names, listed), "required": names, "additionalProperties": False}

    def longest(self, tokens: Sequence[str], key: str = "") -> str:
        """Every token a mention of its own under every type at once; of long sentences under two types at least."""
        listed = self.labels[: max(2, _LISTED // max(1, len(tokens)))]
        return json.dumps(list(tokens) if key else {label.name: list(tokens) for label in listed}, ensure_ascii=False)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs: Counter[str] = Counter()
        spans: dict[tuple[int, int, str], Place | None] = {}
        finder = _Finder(tokens)
        for key, text in answers.items():
            at = 0
            for label, mention in self._mentions(key, text, repairs):
                place, at = _place_of(mention, key, text, at)
                for start, end in finder.places(mention, repairs):
                    spans.setdefault((start, end, label), place)
        order = {label.name: n for n, label in enumerate(self.labels)}
        taken: set[int] = set()
        kept = []
        places: list[Place | None] = [None] * len(tokens)
        for span in sorted(spans, key=lambda s: (s[0] - s[1], order[s[2]], s[0])):
            if taken.isdisjoint(range(span[0], span[1])):
                taken.update(range(span[0], span[1]))
                kept.append(span)
                places[span[0] : span[1]] = [spans[span]] * (span[1] - span[0])
            else:
                repairs["overlapping_mention"] += 1
        return Decoded(span_tags(len(tokens), kept), repairs, places)

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
    """The value of an answer; of one that is no JSON what its beginning can be made to say, as repairing takes time as the cube
    of the length."""
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        return parse_json(body)
    except ValueError:
        repairs["malformed_json"] += 1
    try:
        return json_repair.loads(body[:_REPAIRED])
    except (ValueError, RecursionError, TypeError, IndexError):
        return None


def _place_of(mention: str, key: str, text: str, at: int) -> tuple[Place | None, int]:
    """Where a mention stands in the answer from character `at` on, quotes included, and where to look for the next."""
    quoted = json.dumps(mention, ensure_ascii=False)
    start = text.find(quoted, at, at + _NEAR)
    if start < 0:
        return None, at
    return (key, start, start + len(quoted)), start + len(quoted)


class _Finder:
    """Finds mentions in a sentence."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens, self._folded = list(tokens), [fold(token) for token in tokens]

    def places(self, mention: str, repairs: Counter[str]) -> list[tuple[int, int]]:
        """Every place where the mention's tokens stand; if none does, the same without regard to case and quotes."""
        wanted = [token.text for token in punctuation_tokens(mention)]
        places = _spelt(mention, self._tokens) or _matches(wanted, self._tokens)
        if not places:
            places = _matches([fold(token) for token in wanted], self._folded)
            repairs["changed_case"] += bool(places)
        repairs["mention_not_found"] += not places
        return places


def _spelt(mention: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Every run of tokens that, joined by spaces, is the mention, whatever is inside a token."""
    found = []
    for start in range(len(tokens)):
        at = 0
        for end in range(start, len(tokens)):
            if not mention.startswith(tokens[end], at):
                break
            at += len(tokens[end])
            if at == len(mention):
                found.append((start, end + 1))
                break
            if mention[at] != " ":
                break
            at += 1
    return found


def _matches(wanted: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int]]:
    width, rows = len(wanted), list(wanted)
    if not width:
        return []
    starts = (i for i in range(len(tokens) - width + 1) if tokens[i] == rows[0])
    return [(i, i + width) for i in starts if list(tokens[i : i + width]) == rows]
