"""Documents that two corpora share: the gold annotations and those of another system over the same texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clinspan.corpora.errors import InputError
from clinspan.corpora.types import Corpus, Document

ALL = "all"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class PairedDocuments:
    """The documents of two corpora.

    Attributes:
        shared: Gold and predicted document by name.
        missing: Gold documents by name that the predicted corpus does not have.
        extra: Names of the predicted documents that the gold corpus does not have.
    """

    shared: dict[str, tuple[Document, Document]]
    missing: dict[str, Document]
    extra: tuple[str, ...]


def pair_documents(gold: Corpus, predicted: Corpus, *, split: str = ALL, by_order: bool = False) -> PairedDocuments:
    """Pair the documents of two corpora.

    Args:
        gold: The corpus with the gold annotations.
        predicted: The other one.
        split: A split of the gold corpus, or `all`. It is also taken of the predicted corpus if that has several splits.
        by_order: Pair documents by their order and compare tokens, as column files have neither ids nor texts. Otherwise documents
            are paired by their ids, and texts are compared; white space at the end of a text does not count.

    Returns:
        The documents. Their names are their ids, or numbers from 0 with `by_order`, after the split if both have the same splits.

    Raises:
        InputError: There is no such split, no document in common, one id in two splits, or two texts differ.
    """
    chosen = [_chosen(gold, split, whole=False), _chosen(predicted, split, whole=len(predicted.splits) == 1)]
    with_split = chosen[0] == chosen[1] and len(chosen[0]) > 1
    truth = _named(gold, chosen[0], with_split=with_split, by_order=by_order)
    guess = _named(predicted, chosen[1], with_split=with_split, by_order=by_order)
    shared = {name: (document, guess[name]) for name, document in truth.items() if name in guess}
    if not shared:
        shown = " and ".join(", ".join(list(names)[:_SHOWN]) for names in (truth, guess))
        problem = f"{gold.name} and {predicted.name} have no document in common: their ids are like {shown}"
        raise InputError(problem, remedy="Give two corpora whose documents have the same ids.")
    for name, pair in shared.items():
        (_check_tokens if by_order else _check_text)(name, *pair)
    missing = {name: document for name, document in truth.items() if name not in guess}
    return PairedDocuments(shared, missing, tuple(name for name in guess if name not in truth))


def _chosen(corpus: Corpus, split: str, *, whole: bool) -> list[str]:
    if split == ALL or whole:
        return list(corpus.splits)
    if split not in corpus.splits:
        raise InputError(f"{corpus.name} has no split {split}", remedy=f"It has: {', '.join(corpus.splits)}.")
    return [split]


def _named(corpus: Corpus, splits: Iterable[str], *, with_split: bool, by_order: bool) -> dict[str, Document]:
    named: dict[str, Document] = {}
    for split in splits:
        for number, document in enumerate(corpus.splits[split]):
            name = str(number) if by_order else document.id
            name = f"{split}/{name}" if with_split else name
            if name in named:
                raise InputError(f"document {name} is in two splits of {corpus.name}", remedy="Choose one with split=NAME.")
            named[name] = document
    return named


def _check_text(name: str, gold: Document, predicted: Document) -> None:
    one, other = gold.text.rstrip(), predicted.text.rstrip()
    if one != other:
        pairs = enumerate(zip(one, other, strict=False))
        place = next((n for n, (left, right) in pairs if left != right), min(len(one), len(other)))
        remedy = "Offsets mean the same only in the same text: give annotations of the gold texts."
        raise InputError(f"document {name}: the two texts differ from character {place} on", remedy=remedy)


def _check_tokens(name: str, gold: Document, predicted: Document) -> None:
    rows, others = ([sentence.words for sentence in document.sentences] for document in (gold, predicted))
    if rows != others:
        pairs = enumerate(zip(rows, others, strict=False))
        place = next((n for n, (left, right) in pairs if left != right), min(len(rows), len(others)))
        remedy = "Give files with the same tokens, sentences and documents in the same order."
        raise InputError(f"document {name}: the two files have other tokens in sentence {place}, counted from 0", remedy=remedy)
