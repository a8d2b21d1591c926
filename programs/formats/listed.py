"""Lists of full mentions: the text of a mention in pieces, its place in a sentence, and a grammar of such lists.

A mention in pieces is written with ` ... ` between them, `Pain in ... legs`. A list has its mentions by their last token, and those
with the same last token by their first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clinspan.corpora import FullMention
from clinspan.corpora.full_mentions import in_order, merged
from clinspan.corpora.words import Words
from clinspan.lms import Rule
from clinspan.lms.grammars import Alternatives, Symbol
from clinspan.programs.formats.matching import MentionFinder

BETWEEN = " ... "
"""What stands between the pieces of a mention."""
_BETWEEN = re.compile(r"\s*(?:\.{3,}|…)\s*")
_REACH = 10
_SAME_END = 2
Ranges = tuple[tuple[int, int], ...]
_Rows = list[list[Symbol]]


def listed(mention: FullMention, words: Words) -> str:
    """The text of a mention in a list.

    >>> listed(FullMention("Sign", ((0, 1), (2, 3))), Words(["Pain", "in", "legs"]))
    'Pain ... legs'
    """
    return BETWEEN.join(words.text(start, end) for start, end in mention.fragments)


def full_lists(mentions: Iterable[FullMention], words: Words, labels: Sequence[str]) -> dict[str, list[str]]:
    """The texts of the mentions of each label, each text once."""
    lists: dict[str, list[str]] = {label: [] for label in labels}
    for mention in in_order(mentions):
        lists[mention.label].append(listed(mention, words))
    return {label: list(dict.fromkeys(texts)) for label, texts in lists.items()}


def find_places(finder: MentionFinder, mention: str, repairs: Counter[str], *, full: bool) -> list[Ranges]:
    """Where a sentence has a mention: every place of a continuous one, the narrowest place of one in pieces.

    Args:
        finder: Of the sentence.
        mention: As the model wrote it.
        repairs: As for `MentionFinder.places`.
        full: Whether it may be in pieces.
    """
    pieces = [piece for piece in _BETWEEN.split(mention) if piece] if full else []
    if pieces in ([], [mention]) or finder.places(mention, Counter()):
        pieces = [mention]
    if len(pieces) > 1:
        return _place_pieces([finder.places(piece, Counter()) for piece in pieces], repairs)
    return [((start, end),) for start, end in finder.places(pieces[0], repairs)]


def _place_pieces(places: Sequence[Sequence[tuple[int, int]]], repairs: Counter[str]) -> list[Ranges]:
    """The narrowest choice of one place for each piece, in text order; with tokens between all pieces, if there is one."""
    for gap in (1, 0):
        chosen = [found for first in places[0] if (found := _next_pieces(first, places[1:], gap)) is not None]
        if chosen:
            narrowest = min(chosen, key=lambda ranges: (ranges[-1][1] - ranges[0][0], ranges))
            return [merged(narrowest)]
    repairs["mention_not_found"] += 1
    return []


def _next_pieces(first: tuple[int, int], places: Sequence[Sequence[tuple[int, int]]], gap: int) -> list[tuple[int, int]] | None:
    ranges = [first]
    for found in places:
        after = min((place for place in found if place[0] >= ranges[-1][1] + gap), key=lambda place: place[1], default=None)
        if after is None:
            return None
        ranges.append(after)
    return ranges


@dataclass(frozen=True, slots=True)
class FullLists:
    """Grammar rules of lists of full mentions, so made that every list ends.

    A mention ends behind the last token of the one before, or at that token (then `_SAME_END` times at most). It begins at most
    `_REACH` tokens before that token, or behind it. The gap between pieces may be anywhere, except that a mention that begins
    before the end of the last one has no more than one piece that lies before that end.

    Rule `m3` is a piece that begins at token 3 or later, `w3` the text after token 3 in a mention that may end there. `f7` is a
    mention that ends behind token 6, `h7_3` the text after token 3 of such a mention. `c7_1` is the text after the second mention
    that ends at token 6, `v7_1_3` a further one that begins at token 3 or later, `u7_1_3` its text after token 3.

    Args:
        words: The tokens as JSON strings have them.
        spacing: The sentence, for the blanks between tokens.
    """

    words: Sequence[str]
    spacing: Words

    def rules(self) -> dict[str, Alternatives]:
        """The rules; `list` is the text after an opening bracket."""
        rules: dict[str, Alternatives] = {"list": [["]"], ['"', Rule("f0")]]}
        length = len(self.words)
        for at in range(length):
            begin: _Rows = [[self.words[at], Rule(f"w{at}")]]
            text: _Rows = [['"', Rule(f"c{at + 1}_0")]]
            if at + 1 < length:
                begin.append([Rule(f"m{at + 1}")])
                text.append([self._next(at), Rule(f"w{at + 1}")])
            if at + 2 < length:
                text.append([BETWEEN, Rule(f"m{at + 2}")])
            rules |= {f"m{at}": begin, f"w{at}": text, **self._further(at), **self._same_end(at + 1)}
        return rules

    def _next(self, at: int) -> str:
        """The token after a token, with the blank before it."""
        return self.spacing.gap(at + 1) + self.words[at + 1]

    def _further(self, end: int) -> dict[str, Alternatives]:
        """A mention that ends behind token `end - 1`, and may begin before."""
        starts = range(max(0, end - _REACH), end)
        begin: _Rows = [[Rule(f"m{end}")]]
        begin += [[self.words[at], Rule(f"h{end}_{at}")] for at in starts]
        rules: dict[str, Alternatives] = {f"f{end}": begin}
        for at in starts:
            text: _Rows = [[self._next(at), Rule(f"w{end}") if at + 1 == end else Rule(f"h{end}_{at + 1}")]]
            if max(end, at + 2) < len(self.words):
                text.append([BETWEEN, Rule(f"m{max(end, at + 2)}")])
            rules[f"h{end}_{at}"] = text
        return rules

    def _same_end(self, end: int) -> dict[str, Alternatives]:
        """The text after the mentions that end at token `end - 1`, and further mentions that end there."""
        first = max(0, end - _REACH)
        rules: dict[str, Alternatives] = {}
        for count in range(_SAME_END + 1):
            after: _Rows = [["]"]]
            if end < len(self.words):
                after.append([', "', Rule(f"f{end}")])
            if count < _SAME_END:
                after.append([', "', Rule(f"v{end}_{count}_{first}")])
                rules |= self._one_more(first, end, count)
            rules[f"c{end}_{count}"] = after
        return rules

    def _one_more(self, first: int, end: int, count: int) -> dict[str, Alternatives]:
        """The mention after the one of number `count` that ends at token `end - 1`; it ends there too."""
        rules: dict[str, Alternatives] = {}
        for at in range(first, end):
            begin: _Rows = [[self.words[at], Rule(f"u{end}_{count}_{at}")]]
            text: _Rows = [['"', Rule(f"c{end}_{count + 1}")]]
            if at + 1 < end:
                begin.append([Rule(f"v{end}_{count}_{at + 1}")])
                text = [[self._next(at), Rule(f"u{end}_{count}_{at + 1}")]]
            if at + 2 < end:
                text.append([BETWEEN, Rule(f"v{end}_{count}_{at + 2}")])
            rules |= {f"v{end}_{count}_{at}": begin, f"u{end}_{count}_{at}": text}
        return rules
