"""Scores of annotations against other annotations of the same texts, by character offsets; no tokens are involved.

- `exact`: same type, same fragments.
- `relaxed`: same type, at least one character shared; the largest possible number of one-to-one pairs.
- `type_free`: same fragments, any type.

Annotations may overlap and may be in pieces. Annotations of a document with equal type and fragments count once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, Literal

from clinspan.corpora import Entity
from clinspan.metrics.counts import Counts
from clinspan.metrics.readings import ANY_TYPE, check_match, summed
from clinspan.metrics.scores import averaged, VERSION

MentionMatch = Literal["exact", "relaxed", "type_free"]
MENTION_MATCHES: tuple[MentionMatch, ...] = get_args(MentionMatch)
Fragments = tuple[tuple[int, int], ...]
Annotations = tuple[Sequence[Entity], Sequence[Entity]]


def score_mentions(
    documents: Mapping[str, Annotations], labels: Sequence[str], match: MentionMatch, *, missing: int = 0
) -> dict[str, Any]:
    """Score predicted annotations.

    Args:
        documents: Gold and predicted annotations by document.
        labels: The labels; annotations of other labels are not counted, except by `type_free`.
        match: When an annotation is right.
        missing: How many of the documents were not predicted, for the signature.

    Returns:
        `match`, `signature`, `per_type`, `macro` (None where types are ignored), `micro`, `counts`, `intervals` and `documents`.

    Raises:
        InputError: The reading is not known.
    """
    check_match(match, MENTION_MATCHES)
    types = match != "type_free"
    tables = {name: count_annotations(gold, found, match) for name, (gold, found) in documents.items()}
    scores = summed(tables, labels, types=types)
    number = averaged(scores["macro_types"], labels) if types else "1"
    fields = ["unit:entity", f"match:{match}", f"avg:{'macro' if types else 'micro'}", f"types:{number}"]
    fields += ["align:characters", f"missing:{missing}/{len(documents)}"]
    return {"match": match, "signature": "|".join([*fields, VERSION]), **scores, "documents": len(documents)}


def count_annotations(gold: Iterable[Entity], found: Iterable[Entity], match: MentionMatch) -> dict[str, Counts]:
    """Counts of one document by label, or under `ANY_TYPE`.

    >>> gold, found = [Entity("Sign", ((0, 5),))], [Entity("Sign", ((3, 9),)), Entity("Disease", ((0, 5),))]
    >>> [count_annotations(gold, found, "relaxed")["Sign"], *count_annotations(gold, found, "type_free").values()]
    [Counts(matched=1, pred=1, gold=1), Counts(matched=1, pred=2, gold=1)]
    """
    truth, guess = _by_label(gold), _by_label(found)
    if match == "type_free":
        left, right = (Counter(place for places in side.values() for place in places) for side in (truth, guess))
        return {ANY_TYPE: Counts((left & right).total(), right.total(), left.total())}
    table = {}
    for label in truth.keys() | guess.keys():
        own, other = truth.get(label, set()), guess.get(label, set())
        matched = len(own & other) if match == "exact" else largest_pairing(sorted(own), sorted(other))
        table[label] = Counts(matched, len(other), len(own))
    return table


def largest_pairing(left: Sequence[Fragments], right: Sequence[Fragments]) -> int:
    """The largest number of one-to-one pairs that share a character.

    >>> largest_pairing([((0, 4),), ((2, 9),)], [((3, 4),), ((0, 1), (8, 9))])
    2
    """
    from scipy.sparse import csr_array  # imported on first use, as it takes time
    from scipy.sparse.csgraph import maximum_bipartite_matching

    edges = [(n, m) for n, one in enumerate(left) for m, other in enumerate(right) if _share(one, other)]
    if not edges:
        return 0
    rows, columns = zip(*edges, strict=True)
    graph = csr_array(([1] * len(edges), (rows, columns)), shape=(len(left), len(right)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _share(one: Fragments, other: Fragments) -> bool:
    return any(start < last and first < end for start, end in one for first, last in other)


def _by_label(entities: Iterable[Entity]) -> dict[str, set[Fragments]]:
    places: dict[str, set[Fragments]] = defaultdict(set)
    for entity in entities:
        places[entity.label].add(tuple(sorted(entity.fragments)))
    return places
