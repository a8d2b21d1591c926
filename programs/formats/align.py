"""Edit alignment of echoed tokens with the tokens of the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\u00a0": " "})
_GAP = 0.7
_COMPARED = 100


def fold(token: str) -> str:
    """Remove the differences that models introduce from a token: case, typographic quotes and dashes.

    >>> fold("Crohn’s")
    "crohn's"
    """
    return token.translate(_QUOTES).casefold()


def align(echoed: Sequence[str], tokens: Sequence[str]) -> list[int | None]:
    """The index of each token's echo, or None, in the cheapest alignment that keeps the order.

    A pair of equal tokens costs 0, a pair that only `fold` makes equal costs 0.01, and any other pair costs 0.6 to 1, less for
    more similar tokens (only their first hundred characters are compared). An echo or a token without a partner costs 0.7. Of
    equally cheap alignments, the one that pairs equal tokens at both ends is chosen, then the one that pairs earlier. The time
    grows with the product of the two lengths, without equal tokens at both ends.

    >>> align(["No", "fever", "today"], ["No", "new", "fever"])
    [0, None, 1]
    """
    if list(echoed) == list(tokens):
        return list(range(len(tokens)))
    head = _common(echoed, tokens)
    tail = _common(echoed[head:][::-1], tokens[head:][::-1])
    inner = _align(echoed[head : len(echoed) - tail], tokens[head : len(tokens) - tail])
    middle = [None if i is None else i + head for i in inner]
    return [*range(head), *middle, *range(len(echoed) - tail, len(echoed))]


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _align(echoed: Sequence[str], tokens: Sequence[str]) -> list[int | None]:
    rows, columns = len(echoed), len(tokens)
    cost = [[_GAP * (i + j) if not i or not j else 0.0 for j in range(columns + 1)] for i in range(rows + 1)]
    pair_costs: dict[tuple[str, str], float] = {}
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            pair = (echoed[i - 1], tokens[j - 1])
            if pair not in pair_costs:
                pair_costs[pair] = _unlike(*pair)
            cost[i][j] = min(cost[i - 1][j - 1] + pair_costs[pair], cost[i - 1][j] + _GAP, cost[i][j - 1] + _GAP)
    echoes: list[int | None] = [None] * columns
    i, j = rows, columns
    while i and j:
        if cost[i][j] == cost[i - 1][j] + _GAP:
            i -= 1
        elif cost[i][j] == cost[i][j - 1] + _GAP:
            j -= 1
        else:
            i, j = i - 1, j - 1
            echoes[j] = i
    return echoes


def _unlike(echo: str, token: str) -> float:
    if echo == token:
        return 0.0
    if fold(echo) == fold(token):
        return 0.01
    pair = fold(echo[:_COMPARED]), fold(token[:_COMPARED])
    return 1.0 - 0.4 * SequenceMatcher(None, *pair, autojunk=False).ratio()
