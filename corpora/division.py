"""Division of documents without splits into train, dev and test, or into folds: by document or group, seeded, balanced by label."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clinspan.corpora.errors import check_number, InputError
from clinspan.corpora.types import Corpus, Document, SPLITS

_NAMES = {2: ("train", "test"), 3: SPLITS}


@dataclass(frozen=True, slots=True)
class Division:
    """How documents are divided. Documents with the same text stay together where there are other texts enough.

    Attributes:
        parts: Shares of train, dev and test, or of train and test; they sum up to 1. None: no such division.
        folds: Number of folds of a cross-validation: one is `test`, the next one `dev` if there are three or more, the others
            are `train`. None: no folds.
        fold: The number of the fold that is `test`, from 0 on; None: no fold is chosen, and no corpus can be divided into folds.
        seed: Seed of the division. All folds of a seed belong to one division.
        group: A regular expression. Documents in whose ids it matches the same text, or the same text of its first group, stay
            together, such as the notes of a patient. None: each document by itself.
    """

    parts: Sequence[float] | None = None
    folds: int | None = None
    fold: int | None = None
    seed: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        if self.parts is not None and self.folds is not None:
            raise InputError("corpus.split and corpus.folds are both set", remedy="Set one of them.")
        if self.parts is not None:
            _check_parts(self.parts)
        if self.folds is not None:
            check_number("corpus.folds", self.folds, 2)
            if self.fold is not None:
                check_number("corpus.fold", self.fold, 0, most=self.folds - 1)
        if self.group is not None:
            try:
                re.compile(self.group)
            except re.error as error:
                remedy = r"Example: '^(patient\d+)_'"
                raise InputError(f"corpus.group is not a regular expression ({error})", remedy=remedy) from None

    def __call__(self, corpus: Corpus) -> Corpus:
        """Divide a corpus. Without `parts` and `folds` it stays as it is.

        Raises:
            InputError: The corpus has splits already, or fewer documents or groups than parts, or no fold is chosen.
        """
        if self.parts is None and self.folds is None:
            return corpus
        if self.folds is not None and self.fold is None:
            remedy = f"Choose the fold that is test: corpus.fold=0 to {self.folds - 1}."
            raise InputError(
                f"corpus.folds={self.folds} without corpus.fold means all folds, and one is needed here", remedy=remedy
            )
        present = [split for split, documents in corpus.splits.items() if documents]
        if len(present) != 1:
            remedy = "Leave corpus.split and corpus.folds out, or put all documents into one folder."
            raise InputError(f"{corpus.name} has the splits {', '.join(present)} already", remedy=remedy)
        documents = corpus.splits[present[0]]
        shares = list(self.parts or [1 / (self.folds or 1)] * (self.folds or 1))
        numbers = self._assign(documents, shares, corpus.name)
        names = _NAMES[len(shares)] if self.folds is None else _fold_names(self.folds, self.fold or 0)
        splits: dict[str, tuple[Document, ...]] = {}
        for split in SPLITS:
            chosen = {number for number, name in enumerate(names) if name == split}
            members = tuple(document for document, number in zip(documents, numbers, strict=True) if number in chosen)
            splits |= {split: members} if members else {}
        conversion = {"train": sum(corpus.conversion.values(), Counter[str]())}
        return replace(corpus, splits=splits, conversion=conversion, divided=True)

    def _assign(self, documents: Sequence[Document], shares: Sequence[float], name: str) -> list[int]:
        """The part of each document, by number."""
        keys = [self._key(document.id) for document in documents]
        together = with_copies(keys, [" ".join(document.text.split()) for document in documents])
        keys = together if len(set(together)) >= len(shares) else keys
        groups = list(dict.fromkeys(keys))
        if len(groups) < len(shares):
            what = "groups" if self.group is not None else "documents"
            problem = f"{name} has {len(groups)} {what}, too few for {len(shares)} parts"
            raise InputError(problem, remedy="Use fewer parts or folds, or corpus=conll with document marks.")
        number = {key: n for n, key in enumerate(groups)}
        labels: list[Counter[str]] = [Counter() for _ in groups]
        sizes = [0] * len(groups)
        for key, document in zip(keys, documents, strict=True):
            labels[number[key]].update(entity.label for entity in document.entities)
            sizes[number[key]] += len(document.text)
        parts = stratified(labels, sizes, shares, random.Random(self.seed))
        return [parts[number[key]] for key in keys]

    def _key(self, name: str) -> str:
        match = re.search(self.group, name) if self.group is not None else None
        if self.group is not None and match is None:
            raise InputError(
                f"corpus.group does not match the document {name}", remedy="Choose an expression that matches all ids."
            )
        return name if match is None else match.group(1 if match.re.groups else 0) or ""


def with_copies(keys: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The keys of documents, changed such that documents with the same text have the same key.

    >>> with_copies(["a", "b", "b", "c"], ["x", "x", "y", "z"])
    ['a', 'a', 'a', 'c']
    """
    first: dict[str, str] = {}
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while key in parent:
            key = parent[key]
        return key

    for key, text in zip(keys, texts, strict=True):
        one, other = root(key), root(first.setdefault(text, key))
        if text and one != other:
            parent[one] = other
    return [root(key) for key in keys]


def stratified(
    labels: Sequence[Counter[str]], sizes: Sequence[int], shares: Sequence[float], generator: random.Random
) -> list[int]:
    """Assign groups to parts such that each part has its share of each label and of the text, as far as groups allow.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, On the Stratification of Multi-Label Data): of the label with
    the fewest remaining mentions, the group with most of them goes to the part that lacks most of them.

    Args:
        labels: Mentions by label of each group.
        sizes: Length of the texts of each group.
        shares: The share of each part; they sum up to 1.
        generator: Breaks ties.

    Returns:
        The part of each group, by number. Every part has a group if there are as many groups as parts.
    """
    total = sum(labels, Counter[str]())
    wanted = [{label: share * n for label, n in total.items()} for share in shares]
    room = [share * sum(sizes) for share in shares]
    order = list(range(len(labels)))
    generator.shuffle(order)
    parts = [-1] * len(labels)
    remaining = Counter(total)
    while order:
        present = [label for label, n in sorted(remaining.items()) if n > 0]
        label = min(present, key=lambda name: remaining[name]) if present else None
        group = max(order, key=lambda n: (labels[n][label] if label is not None else 0, sizes[n]))
        part = max(range(len(shares)), key=lambda n: (wanted[n][label] if label is not None else 0.0, room[n]))
        parts[group] = part
        order.remove(group)
        remaining -= labels[group]
        room[part] -= sizes[group]
        for name, n in labels[group].items():
            wanted[part][name] -= n
    for part in range(len(shares)):
        if part not in parts and len(labels) >= len(shares):
            most = max(set(parts), key=parts.count)
            parts[min((n for n, own in enumerate(parts) if own == most), key=lambda n: sizes[n])] = part
    return parts


def _fold_names(folds: int, fold: int) -> list[str]:
    """The split of each fold."""
    names = ["train"] * folds
    if folds > 2:
        names[(fold + 1) % folds] = "dev"
    names[fold] = "test"
    return names


def _check_parts(parts: Sequence[float]) -> None:
    numbers = all(isinstance(part, (int, float)) and not isinstance(part, bool) and 0 < part < 1 for part in parts)
    if len(parts) not in _NAMES or not numbers or not math.isclose(sum(parts), 1, abs_tol=1e-6):
        shown = ",".join(map(str, parts))
        raise InputError(
            f"corpus.split=[{shown}] is not a division", remedy="Give shares that sum up to 1: [0.6,0.2,0.2] or [0.8,0.2]."
        )
