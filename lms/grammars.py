"""Grammars of answers: rules of literals and other rules, written as Lark (llguidance) or GBNF (llama.cpp).

A format builds a `Grammar`; the engine here compiles its Lark form with llguidance, servers take the Lark or the
GBNF form. Grammars know nothing of what the text is about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A reference to a rule by name: lower-case letters, digits and underscores, a letter first."""

    name: str


Symbol = str | Rule
Alternatives = Sequence[Sequence[Symbol]]
Namer = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name; an answer is what `start` derives.

    Attributes:
        rules: For each name the alternatives, each a sequence of literal texts and rules; an empty sequence is the
            empty text.

    >>> tag = Grammar({"start": [["fever : ", Rule("tag")]], "tag": [["O"], ["B-Sign"]]})
    >>> print(tag.lark())
    start: "fever : " tag
    tag: "O" | "B-Sign"
    >>> print(tag.gbnf())
    root ::= "fever : " tag
    tag ::= "O" | "B-Sign"
    """

    rules: Mapping[str, Alternatives]

    def lark(self) -> str:
        """The grammar as llguidance and vLLM read it."""
        return self._written(": ", lambda name: name)

    def gbnf(self) -> str:
        """The grammar as llama.cpp reads it."""
        return self._written(" ::= ", lambda name: "root" if name == "start" else name.replace("_", "-"))

    def _written(self, colon: str, named: Namer) -> str:
        lines = []
        for name, alternatives in self.rules.items():
            texts = [" ".join(_symbol(symbol, named) for symbol in row) or '""' for row in alternatives]
            lines.append(f"{named(name)}{colon}{' | '.join(texts)}")
        return "\n".join(lines)


def _symbol(symbol: Symbol, named: Namer) -> str:
    return named(symbol.name) if isinstance(symbol, Rule) else json.dumps(symbol)
