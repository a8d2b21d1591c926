"""Whether a phrase is a name of a dictionary: what decisions weigh beside a model's probabilities.

Names and phrases are compared without capitals, marks and the `s` of a plural.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

_NO_WORD = re.compile(r"[\W_]+")
_SHORT = 4
"""Most letters of a word that keeps a final `s`, such as `gas`."""


class NameLookup:
    """The names of a dictionary by kind.

    Args:
        names: The names of each kind.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        self._whole = {kind: {tuple(_words([name])) for name in some} - {()} for kind, some in names.items()}
        self._last = {kind: {name[-1] for name in whole} for kind, whole in self._whole.items()}
        self._any = {kind: {word for name in whole for word in name} for kind, whole in self._whole.items()}

    @cached_property
    def digest(self) -> str:
        """A hash of the names as they are compared."""
        rows = [f"{kind}\t{' '.join(name)}" for kind, whole in sorted(self._whole.items()) for name in sorted(whole)]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def has(self, tokens: Sequence[str]) -> bool:
        """Whether the tokens are a name of any kind."""
        words = tuple(_words(tokens))
        return any(words in whole for whole in self._whole.values())

    def features(self, tokens: Sequence[str]) -> dict[str, float]:
        """For each kind 1 or 0: the tokens are a name, their last word is the last one of a name, all words are in names.

        >>> NameLookup({"finding": ["Skin rash"]}).features(["rashes"])
        {'name:finding': 0.0, 'name last:finding': 0.0, 'name words:finding': 0.0}
        >>> NameLookup({"finding": ["Skin rash", "red spot"]}).features(["Red", "rash"])
        {'name:finding': 0.0, 'name last:finding': 1.0, 'name words:finding': 1.0}
        >>> NameLookup({"finding": ["red spot"]}).features(["red", "-", "spots"])
        {'name:finding': 1.0, 'name last:finding': 1.0, 'name words:finding': 1.0}
        """
        words = tuple(_words(tokens))
        found: dict[str, float] = {}
        for kind, whole in self._whole.items():
            found[f"name:{kind}"] = float(words in whole)
            found[f"name last:{kind}"] = float(bool(words) and words[-1] in self._last[kind])
            found[f"name words:{kind}"] = float(bool(words) and self._any[kind].issuperset(words))
        return found


def _words(tokens: Iterable[str]) -> list[str]:
    words = [word for token in tokens for word in _NO_WORD.split(token.casefold()) if word]
    return [word[:-1] if word.endswith("s") and len(word) > _SHORT else word for word in words]
