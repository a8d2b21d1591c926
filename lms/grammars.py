"""Grammars of answers: rules of literals and other rules, written as Lark (llguidance) or GBNF (llama.cpp).

A format builds a `Grammar`. The local engine compiles its Lark form with llguidance. Servers take the Lark or the GBNF
form. Grammars do not depend on the content of the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A reference to a rule by name: lower-case letters, digits and underscores, starting with a letter."""

    name: str


Symbol = str | Rule
Alternatives = Sequence[Sequence[Symbol]]
Namer = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name; an answer is what `start` derives.

    Attributes:
        rules: Alternatives by rule name. Each is a sequence of literal texts and rules; an empty one derives the empty text.

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
        """The grammar in Lark syntax, for llguidance and vLLM."""
        return self._written(": ", lambda name: name)

    def gbnf(self) -> str:
        """The grammar in GBNF syntax, for llama.cpp."""
        return self._written(" ::= ", lambda name: "root" if name == "start" else name.replace("_", "-"))

    def _written(self, separator: str, format_name: Namer) -> str:
        lines = []
        for name, alternatives in self.rules.items():
            texts = [" ".join(_symbol(symbol, format_name) for symbol in alternative) or '""' for alternative in alternatives]
            lines.append(f"{format_name(name)}{separator}{' | '.join(texts)}")
        return "\n".join(lines)


def _symbol(symbol: Symbol, format_name: Namer) -> str:
    return format_name(symbol.name) if isinstance(symbol, Rule) else json.dumps(symbol)
