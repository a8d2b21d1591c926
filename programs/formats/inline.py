"""The sentence with marked spans: `<RareDisease>Fabry disease</RareDisease> causes <Symptom>pain</Symptom> .`"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.corpora.words import Words
from clinspan.lms import Grammar, Rule
from clinspan.lms.grammars import Alternatives
from clinspan.programs.formats.align import align, fold
from clinspan.programs.formats.base import Format
from clinspan.programs.formats.plain_marks import plain_marks
from clinspan.programs.formats.tags import TagReader
from clinspan.programs.formats.types import Decoded, Place

_MOST_BY_CHARACTER = 1_500_000
_SLACK = 1000


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    label: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    place: Place


class Inline(Format):
    """The sentence with a mark around each mention."""

    drafts_pay = True

    def __init__(self, *, labels: Sequence[Label], **options: Any) -> None:
        super().__init__(labels=labels, **options)
        self._reader = TagReader(self.labels)
        names = sorted({re.escape(label.name) for label in self.labels}, key=len, reverse=True)
        self._mark = re.compile(rf"<(\s*/)?({'|'.join([*names, '[^<>/]*'])})>", re.IGNORECASE)

    def rules(self) -> str:
        marks = ", ".join(f"<{label.name}>...</{label.name}>" for label in self.labels)
        return (
            "Answer with the same sentence, unchanged but for a mark around each mention, and nothing else. "
            f"The marks are: {marks}."
        )

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        words = Words.as_given(list(tokens), getattr(tokens, "joined", ()))
        for start, end, label in tag_spans(tags):
            words[start] = f"<{label}>{words[start]}"
            words[end - 1] += f"</{label}>"
        return words.text()

    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """A grammar of the sentence with marks that open before a token and close after a token. Marks are not nested.

        Rule `o3` is token 3 outside a mark, `p3` the text after it, `q3_1` the text after it inside a mark of label 1.
        """
        rules: dict[str, Alternatives] = {"start": [[Rule("o0")]]}
        gap = Words.as_given(tokens).gap
        for i, token in enumerate(tokens):
            last = i == len(tokens) - 1
            opened: Alternatives = [[f"<{label.name}>{token}", Rule(f"q{i}_{n}")] for n, label in enumerate(self.labels)]
            rules[f"o{i}"] = [[token, Rule(f"p{i}")], *opened]
            rules[f"p{i}"] = [[]] if last else [[*filter(None, [gap(i + 1)]), Rule(f"o{i + 1}")]]
            for n, label in enumerate(self.labels):
                closed: list[str | Rule] = [f"</{label.name}>", Rule(f"p{i}")]
                rules[f"q{i}_{n}"] = [closed] if last else [closed, [gap(i + 1) + tokens[i + 1], Rule(f"q{i + 1}_{n}")]]
        return Grammar(rules)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs, missing = Counter[str](), list[str]()
        text = answers.get("", "")
        spans = self._echo(text, tokens)
        offsets_valid = spans is not None or self.alignment == "positional"
        if spans is None:
            plain = text if offsets_valid else plain_marks(text, tokens, self._reader.label, repairs)
            offsets_valid = plain == text
            spans = self._echo(plain, tokens) or self._found(plain, tokens, repairs, missing)
        places: list[Place | None] = [None] * len(tokens)
        for span in spans if offsets_valid else ():
            places[span.start : span.end] = [span.place] * (span.end - span.start)
        return Decoded(span_tags(len(tokens), [(s.start, s.end, s.label) for s in spans]), repairs, places, missing=missing)

    def _echo(self, text: str, tokens: Sequence[str]) -> list[_Span] | None:
        """Spans of an answer that is the exact sentence with well-formed marks, whatever its tokens look like; else None.

        A text that can be a mark or a token of the sentence is read as the token.
        """
        names = [label.name for label in self.labels]
        gap = Words.as_given(tokens).gap
        todo: list[tuple[int, int, tuple[str, int, int] | None, tuple[_Span, ...]]] = [(0, 0, None, ())]
        seen: set[tuple[int, int, str | None]] = set()
        while todo:
            i, at, mark, spans = todo.pop()
            if (i, at, mark and mark[0]) in seen:
                continue
            seen.add((i, at, mark and mark[0]))
            if mark is not None:
                close = f"</{mark[0]}>"
                if text.startswith(close, at):
                    span = _Span(mark[1], i, mark[0], ("", mark[2], at + len(close)))
                    todo.append((i, at + len(close), None, (*spans, span)))
            if i == len(tokens):
                if mark is None and at == len(text):
                    return list(spans)
                continue
            begin = at
            if i:
                if not text.startswith(gap(i), at):
                    continue
                begin += len(gap(i))
            for name in names if mark is None else ():
                if text.startswith(head := f"<{name}>", begin) and text.startswith(tokens[i], begin + len(head)):
                    todo.append((i + 1, begin + len(head) + len(tokens[i]), (name, i, begin), spans))
            if text.startswith(tokens[i], begin):
                todo.append((i + 1, begin + len(tokens[i]), mark, spans))
        return None

    def _found(self, text: str, tokens: Sequence[str], repairs: Counter[str], missing: list[str]) -> list[_Span]:
        unmarked, owners, marks = self._unmark(text, tokens, repairs)
        if self.alignment == "positional":
            token_owners = _by_position(unmarked, owners, len(tokens))
        else:
            token_owners = _by_alignment(unmarked, owners, tokens, repairs)
        spans: list[_Span] = []
        last: int | None = None
        for i, owner in enumerate(token_owners):
            if owner is not None and owner == last:
                spans[-1] = replace(spans[-1], end=i + 1)
            elif owner is not None:
                spans.append(_Span(i, i + 1, marks[owner].name, marks[owner].place))
            last = owner
        lost = {number: "" for number in range(len(marks)) if number not in token_owners}
        for character, owner in zip(unmarked, owners, strict=True) if lost else ():
            if owner in lost:
                lost[owner] += character
        missing += lost.values()
        repairs["mention_not_found"] += len(lost)
        return spans

    def _unmark(self, text: str, tokens: Sequence[str], repairs: Counter[str]) -> tuple[str, list[int | None], list[_Mark]]:
        """Split a text into the text without marks, the index of the mark around each of its characters, and the marks.

        A text that looks like a mark but occurs in the sentence is no mark.
        """
        sentence = "".join(tokens)
        pieces: list[str] = []
        owners: list[int | None] = []
        marks: list[_Mark] = []
        current: int | None = None
        at = 0
        for match in [*self._mark.finditer(text), None]:
            piece = text[at : match.start()] if match else text[at:]
            pieces.append(piece)
            owners += [current] * len(piece)
            if match is None:
                break
            at = match.end()
            label = self._reader.label(match[2])
            if label is None and re.sub(r"\s", "", match[0]) in sentence:
                pieces.append(match[0])
                owners += [current] * len(match[0])
            elif match[1]:
                repairs["stray_close"] += current is None
                if current is not None:
                    marks[current] = replace(marks[current], place=("", marks[current].place[1], at))
                current = None
            elif label is None:
                repairs["unknown_label"] += 1
            else:
                repairs["unclosed_mark"] += current is not None
                marks.append(_Mark(label, ("", match.start(), len(text))))
                current = len(marks) - 1
        repairs["unclosed_mark"] += current is not None
        return "".join(pieces), owners, marks


def _by_position(text: str, owners: Sequence[int | None], length: int) -> list[int | None]:
    words = [next((o for o in owners[m.start() : m.end()] if o is not None), None) for m in re.finditer(r"\S+", text)]
    return (words + [None] * length)[:length]


def _by_alignment(text: str, owners: Sequence[int | None], tokens: Sequence[str], repairs: Counter[str]) -> list[int | None]:
    """The mark that owns most of each token's characters, by an alignment of all characters except white space.

    Text beyond about twice the length of the sentence is ignored. For very long sentences words are aligned instead, because the
    time grows at least with the product of the lengths.
    """
    length = sum(map(len, tokens))
    positions = [i for i, c in enumerate(text) if not c.isspace()]
    surplus = len(positions) > 2 * length + _SLACK
    positions = positions[: 2 * length + _SLACK]
    if len(positions) * length > _MOST_BY_CHARACTER:
        return _by_word(text[: positions[-1] + 1], owners, tokens, repairs)
    echo = [fold(text[i]) for i in positions]
    source = [(fold(c), t) for t, token in enumerate(tokens) for c in token if not c.isspace()]
    votes: list[Counter[int | None]] = [Counter() for _ in tokens]
    matched = 0
    for block in SequenceMatcher(None, [c for c, _ in source], echo, autojunk=False).get_matching_blocks():
        matched += block.size
        for k in range(block.size):
            votes[source[block.a + k][1]][owners[positions[block.b + k]]] += 1
    repairs["changed_text"] += surplus or matched < max(len(source), len(echo))
    for vote in votes:
        repairs["cut_token"] += len(vote) > 1
    return [max(v, key=lambda owner: (owner is not None, v[owner])) if v else None for v in votes]


def _by_word(text: str, owners: Sequence[int | None], tokens: Sequence[str], repairs: Counter[str]) -> list[int | None]:
    words = punctuation_tokens(text)
    places = align([word.text for word in words], tokens)
    token_owners: list[int | None] = []
    for place in places:
        inside = [] if place is None else [o for o in owners[words[place].start : words[place].end] if o is not None]
        token_owners.append(Counter(inside).most_common(1)[0][0] if inside else None)
    repairs["changed_text"] += 1
    return token_owners
