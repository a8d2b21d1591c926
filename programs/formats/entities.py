"""Lists of mentions by type, converted to spans by string matching (`programs.formats.matching`).

The requested form is `{"Sign": ["fever"], "Disease": []}`. The module also reads these forms and counts their repairs:

- thoughts, drafts, fences and prose around the object (`programs.formats.replies`); several objects; repeated keys;
- the object inside another object, under any key, or in a list;
- mentions as objects with a text (`text`, `mention`, `entity`, `span`, `word`, `phrase`, `term`, `name`, `value`) and a label
  (`label`, `type`, `category`, `entity_type`, `entity_group`, `class`, `tag`), in a list, under a label, or one per line;
- pairs of a mention and its label; one string with commas instead of a list;
- plain lines: a label with a colon, with bullets below it or mentions on the same line;
- labels in another case, with spaces, hyphens or underscores, or in the plural;
- broken JSON, where a mention counts only if it stands between delimiters.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from clinspan.corpora import FullMention, Label
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.full_mentions import check_mentions, flat_tags, in_order, Mentions, of_tags
from clinspan.corpora.words import Words
from clinspan.lms import Grammar, Rule
from clinspan.lms.grammars import Alternatives
from clinspan.programs.formats.answered import probability_of
from clinspan.programs.formats.base import Format
from clinspan.programs.formats.listed import find_places, full_lists, FullLists
from clinspan.programs.formats.matching import MentionFinder
from clinspan.programs.formats.replies import listed_lines, Pairs, read_json, without_thoughts
from clinspan.programs.formats.tags import TagReader
from clinspan.programs.formats.types import Decoded, Place, Question

_LISTED = 600
_NEAR = 10_000
_SHAPES = 'List mentions inside other mentions too. Where words of a mention stand apart, write " ... " between its pieces.'
_READ = "I've read this text."
_TEXT_KEYS = ("text", "mention", "entity", "span", "word", "phrase", "term", "name", "value")
_LABEL_KEYS = ("label", "type", "category", "entity_type", "entity_group", "class", "tag")


class Entities(Format):
    """A JSON object with a list of mentions per type or, with `per_type`, one question and one JSON list per type.

    A mention marks every occurrence of its tokens in the sentence. If two spans share a token, the longer one is kept. Of the same
    span with several labels, the label that the model gives the higher probability is kept, if probabilities are known. Of other
    equally long spans, the one with the earlier label is kept. With `mentions=full` all listed mentions are in `Decoded.mentions`
    too, also those that lose a token to others, and those in pieces (see `formats.listed`); tags then follow `flat_tags`.

    Args:
        labels: The corpus' labels.
        per_type: Ask for one type at a time, in the conversation that UniversalNER was tuned on.
        mentions: `full`: ask for nested mentions and for mentions in pieces too; None is `flat`.
        options: See `Format`; `alignment` has no meaning here, since mentions carry no positions.
    """

    def __init__(
        self, *, labels: Sequence[Label], per_type: bool = False, mentions: Mentions | None = None, **options: Any
    ) -> None:
        super().__init__(labels=labels, **options)
        check_mentions("format.mentions", mentions or "flat")
        self.per_type, self.full = per_type, mentions == "full"
        self._reader = TagReader(self.labels)

    def rules(self) -> str:
        shape = f" {_SHAPES}" if self.full else ""
        if self.per_type:
            return f"You are asked about one type at a time. Answer with a JSON list of the mentions, as they are written.{shape}"
        names = ", ".join(f'"{label.name}"' for label in self.labels)
        return (
            "Answer with one JSON object and nothing else. Its keys are "
            f"{names}; each value is the list of the mentions of that type, written as in the sentence.{shape}"
        )

    def questions(self, tokens: Sequence[str], context: Sequence[str], note: str = "") -> list[Question]:
        if not self.per_type:
            return super().questions(tokens, context, note)
        text = f"Text: {self.shown(tokens, context, note)}"
        ask = "What describes {} in the text?"
        return [
            Question(label.name, (("user", text), ("assistant", _READ), ("user", ask.format(label.spoken))))
            for label in self.labels
        ]

    def split(self) -> Entities | None:
        if self.per_type or len(self.labels) < 2:
            return None
        smaller = copy.copy(self)
        smaller.per_type = True
        return smaller

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        return self._lists(of_tags(tags), tokens, key)

    def shown_answer(self, tokens: Sequence[str], example: Mapping[str, Any], key: str = "") -> str:
        mentions = example.get("mentions") if self.full else None
        if mentions is None:
            return super().shown_answer(tokens, example, key)
        read = [FullMention.of(one) for one in mentions]
        return self._lists([FullMention(self.called.get(one.label, one.label), one.fragments) for one in read], tokens, key)

    def _lists(self, mentions: Iterable[FullMention], tokens: Sequence[str], key: str) -> str:
        lists = full_lists(mentions, Words.as_given(tokens), [label.name for label in self.labels])
        return json.dumps(lists[key] if key else lists, ensure_ascii=False)

    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """A grammar of lists with mentions in the order of the sentence, without overlap, so that every list ends.

        With `mentions=full` they may overlap and may be in pieces as far as `FullLists` says: there are right answers beyond it.

        Rule `list` is the text after an opening bracket, `m3` a mention that begins at token 3 or later, `w3` the text after
        token 3 inside a mention, `c4` the text after a mention that ends before token 4.
        """
        words = [json.dumps(token, ensure_ascii=False)[1:-1] for token in tokens]
        gap = Words.as_given(tokens).gap
        if key:
            rules: dict[str, Alternatives] = {"start": [["[", Rule("list")]]}
        else:
            parts: list[str | Rule] = []
            for n, label in enumerate(self.labels):
                parts += [f"{', ' if n else '{'}{json.dumps(label.name, ensure_ascii=False)}: [", Rule("list")]
            rules = {"start": [[*parts, "}"]]}
        if self.full:
            return Grammar(rules | FullLists(words, Words.as_given(tokens)).rules())
        rules["list"] = [["]"], ['"', Rule("m0")]]
        for i, word in enumerate(words):
            after = i + 1
            rules[f"m{i}"] = [[word, Rule(f"w{i}")], [Rule(f"m{after}")]]
            if after < len(words):
                rules[f"w{i}"] = [['"', Rule(f"c{after}")], [gap(after) + words[after], Rule(f"w{after}")]]
                rules[f"c{after}"] = [["]"], [', "', Rule(f"m{after}")]]
            else:
                rules[f"m{i}"], rules[f"w{i}"], rules[f"c{after}"] = [[word, Rule(f"w{i}")]], [['"', Rule(f"c{after}")]], [["]"]]
        return Grammar(rules)

    def schema(self, key: str = "") -> dict[str, Any] | None:
        """The schema of an object with a list of strings per type.

        None for a question about one type, because its answer is a list and OpenAI's structured outputs accept only objects.
        """
        if key:
            return None
        names = [label.name for label in self.labels]
        listed = {"type": "array", "items": {"type": "string"}}
        return {"type": "object", "properties": dict.fromkeys(names, listed), "required": names, "additionalProperties": False}

    def longest(self, tokens: Sequence[str], key: str = "") -> str:
        """An answer with every token as a mention under every type; for long sentences under fewer types, but at least two."""
        labels = self.labels[: max(2, _LISTED // max(1, len(tokens)))]
        every = [*tokens] * (2 if self.full else 1)
        return json.dumps(every if key else {label.name: every for label in labels}, ensure_ascii=False)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs: Counter[str] = Counter()
        found: dict[FullMention, Place | None] = {}
        finder, missing = MentionFinder(tokens), list[str]()
        for key, text in answers.items():
            at = 0
            for label, mention in self._mentions(key, text, repairs, finder):
                place, at = _place_of(mention, key, text, at)
                ranges = find_places(finder, mention, repairs, full=self.full)
                missing += [] if ranges else [mention]
                for fragments in ranges:
                    found.setdefault(FullMention(label, fragments), place)
        less = _less_probable(found)
        repairs["type_by_probability"] += 0 if self.full else len(less)
        flat = [one for one in found if one not in less]
        tags = flat_tags(flat, len(tokens), [label.name for label in self.labels])
        spans = {(start, end, label) for start, end, label in tag_spans(tags)}
        repairs["overlapping_mention"] += 0 if self.full else len(flat) - len(spans)
        places: list[Place | None] = [None] * len(tokens)
        for one in flat:
            start, end = one.fragments[0]
            if (start, end, one.label) in spans and places[start] is None:
                places[start:end] = [found[one]] * (end - start)
        mentions = [(one, found[one]) for one in in_order(found)] if self.full else None
        return Decoded(tags, repairs, places, missing=missing, mentions=mentions)

    def _mentions(self, key: str, text: str, repairs: Counter[str], finder: MentionFinder) -> Iterator[tuple[str, str]]:
        """Yield each (label, mention) of an answer once. The docstring of the module lists the forms that are read."""
        parsed = read_json(text, repairs, self._keys, bare_lists=bool(key))
        if parsed is None:
            pairs = list(listed_lines(without_thoughts(text), self._label)) if not key else []
            repairs["malformed_answer"] += not pairs
            yield from dict.fromkeys(pairs)
            return
        if not key and not isinstance(parsed.value, (Pairs, list)):
            repairs["malformed_answer"] += 1
            return
        seen: set[tuple[str, str]] = set()
        for label, mention, alone in self._walk(parsed.value, key or None, repairs):
            if parsed.repaired and not _enclosed(mention, text):
                repairs["malformed_mention"] += 1
                continue
            for part in _parts(mention, finder) if alone else [mention]:
                if (label, part) in seen:
                    repairs["repeated_mention"] += 1
                else:
                    seen.add((label, part))
                    yield label, part

    def _walk(self, value: Any, label: str | None, repairs: Counter[str]) -> Iterator[tuple[str, str, bool]]:
        """Yield (label, mention, alone) for the mentions in a value; `alone` if a string stands where a list was requested."""
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
        """Read a list of a mention and its label, in either order, as `_walk` yields it; None for any other list."""
        if len(value) != 2 or not all(isinstance(item, str) for item in value):
            return None
        for mention, named in (value, value[::-1]):
            if (known := self._label(named)) is not None and mention.strip():
                return known, mention, False
        return None

    def _keys(self, value: Any) -> frozenset[str]:
        """The answer keys of a value for `read_json`: the labels that it has lists for, or the mentions that it holds."""
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


def _less_probable(found: Mapping[FullMention, Place | None]) -> set[FullMention]:
    """The mentions that have another label too, which the model gives a higher probability; none where one is not known."""
    same: dict[tuple[tuple[int, int], ...], list[FullMention]] = {}
    for mention in found:
        same.setdefault(mention.fragments, []).append(mention)
    less: set[FullMention] = set()
    for several in same.values():
        known = {} if len(several) == 1 else {mention: probability_of(found[mention]) for mention in several}
        values = [value for value in known.values() if value is not None]
        if len(values) == len(several) > 1:
            less |= {mention for mention in several if (known[mention] or 0.0) < max(values)}
    return less


def _holds_objects(value: Any) -> bool:
    items = value if isinstance(value, list) else [inner for _, inner in value.items]
    return any(isinstance(item, (Pairs, list)) for item in items)


def _parts(mention: str, finder: MentionFinder) -> list[str]:
    """Split a string that replaces a list at its commas and semicolons, unless the sentence holds the whole string."""
    if not re.search(r"[,;]", mention) or finder.places(mention, Counter()):
        return [mention]
    return [part.strip() for part in re.split(r"[,;]", mention) if part.strip()]


def _enclosed(mention: str, text: str) -> bool:
    """Whether a mention from broken JSON stands between delimiters in the answer, so that it is not a part of another mention."""
    inner = re.escape(json.dumps(mention, ensure_ascii=False)[1:-1])
    plain = re.escape(mention)
    quoted = rf"([\"'])(?:{inner}|{plain})\1\s*(?:[,\]}}:]|\Z)"
    bare = rf"[\[,:]\s*{plain}\s*[,\]}}]"
    return re.search(f"{quoted}|{bare}", text) is not None


def _place_of(mention: str, key: str, text: str, at: int) -> tuple[Place | None, int]:
    """The place of a mention in the answer, quotes included, searched from character `at`, and where to search for the next."""
    quoted = json.dumps(mention, ensure_ascii=False)
    start = text.find(quoted, at, at + _NEAR)
    if start < 0:
        return None, at
    return (key, start, start + len(quoted)), start + len(quoted)
