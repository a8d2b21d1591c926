"""Candidate phrases of a sentence: the runs of tokens that may be a mention.

A phrase has at most `words` words; tokens without a blank between them are one word. It begins and ends with a content token: one
with a letter or digit that is no function word of English. Inside it may have the function words of `INNER` and, between two
tokens without blanks, the marks of `MARKS`. Every other function word or mark ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from clinspan.corpora.bio import has_letter
from clinspan.corpora.words import Words

WORDS = 6
"""Most words of a phrase."""
TOKENS = 14
"""Most tokens of a phrase."""
INNER = frozenset({"of", "the", "and", "in", "with", "to"})
MARKS = frozenset("-‐‑–/'’.+&")
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a an the of in on at to for with without and or but nor so as by from into than that this these those which who whom
    whose it its they them their he she his her him we our you your i is are was were be been being has have had do does
    did may can could might must shall should will would not no most more many some any all both each every few several
    such other another same only also often usually rarely sometimes typically commonly later early before after during
    while when where if because since until about around between among within through over under up down out off then
    there here how what why one two three first second even still already once very too
    """,
    )
)


def candidates(tokens: Sequence[str], words: int = WORDS) -> list[tuple[int, int]]:
    """The candidate phrases of a sentence as half-open token ranges, by start and end.

    Args:
        tokens: The sentence; `Words` know which tokens have no blank before them.
        words: Most words of a phrase.

    >>> sentence = Words(["He", "has", "Crohn", "'", "s", "disease", "of", "the", "colon", "."], joined=[3, 4, 9])
    >>> [sentence.text(start, end) for start, end in candidates(sentence)][:4]
    ['Crohn', "Crohn's", "Crohn's disease", "Crohn's disease of the colon"]
    """
    given = Words.as_given(tokens)
    found: list[tuple[int, int]] = []
    for start, token in enumerate(given):
        if not _is_content(token):
            continue
        count = 0
        for at in range(start, min(len(given), start + TOKENS)):
            count += at == start or at not in given.joined
            if count > words or not _may_stand_inside(given, at):
                break
            if _is_content(given[at]):
                found.append((start, at + 1))
    return found


def _is_content(token: str) -> bool:
    return token.lower() not in FUNCTION_WORDS and has_letter([token])


def _may_stand_inside(given: Words, at: int) -> bool:
    """Whether a phrase may go on with the token at `at`."""
    token = given[at]
    if has_letter([token]):
        return _is_content(token) or token.lower() in INNER
    return token in MARKS and {at, at + 1} <= given.joined
