"""Fixed demonstrations: drawn so that they cover the labels, or named by the user; and what they show."""

from __future__ import annotations

import difflib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.corpora import Corpus, InputError, Sentence, SPLITS
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.printable import plural
from clinspan.programs.tagging.strategy import as_demonstration

_SHORT = range(8, 27)
"""Numbers of tokens of the sentences that `draw_balanced` prefers."""
_DENSE = 2
"""Mentions that they have at least."""


def draw_covering(pool: Sequence[Sentence], labels: Sequence[str], k: int, seed: int) -> list[dict[str, Any]]:
    """Draw `k` demonstrations that show as many labels as `k` allows, the same for the same seed.

    As long as a sentence is left for each label that is not shown yet, the rarest of these labels comes next, with a random
    sentence that has it; with fewer sentences than labels, the sentence with the most of them. The other sentences are random.
    At most one has no entity, unless the pool has too few with one.

    Args:
        pool: The sentences to draw from, at least `k`.
        labels: The labels to show.
        k: Number of demonstrations.
        seed: Seed of the draw.
    """
    rng = random.Random(seed)
    order = rng.sample(list(pool), len(pool))
    shown = [_labels_of(sentence) for sentence in order]
    frequency = Counter(label for found in shown for label in found)
    lacking = {label for label in labels if frequency[label]}
    chosen: list[int] = []
    while lacking and len(chosen) < k:
        if len(lacking) <= k - len(chosen):
            rarest = min(lacking, key=lambda label: (frequency[label], label))
            best = next(number for number, found in enumerate(shown) if rarest in found)
        else:
            best = max(range(len(order)), key=lambda number: (len(lacking & shown[number]), -number))
        chosen.append(best)
        lacking -= shown[best]
    rest = [number for number in range(len(order)) if number not in chosen]
    without = [number for number in rest if not shown[number]]
    rest = sorted(set(rest) - set(without[1:])) + without[1:]
    chosen += rest[: k - len(chosen)]
    rng.shuffle(chosen)
    return [as_demonstration(order[number]) for number in chosen]


def draw_balanced(pool: Sequence[Sentence], labels: Sequence[str], k: int, seed: int) -> list[dict[str, Any]]:
    """Draw `k` demonstrations that show the labels about equally often, the same for the same seed.

    The label with the fewest mentions so far comes next, with a random sentence that has it; one of 8 to 26 tokens with at least
    two mentions if there is one, so that demonstrations are short and say much.

    Args:
        pool: The sentences to draw from, at least `k`.
        labels: The labels to show.
        k: Number of demonstrations.
        seed: Seed of the draw.
    """
    rng = random.Random(seed)
    shown = [[label for _, _, label in tag_spans(sentence.tags)] for sentence in pool]
    left = list(range(len(pool)))
    counts = Counter(dict.fromkeys(labels, 0))
    chosen: list[int] = []
    while len(chosen) < k:
        order = sorted(labels, key=lambda label: counts[label])
        found = next((having for label in order if (having := [n for n in left if label in shown[n]])), left)
        dense = [n for n in found if len(pool[n].tokens) in _SHORT and len(shown[n]) >= _DENSE]
        best = rng.choice(dense or found)
        chosen.append(best)
        left.remove(best)
        counts.update(shown[best])
    return [as_demonstration(pool[number]) for number in chosen]


def demonstrations_by_id(corpus: Corpus, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The train sentences with these ids, in this order.

    Raises:
        InputError: An id is not that of a train sentence; the message names the nearest one, or the split that has it.
    """
    train = {sentence.id: sentence for sentence in corpus.sentences("train")}
    for name in map(str, ids):
        if name in train:
            continue
        for split in SPLITS[1:]:
            if any(name == sentence.id for sentence in corpus.sentences(split)):
                problem = f"strategy.ids has {name}, a sentence of the {split} split of {corpus.name}"
                raise InputError(problem, remedy="Name sentences of the train split.")
        near = difflib.get_close_matches(name, train, n=1, cutoff=0.0)
        remedy = f"The nearest id is {near[0]}." if near else "It has no train split: use strategy.examples=FILE."
        raise InputError(f"the train split of {corpus.name} has no sentence {name}, which strategy.ids names", remedy=remedy)
    return [as_demonstration(train[str(name)]) for name in ids]


def what_they_show(demonstrations: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    """One line about demonstrations: how many mentions of each label they show, and which labels they do not show.

    >>> what_they_show([{"tags": ["B-Sign", "O"]}, {"tags": ["O"]}], ["Sign", "Symptom"])
    'demonstrations: 2 sentences; shown: Sign 1; not shown: Symptom; 1 without an entity'
    """
    counts = Counter(label for demo in demonstrations for _, _, label in tag_spans(demo["tags"]))
    empty = sum(not any(tag_spans(demo["tags"])) for demo in demonstrations)
    shown = ", ".join(f"{label} {counts[label]}" for label in labels if counts[label])
    missing = ", ".join(label for label in labels if not counts[label])
    parts = [f"demonstrations: {len(demonstrations)} {plural(len(demonstrations), 'sentence')}"]
    parts += [f"shown: {shown}"] * bool(shown) + [f"not shown: {missing}"] * bool(missing)
    return "; ".join(parts + [f"{empty} without an entity"] * bool(empty))


def _labels_of(sentence: Sentence) -> set[str]:
    return {label for _, _, label in tag_spans(sentence.tags)}
