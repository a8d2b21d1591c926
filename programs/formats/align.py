"""Edit alignment of echoed tokens with the tokens of the sentence."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\u00a0": " "})
_GAP = 0.7
_COMPARED = 100
_MOST_CELLS = 250_000
_WINDOW = 100


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
    equally cheap alignments, the one that pairs equal tokens at both ends is chosen, then the one that pairs earlier. Equal tokens
    at both ends are set aside. The time grows with the product of what is left of both lengths; where that exceeds 250,000,
    tokens that occur once in both are paired first, and what is between them is aligned in windows of a hundred tokens, in which
    similar tokens are not distinguished from others. So the time is about linear in long texts.

    >>> align(["No", "fever", "today"], ["No", "new", "fever"])
    [0, None, 1]
    """
    if list(echoed) == list(tokens):
        return list(range(len(tokens)))
    head = _common(echoed, tokens)
    tail = _common(echoed[head:][::-1], tokens[head:][::-1])
    inner = _inner(echoed[head : len(echoed) - tail], tokens[head : len(tokens) - tail])
    middle = [None if i is None else i + head for i in inner]
    return [*range(head), *middle, *range(len(echoed) - tail, len(echoed))]


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _inner(echoed: Sequence[str], tokens: Sequence[str]) -> list[int | None]:
    if len(echoed) * len(tokens) <= _MOST_CELLS:
        return _align(echoed, tokens, _unlike)
    echoes: list[int | None] = []
    at = 0
    for i, j in [*_anchors(echoed, tokens), (len(echoed), len(tokens))]:
        between = _in_windows(echoed[at:i], tokens[len(echoes) : j])
        echoes += [None if echo is None else echo + at for echo in between]
        if j < len(tokens):
            echoes.append(i)
        at = i + 1
    return echoes


def _anchors(echoed: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of equal tokens that occur once in both, as many as keep the order: a longest increasing subsequence."""
    shown, own = Counter(echoed), Counter(tokens)
    place = {token: j for j, token in enumerate(tokens) if own[token] == 1}
    pairs = [(i, place[echo]) for i, echo in enumerate(echoed) if shown[echo] == 1 and echo in place]
    ends: list[int] = []  # of increasing sequences of each length, the smallest last token, and the number of its pair
    numbers: list[int] = []
    before: list[int | None] = []
    for number, (_, j) in enumerate(pairs):
        length = bisect.bisect_left(ends, j)
        before.append(numbers[length - 1] if length else None)
        ends[length : length + 1] = [j]
        numbers[length : length + 1] = [number]
    chosen: list[tuple[int, int]] = []
    last = numbers[-1] if numbers else None
    while last is not None:
        chosen.append(pairs[last])
        last = before[last]
    return chosen[::-1]


def _in_windows(echoed: Sequence[str], tokens: Sequence[str]) -> list[int | None]:
    """Align windows of both, one after the other; of each but the last only the first half is kept."""
    echoes: list[int | None] = []
    at = 0
    while len(echoes) < len(tokens):
        j = len(echoes)
        found = _align(echoed[at : at + _WINDOW], tokens[j : j + _WINDOW], _unequal)
        if j + _WINDOW < len(tokens) and at < len(echoed):
            found = found[: _WINDOW // 2]
        echoes += [None if echo is None else echo + at for echo in found]
        at = max((echo + 1 for echo in echoes[j:] if echo is not None), default=at)
    return echoes


def _align(echoed: Sequence[str], tokens: Sequence[str], unlike: Callable[[str, str], float]) -> list[int | None]:
    rows, columns = len(echoed), len(tokens)
    cost = [[_GAP * (i + j) if not i or not j else 0.0 for j in range(columns + 1)] for i in range(rows + 1)]
    pair_costs: dict[tuple[str, str], float] = {}
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            pair = (echoed[i - 1], tokens[j - 1])
            if pair not in pair_costs:
                pair_costs[pair] = unlike(*pair)
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


def _unequal(echo: str, token: str) -> float:
    return 0.0 if echo == token else 0.01 if fold(echo) == fold(token) else 1.0


def _unlike(echo: str, token: str) -> float:
    if echo == token:
        return 0.0
    if fold(echo) == fold(token):
        return 0.01
    pair = fold(echo[:_COMPARED]), fold(token[:_COMPARED])
    return 1.0 - 0.4 * SequenceMatcher(None, *pair, autojunk=False).ratio()
