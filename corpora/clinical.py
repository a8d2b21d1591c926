"""Sentence splitting of clinical notes: prose mixed with headings, lists, tables and wrapped lines.

A sentence ends at a blank line, a form feed, a heading, a list item, a row of a table, and at `.`, `?` or `!` unless it
belongs to an abbreviation (Dr., vs., e.g., i.v., No. 5), an initial or the number of a list item or a finding. Tokens are never
split, so 3.5 and p.o stay whole; `parted_at_stops` splits words at a stop without white space after it (`none.No drugs`)
beforehand. The rules were written for this project. The width rule for wrapped lines inverts that of text editors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import regex

from clinspan.corpora.headings import is_heading
from clinspan.corpora.types import Token

_TITLES = ("dr", "drs", "mr", "mrs", "ms", "prof", "st")
_WORDS = ("vs", "eg", "ie", "cf", "ca", "approx", "fig", "figs", "viz", "resp", "incl", "excl")
_ALWAYS = frozenset((*_TITLES, *_WORDS))
_COUNTED = ("no", "nos", "nr", "art", "sec", "vol", "p", "pp", "lot")
_MEASURED = ("temp", "wt", "ht", "bp", "hr", "rr", "pt", "max", "min", "est")
_BEFORE_NUMBER = frozenset((*_COUNTED, *_MEASURED))
_BEFORE_LOWER = frozenset(("a.m", "p.m", "etc"))
_DOTTED = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")
_STOPS = frozenset(".?!")
_CLOSERS = frozenset("\"')]}”’»")
_ITEM = re.compile(r"[ \t]*(?:[-*•·‣▪●○–—+#>]|\(?\d{1,3}[.)]|\(?[A-Za-z][.)])[ \t\xa0]+\S")
_INNER_STOP = regex.compile(r"(?<=\p{L}{2})[.?!](?=\p{Lu}\p{Ll})")
_ADDRESS = re.compile(r"@|://|www\.", re.IGNORECASE)
_NUMBERING = re.compile(r"[ \t\xa0]*\(?(?:\d{1,3}|[A-Za-z])")
_HEADING = re.compile(r"[ \t\xa0]*[A-Z][\w /&(),'-]{0,48}:")
# possessive quantifiers and a lookbehind, because a run of blanks may be a megabyte long
_COLUMNS = re.compile(r"\S[ \xa0]*+[\t|][ \xa0]*+\S|(?<=\S)(?=[ \xa0]++\S)[ \xa0]*? {3}")
_LEAST_WIDTH, _MOST_WIDTH, _SHORT = 60, 200, 30
_LINE_ENDS = str.maketrans(dict.fromkeys("\r\f\v\x1c\x1d\x1e\x85\u2028\u2029", "\n"))


def clinical_sentences(text: str, tokens: Iterable[Token]) -> list[tuple[Token, ...]]:
    """Cut the tokens of a note into sentences; each token is in exactly one, in order.

    >>> from clinspan.corpora.tokens import punctuation_tokens
    >>> note = "HPI:\\nDr. Roe gave 2.5 mg i.v. twice. No fever.\\n- cough\\n- rash vs. eczema"
    >>> [" ".join(t.text for t in s) for s in clinical_sentences(note, punctuation_tokens(note))]
    ['HPI :', 'Dr . Roe gave 2.5 mg i.v . twice .', 'No fever .', '- cough', '- rash vs . eczema']
    """
    lines = text.replace("\r\n", " \n").translate(_LINE_ENDS)  # same length as the text
    sentences: list[tuple[Token, ...]] = []
    current: list[Token] = []
    for token in tokens:
        if current and _parts(text, lines, current, token):
            sentences.append(tuple(current))
            current = []
        current.append(token)
    return [*sentences, tuple(current)] if current else sentences


def parted_at_stops(tokens: Iterable[Token]) -> list[Token]:
    """Split tokens at stops that lack the white space after them: a full stop between a word and a capitalised word.

    >>> [token.text for token in parted_at_stops([Token("none.No", 0, 7), Token("J.Smith", 8, 15), Token("Dr.Roe", 16, 22)])]
    ['none', '.', 'No', 'J.Smith', 'Dr.Roe']
    """
    parted: list[Token] = []
    for token in tokens:
        text, at = token.text, 0
        stops = [] if _ADDRESS.search(text) else [match.start() for match in _INNER_STOP.finditer(text)]
        for stop in stops:
            if text[at:stop].casefold() in _ALWAYS:
                continue
            parted += [Token(text[at:stop], token.start + at, token.start + stop)]
            parted += [Token(text[stop], token.start + stop, token.start + stop + 1)]
            at = stop + 1
        parted.append(Token(text[at:], token.start + at, token.end) if at else token)
    return parted


def cut_long(text: str, tokens: Sequence[Token], most: int) -> list[tuple[Token, ...]]:
    """Split a sentence into pieces of at most `most` tokens, at the best place in the second half of the allowed length.

    The best place is after `;` `:` `.` `?` `!`, else after a comma or a closing bracket, else at a line end, else at white
    space, and inside a word only if there is no other place. Of equally good places the last is used.

    >>> from clinspan.corpora.tokens import punctuation_tokens
    >>> [len(part) for part in cut_long("a b, c d e", punctuation_tokens("a b, c d e"), 4)]
    [3, 3]
    """
    parts = []
    rest = tuple(tokens)
    while len(rest) > most:
        places = range(max(1, (most + 1) // 2), most + 1)
        at = max(places, key=lambda n: (_ease(text, rest[n - 1], rest[n]), n))
        parts.append(rest[:at])
        rest = rest[at:]
    return [*parts, rest]


def cut_words(tokens: Iterable[Token], most: int) -> list[Token]:
    """Split tokens of more than `most` characters, which no language has, into pieces.

    >>> [token.text for token in cut_words([Token("abcde", 3, 8)], 2)]
    ['ab', 'cd', 'e']
    """
    pieces: list[Token] = []
    for token in tokens:
        for start in range(0, len(token.text), most):
            piece = token.text[start : start + most]
            pieces.append(Token(piece, token.start + start, token.start + start + len(piece)))
    return pieces


def _ease(text: str, left: Token, right: Token) -> int:
    gap = text[left.end : right.start]
    if not gap:
        return 0
    if left.text in ";:.?!":
        return 4
    if left.text in ",)]}":
        return 3
    return 2 if "\n" in gap or "\r" in gap else 1


def _parts(text: str, lines: str, current: Sequence[Token], after: Token) -> bool:
    """Whether a sentence ends between its last token so far and the token after it."""
    gap = lines[current[-1].end : after.start]
    if not gap:
        return current[-1].text in _STOPS and len(current) > 1 and after.text[:1].isupper() and after.text[1:2].islower()
    if "\f" in text[current[-1].end : after.start] or gap.count("\n") > 1:
        return True
    if _stops(lines, current, after):
        return True
    return "\n" in gap and _line_parts(lines, current[-1], after)


def _stops(lines: str, current: Sequence[Token], after: Token) -> bool:
    """Whether the last token, or the last before closing quotes and brackets, is a full stop that ends the sentence."""
    n = len(current) - 1
    while n > 0 and current[n].text in _CLOSERS and current[n - 1].end == current[n].start:
        n -= 1
    if current[n].text not in _STOPS:
        return False
    if current[n].text != "." or n < len(current) - 1 or n == 0 or current[n - 1].end != current[n].start:
        return not after.text[0].islower()
    word, first = current[n - 1].text, after.text[0]
    if word.casefold() in _BEFORE_NUMBER and (first.isdigit() or first == "#"):
        return False
    if word.casefold() in _BEFORE_LOWER:
        return not first.islower()
    if word.casefold() in _ALWAYS or _DOTTED.fullmatch(word) or _is_initial(current, n - 1):
        return False
    return not first.islower() and not _is_numbering(lines, current[n - 1]) and not _is_finding(current, n - 1)


def _is_finding(current: Sequence[Token], at: int) -> bool:
    """Whether a token is the number of a finding in running text: `Impression: 1. No fracture. 2. Mild edema.`"""
    word = current[at].text
    return word.isdecimal() and len(word) < 3 and (at == 0 or current[at - 1].text == ":")


def _is_initial(current: Sequence[Token], at: int) -> bool:
    """Whether a token is an initial: a capital at the start, after a name or after the full stop of a title."""
    word = current[at].text
    if len(word) > 1 or not word.isupper():
        return False
    return at == 0 or current[at - 1].text == "." or current[at - 1].text.istitle()


def _is_numbering(lines: str, token: Token) -> bool:
    least = max(0, token.end - 8)
    start = lines.rfind("\n", least, token.start) + 1
    return (start > 0 or least == 0) and token.end - start < 8 and _NUMBERING.fullmatch(lines[start : token.end]) is not None


def _line_parts(lines: str, left: Token, right: Token) -> bool:
    """Whether a sentence ends at a line end; it does not if the line was only wrapped."""
    line = lines[lines.rfind("\n", 0, left.start) + 1 : left.end].strip()
    begin = lines.rfind("\n", 0, right.start) + 1
    end = lines.find("\n", right.start)
    following = lines[begin : len(lines) if end < 0 else end].rstrip()
    if _ITEM.match(following) or _HEADING.match(following) or is_heading(line) or is_heading(following.strip()):
        return True
    if _COLUMNS.search(line) or _COLUMNS.search(following):
        return True
    if right.text[0].islower() and len(line) >= _SHORT:
        return False
    if len(line) > _MOST_WIDTH:
        return True
    first = following.split(None, 1)[0]
    return len(line) + 1 + len(first) <= max(_LEAST_WIDTH, len(line), len(following))
