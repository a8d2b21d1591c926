"""Tokenization and sentence splitting.

`clinical`, the default for texts with character offsets, cuts between letters, digits and marks: mentions in notes often end
inside what white space separates (`HTN/HLD`, `lisinopril10mg`). `punctuation` separates punctuation from the edges of words.
*Large Language Models Struggle in Token-Level Clinical NER* (arXiv 2407.00731) tokenized RareDis in this way, but with ASCII
punctuation only; `ascii_punctuation_tokens` does the same. `whitespace` and `lines` read text that is already tokenized and
split. The sentence splitter `clinical` is in `corpora.clinical`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Iterable

import regex

from clinspan.corpora.clinical import clinical_sentences
from clinspan.corpora.types import Token

_WORD = re.compile(r"\S+")
_ASCII = frozenset(string.punctuation)
_SIGNS = frozenset("©®™")
_FULL_STOPS = frozenset(".?!")
_RUNS = regex.compile(r"[\p{L}\p{M}\p{Cf}]+|\p{N}+|[^\p{L}\p{M}\p{Cf}\p{N}]")


def clinical_tokens(text: str) -> list[Token]:
    """Split at white space, and between runs of letters, runs of digits and single marks.

    Combining marks and invisible format characters belong to the letters around them.

    >>> [t.text for t in clinical_tokens("HTN/HLD, lisinopril10mg")]
    ['HTN', '/', 'HLD', ',', 'lisinopril', '10', 'mg']
    """
    return [token for word in whitespace_tokens(text) for token in clinical_pieces(word)]


def clinical_pieces(word: Token) -> list[Token]:
    """The `clinical` tokens of a token without white space; it is the same wherever other rules have cut it before."""
    return [Token(run.group(), word.start + run.start(), word.start + run.end()) for run in _RUNS.finditer(word.text)]


def punctuation_tokens(text: str) -> list[Token]:
    """Split at white space, and make each punctuation character at the edges of a word a token.

    Punctuation means Unicode punctuation, mathematical and currency signs, and `©®™`.

    >>> [t.text for t in punctuation_tokens("(ASAH1-related) “loss”… ≥2")]
    ['(', 'ASAH1-related', ')', '“', 'loss', '”', '…', '≥', '2']
    """
    return _edges_off(text, is_punctuation)


def is_punctuation(mark: str) -> bool:
    """Whether `punctuation_tokens` separates a character from the edge of a word."""
    if mark.isascii():
        return mark in _ASCII
    kind = unicodedata.category(mark)
    return kind[0] == "P" or kind in ("Sm", "Sc") or mark in _SIGNS


def ascii_punctuation_tokens(text: str) -> list[Token]:
    """Split at white space, and make each ASCII punctuation character at the edges of a word a token: the RareDis rule.

    >>> [t.text for t in ascii_punctuation_tokens("(“loss”.)")]
    ['(', '“loss”', '.', ')']
    """
    return _edges_off(text, _ASCII.__contains__)


def _edges_off(text: str, is_edge: Callable[[str], bool]) -> list[Token]:
    tokens: list[Token] = []
    for word in _WORD.finditer(text):
        start, end = word.span()
        while start < end and is_edge(text[start]):
            tokens.append(Token(text[start], start, start + 1))
            start += 1
        core = end
        while core > start and is_edge(text[core - 1]):
            core -= 1
        if core > start:
            tokens.append(Token(text[start:core], start, core))
        tokens.extend(Token(text[i], i, i + 1) for i in range(core, end))
    return tokens


def whitespace_tokens(text: str) -> list[Token]:
    """Split at white space only."""
    return [Token(word.group(), *word.span()) for word in _WORD.finditer(text)]


def punctuation_sentences(text: str, tokens: Iterable[Token]) -> list[tuple[Token, ...]]:
    """A sentence ends after a token `.`, `?` or `!` that is followed by white space or the end of the text.

    >>> text = "Is it (rare.) Yes. No"
    >>> [len(s) for s in punctuation_sentences(text, punctuation_tokens(text))]
    [8, 1]
    """
    return _cut(tokens, after=lambda token: ends_sentence(text, token))


def ends_sentence(text: str, token: Token) -> bool:
    """Whether a sentence of `punctuation_sentences` ends after a token of the text."""
    return token.text in _FULL_STOPS and (token.end == len(text) or text[token.end].isspace())


def line_sentences(text: str, tokens: Iterable[Token]) -> list[tuple[Token, ...]]:
    """One sentence per line; lines without tokens are skipped."""

    def last_of_line(token: Token) -> bool:
        rest = re.compile(r"\s*").match(text, token.end)
        return rest is not None and ("\n" in rest.group() or rest.end() == len(text))

    return _cut(tokens, after=last_of_line)


def _cut(tokens: Iterable[Token], *, after: Callable[[Token], bool]) -> list[tuple[Token, ...]]:
    sentences: list[tuple[Token, ...]] = []
    current: list[Token] = []
    for token in tokens:
        current.append(token)
        if after(token):
            sentences.append(tuple(current))
            current = []
    if current:
        sentences.append(tuple(current))
    return sentences


TOKENIZERS: dict[str, Callable[[str], list[Token]]] = {
    "clinical": clinical_tokens,
    "punctuation": punctuation_tokens,
    "whitespace": whitespace_tokens,
}
SPLITTERS: dict[str, Callable[[str, Iterable[Token]], list[tuple[Token, ...]]]] = {
    "punctuation": punctuation_sentences,
    "lines": line_sentences,
    "clinical": clinical_sentences,
}
