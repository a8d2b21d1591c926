"""Locates mentions in a sentence by string matching without white space, under one documented normalization.

Two texts are the same mention if they are equal once

1. every character is in its compatibility form (Unicode NFKC), so that composed and decomposed letters are equal;
2. dashes, hyphens and the minus sign are `-`; quotes, apostrophes and primes are `'` or `"`;
3. soft hyphens, zero-width characters and white space are left out, since models write `1,000` for the tokens `1 , 000`;
4. as the last resort, case is ignored.

A mention begins where a token begins and ends where a token ends. Where tokens are parts of a written word (`CD`, `4`), places
that begin or end inside the word count only if the sentence has the mention nowhere else.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import unicodedata
from collections import Counter
from collections.abc import Sequence

from clinspan.corpora.words import Words

_SINGLE = "'’‘‚‛`´′ʹʼʻ‵＇"
_DOUBLE = '"“”„‟″«»＂‶'
_DROPPED = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
VISIBLE = str.maketrans(dict.fromkeys(_DROPPED, ""))
"""Translation table that removes zero-width characters from a text."""
_INDEXED = 32
DASHES = "‐‑‒–—−﹣－"
_MARKS = str.maketrans({**dict.fromkeys(_SINGLE, "'"), **dict.fromkeys(_DOUBLE, '"'), **dict.fromkeys(_DROPPED), "−": "-"})


def folded(text: str) -> str:
    """A text in the form in which mentions are compared, with case kept.

    >>> folded("Niemann\u2011Pick ’s"), folded("1 , 000"), folded("5′"), folded("e\u0301") == folded("é")
    ("Niemann-Pick's", '1,000', "5'", True)
    """
    plain = unicodedata.normalize("NFKC", text.translate(_MARKS)).translate(_MARKS)
    return "".join("-" if unicodedata.category(mark) == "Pd" else mark for mark in plain if not mark.isspace())


class MentionFinder:
    """Finds mentions in a sentence.

    Args:
        tokens: The tokens of the sentence.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._exact = _Joined([folded(token) for token in tokens])
        self._caseless = _Joined([folded(token).casefold() for token in tokens])
        self._spelt = _Joined(["".join(token.split()) for token in tokens])
        pairs = itertools.pairwise(tokens)
        touching = Words.as_given(tokens).joined
        self._inside = {n for n, (left, right) in enumerate(pairs, 1) if n in touching and left.isalnum() and right.isalnum()}

    def places(self, mention: str, repairs: Counter[str]) -> list[tuple[int, int]]:
        """Every occurrence of a mention, as half-open token ranges.

        Args:
            mention: The mention as the model wrote it.
            repairs: Counts `respelt_mention` if the sentence has the mention in other characters, `changed_case` if it has the
                mention in another case, `mention_not_found` if it does not have it.
        """
        if ranges := self._whole(self._spelt.find("".join(mention.split()))):
            return ranges
        wanted = folded(mention)
        if ranges := self._whole(self._exact.find(wanted)):
            repairs["respelt_mention"] += 1
            return ranges
        ranges = self._whole(self._caseless.find(wanted.casefold()))
        repairs["changed_case" if ranges else "mention_not_found"] += 1
        return ranges

    def _whole(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ranges that neither begin nor end inside a written word; all of them if there is none."""
        return [(start, end) for start, end in ranges if start not in self._inside and end not in self._inside] or ranges


class _Joined:
    """The tokens joined without separators, and where each token begins and ends, in an index for fast searches."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.text = "".join(tokens)
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        at = 0
        for number, token in enumerate(tokens):
            if token:
                self._starts[at] = number
                at += len(token)
                self._ends[at] = number + 1

    @functools.cached_property
    def _index(self) -> list[tuple[str, int]]:
        """The first characters behind each beginning of a token, and the offset of the beginning, sorted."""
        return sorted((self.text[at : at + _INDEXED], at) for at in self._starts)

    def find(self, wanted: str) -> list[tuple[int, int]]:
        """Every half-open range of tokens whose joined text is `wanted`, from left to right. Ranges may overlap."""
        head = wanted[:_INDEXED]
        ranges: list[tuple[int, int]] = []
        for n in range(bisect.bisect_left(self._index, (head, -1)) if head else len(self._index), len(self._index)):
            words, at = self._index[n]
            if not words.startswith(head):
                break
            end = self._ends.get(at + len(wanted))
            if end is not None and self.text.startswith(wanted, at):
                ranges.append((self._starts[at], end))
        return sorted(ranges)
