"""Lists of mentions by type, converted to spans by string matching (`programs.formats.matching`).

Asked for is `{"Sign": ["fever"], "Disease": []}`. Read are also, each with its repairs counted:

- thoughts, drafts, fences and prose around it (`programs.formats.replies`); several objects, a key that comes twice;
- the object inside another, under any key, or in a list;
- mentions as objects with a text (`text`, `mention`, `entity`, `span`, `word`, `phrase`, `term`, `name`, `value`) and a label
  (`label`, `type`, `category`, `entity_type`, `entity_group`, `class`, `tag`), in a list, under a label, or one a line;
- pairs of a mention and its label; one text with commas instead of a list;
- plain lines: a label with a colon, and bullets below it or mentions behind it;
- labels in other case, with spaces, hyphens or underscores, in the plural;
- broken JSON, of which a mention counts only if it stands between delimiters.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.lms import Grammar, Rule
from clinspan.lms.grammars import Alternatives
from clinspan.programs.formats.base import Decoded, Format, Place, Question
from clinspan.programs.formats.matching import MentionFinder
from clinspan.programs.formats.replies import listed_lines, Pairs, read_json, without_thoughts
from clinspan.programs.formats.tags import TagReader

_LISTED = 600
_NEAR = 10_000
_READ = "I've read this text."
_TEXT_KEYS = ("text", "mention", "entity", "span", "word", "phrase", "term", "name", "value")
_LABEL_KEYS = ("label", "type", "category", "entity_type", "entity_group", "class", "tag")


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
        finder = MentionFinder(tokens)
        for key, text in answers.items():
            at = 0
            for label, mention in self._mentions(key, text, repairs, finder):
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

    def _mentions(self, key: str, text: str, repairs: Counter[str], finder: MentionFinder) -> Iterator[tuple[str, str]]:
        """Labels and mentions of an answer, each once; see `programs.formats.entities` for the shapes that are read."""
        found = read_json(text, repairs, self._keys, bare_lists=bool(key))
        if found is None:
            pairs = list(listed_lines(without_thoughts(text), self._label)) if not key else []
            repairs["malformed_answer"] += not pairs
            yield from dict.fromkeys(pairs)
            return
        if not key and not isinstance(found.value, (Pairs, list)):
            repairs["malformed_answer"] += 1
            return
        seen: set[tuple[str, str]] = set()
        for label, mention, alone in self._walk(found.value, key or None, repairs):
            if found.repaired and not _enclosed(mention, text):
                repairs["malformed_mention"] += 1
                continue
            for one in _parts(mention, finder) if alone else [mention]:
                if (label, one) in seen:
                    repairs["repeated_mention"] += 1
                else:
                    seen.add((label, one))
                    yield label, one

    def _walk(self, value: Any, label: str | None, repairs: Counter[str]) -> Iterator[tuple[str, str, bool]]:
        """Labels and mentions below a value, and whether a mention stood alone where a list was asked for."""
        if isinstance(value, str):
            if label is None or not value.strip():
                repairs["malformed_mention"] += 1
            else:
                yield label, value, True
        elif isinstance(value, list):
            pair = self._pair(value) if label is None else None
            for item in value if pair is None else []:
                if isinstance(item, str) and label is not None and item.strip():
                    yield label, item, False
                else:
                    yield from self._walk(item, label, repairs)
            if pair is not None:
                yield pair
        elif isinstance(value, Pairs):
            yield from self._object(value, label, repairs)
        elif value is not None or label is not None:
            repairs["malformed_mention"] += 1

    def _object(self, value: Pairs, label: str | None, repairs: Counter[str]) -> Iterator[tuple[str, str, bool]]:
        fields = {name.strip().lower(): inner for name, inner in value.items}
        mention = next((fields[name] for name in _TEXT_KEYS if isinstance(fields.get(name), str)), None)
        named = next((fields[name] for name in _LABEL_KEYS if isinstance(fields.get(name), str)), None)
        if mention is not None and mention.strip() and (named is not None or label is not None):
            known = self._label(named) if named is not None else label
            if known is None:
                repairs["unknown_label"] += 1
            else:
                yield known, mention, False
            return
        for name, inner in value.items:
            known = self._label(name)
            if known is not None:
                yield from self._walk(inner, known, repairs)
            elif self._keys(inner) or (isinstance(inner, (Pairs, list)) and _holds_objects(inner)):
                yield from self._walk(inner, label, repairs)
            else:
                repairs["unknown_label"] += 1

    def _pair(self, value: list[Any]) -> tuple[str, str, bool] | None:
        """A list of a mention and its label, in either order."""
        if len(value) != 2 or not all(isinstance(item, str) for item in value):
            return None
        for mention, named in (value, value[::-1]):
            if (known := self._label(named)) is not None and mention.strip():
                return known, mention, False
        return None

    def _keys(self, value: Any) -> frozenset[str]:
        """What a value answers: the labels that it has lists of, or the mentions that it is."""
        if isinstance(value, list):
            pair = self._pair(value)
            return frozenset([f"mention {pair[1]}"]) if pair else frozenset().union(*map(self._keys, value))
        if not isinstance(value, Pairs):
            return frozenset()
        fields = {name.strip().lower(): inner for name, inner in value.items}
        mention = next((fields[name] for name in _TEXT_KEYS if isinstance(fields.get(name), str)), None)
        if mention is not None and any(isinstance(fields.get(name), str) for name in _LABEL_KEYS):
            return frozenset([f"mention {mention}"])
        own = {known for name, _ in value.items if (known := self._label(name)) is not None}
        return frozenset(own).union(*(self._keys(inner) for name, inner in value.items if self._label(name) is None))

    def _label(self, name: str) -> str | None:
        return self._reader.label(name)


def _holds_objects(value: Any) -> bool:
    items = value if isinstance(value, list) else [inner for _, inner in value.items]
    return any(isinstance(item, (Pairs, list)) for item in items)


def _parts(mention: str, finder: MentionFinder) -> list[str]:
    """A text instead of a list, divided at its commas if it does not stand in the sentence as it is."""
    if not re.search(r"[,;]", mention) or finder.places(mention, Counter()):
        return [mention]
    return [part.strip() for part in re.split(r"[,;]", mention) if part.strip()]


def _enclosed(mention: str, text: str) -> bool:
    """Whether a mention that was read out of broken JSON stands there between delimiters, and is not the half of another."""
    inner = re.escape(json.dumps(mention, ensure_ascii=False)[1:-1])
    plain = re.escape(mention)
    quoted = rf"([\"'])(?:{inner}|{plain})\1\s*(?:[,\]}}:]|\Z)"
    bare = rf"[\[,:]\s*{plain}\s*[,\]}}]"
    return re.search(f"{quoted}|{bare}", text) is not None


def _place_of(mention: str, key: str, text: str, at: int) -> tuple[Place | None, int]:
    """Where a mention stands in the answer from character `at` on, quotes included, and where to look for the next."""
    quoted = json.dumps(mention, ensure_ascii=False)
    start = text.find(quoted, at, at + _NEAR)
    if start < 0:
        return None, at
    return (key, start, start + len(quoted)), start + len(quoted)
