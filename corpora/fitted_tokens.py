"""Tokens that are cut further where the annotations of a train split end inside `clinical` tokens: `tokenizer=fit`.

Only the train split is looked at, and what is learnt are rules for words, so that tokens of other texts do not depend on their
annotations.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from clinspan.corpora.errors import InputError
from clinspan.corpora.tokens import clinical_tokens
from clinspan.corpora.types import Document, Token

_CASE = regex.compile(r"(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})")
_COST = 100
"""How many further tokens in the train split a rule may cost for each annotation end that it keeps."""
_OFTEN = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """Where to cut runs of letters.

    Attributes:
        case: Cut where the case changes: `hSOX`, `MouseIsotype`.
        prefixes: Cut after these beginnings of longer words, in lower case.
        suffixes: Cut before these ends of longer words, in lower case.
        words: Cut these words, as they are written, at these places.
    """

    case: bool = False
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    words: Mapping[str, Sequence[int]] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON, for programs."""
        words = {word: list(places) for word, places in sorted((self.words or {}).items())}
        return {"case": self.case, "prefixes": list(self.prefixes), "suffixes": list(self.suffixes), "words": words}

    @classmethod
    def of(cls, content: Any) -> Rules:
        """The rules from JSON.

        Raises:
            InputError: They are not such rules.
        """
        known = isinstance(content, dict) and content.keys() == {"case", "prefixes", "suffixes", "words"}
        if not known or not isinstance(content["case"], bool) or not isinstance(content["words"], dict):
            raise InputError("is not the rules of a fitted tokenizer")
        lists = (content["prefixes"], content["suffixes"])
        if not all(isinstance(names, list) and all(isinstance(name, str) and name for name in names) for names in lists):
            raise InputError("is not the rules of a fitted tokenizer")
        for word, places in content["words"].items():
            if not isinstance(places, list) or not all(type(n) is int and 0 < n < len(word) for n in places):
                raise InputError("is not the rules of a fitted tokenizer")
        return cls(content["case"], tuple(lists[0]), tuple(lists[1]), content["words"])

    def places(self, word: str) -> list[int]:
        """Where to cut a run of letters, in order."""
        found = set((self.words or {}).get(word, ()))
        if self.case:
            found.update(match.start() for match in _CASE.finditer(word))
        lower = word.casefold() if len(word.casefold()) == len(word) else word
        found.update(len(prefix) for prefix in self.prefixes if lower.startswith(prefix) and len(lower) > len(prefix))
        found.update(len(lower) - len(suffix) for suffix in self.suffixes if lower.endswith(suffix) and len(lower) > len(suffix))
        return sorted(found)

    def pieces(self, token: Token) -> list[Token]:
        """The tokens that a `clinical` token is cut into."""
        at = [0, *self.places(token.text), len(token.text)] if token.text[0].isalpha() else [0, len(token.text)]
        return [Token(token.text[start:end], token.start + start, token.start + end) for start, end in itertools.pairwise(at)]


def fit_rules(documents: Iterable[Document]) -> Rules:
    """Learn from annotated documents where to cut further.

    A rule is taken if it keeps at least one end of an annotation for every hundred tokens more that it makes of these documents:
    first the change of case, then beginnings and ends of words that occur at least twice, then single words.
    """
    inner: Counter[tuple[str, int, bool]] = Counter()
    runs: Counter[str] = Counter()
    for document in documents:
        tokens = clinical_tokens(document.text)
        runs.update(token.text for token in tokens if token.text[0].isalpha())
        inner.update(_inner_ends(document, tokens))
    if not inner:
        return Rules()
    case = _pays(
        sum(n for (word, place, _), n in inner.items() if place in _case_places(word)),
        sum(n * len(_case_places(word)) for word, n in runs.items()),
    )
    rest = {key: n for key, n in inner.items() if not (case and key[1] in _case_places(key[0]))}
    prefixes, suffixes = Counter[str](), Counter[str]()
    for (word, place, begins), n in rest.items():
        (prefixes if begins else suffixes)[word[:place].casefold() if begins else word[place:].casefold()] += n
    lengthy = [(word.casefold(), n) for word, n in runs.items()]
    starts = tuple(
        sorted(
            part
            for part, kept in prefixes.items()
            if kept >= _OFTEN and _pays(kept, sum(n for word, n in lengthy if word.startswith(part) and word != part))
        )
    )
    ends = tuple(
        sorted(
            part
            for part, kept in suffixes.items()
            if kept >= _OFTEN and _pays(kept, sum(n for word, n in lengthy if word.endswith(part) and word != part))
        )
    )
    general = Rules(case, starts, ends)
    words: dict[str, list[int]] = {}
    for (word, place, _), n in sorted(rest.items()):
        if place not in general.places(word) and _pays(n, runs[word]):
            words.setdefault(word, []).append(place)
    return Rules(case, starts, ends, {word: sorted(set(places)) for word, places in words.items()})


def _pays(kept: int, cost: int) -> bool:
    return kept > 0 and cost <= _COST * kept


def _case_places(word: str) -> list[int]:
    return [match.start() for match in _CASE.finditer(word)]


def _inner_ends(document: Document, tokens: Sequence[Token]) -> Iterable[tuple[str, int, bool]]:
    """The ends of annotations inside runs of letters: the run, the place in it, and whether the annotation begins there."""
    inside = {place: token for token in tokens if token.text[0].isalpha() for place in range(token.start + 1, token.end)}
    for entity in document.entities:
        for start, end in entity.fragments:
            for place, begins in ((start, True), (end, False)):
                if token := inside.get(place):
                    yield token.text, place - token.start, begins
