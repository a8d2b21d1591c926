"""Checks for documents and sentences that stand in several splits, or several times in one."""

from __future__ import annotations

from collections.abc import Iterator

from clinspan.corpora.printable import plural
from clinspan.corpora.types import Document, SPLITS
from clinspan.corpora.verdict import Check, named, Parts, Verdict

_LEAST_TOKENS = 5
"""Shorter sentences, such as headings, are often the same in several documents."""


def shared_documents(parts: Parts) -> Iterator[Verdict]:
    """Documents with the same text in several splits, or twice in one."""
    if parts.by_sentence:
        return
    places: dict[str, list[tuple[str, Document]]] = {}
    for split, documents in parts.splits.items():
        for document in documents:
            if text := _folded(document):
                places.setdefault(text, []).append((split, document))
    copies = [found for found in places.values() if len(found) > 1]
    tested = [found for found in copies if len({split for split, _ in found}) > 1 and any(split == "test" for split, _ in found)]
    learnt = [found for found in copies if {split for split, _ in found} == {"train", "dev"}]
    within = [found for found in copies if len({split for split, _ in found}) == 1]
    ids = [found[-1][1].id for found in tested]
    if tested:
        also = " or ".join(split for split in SPLITS[:2] if any(split in (s for s, _ in found) for found in tested))
        text = f"{len(ids)} test {plural(len(ids), 'document')} also in {also}{named(ids)}: scores are too high"
        yield Verdict("shared_documents", "error", len(ids), text, "Remove the copies from one of the splits")
    if learnt:
        ids = [found[-1][1].id for found in learnt]
        text = f"{len(ids)} dev {plural(len(ids), 'document')} also in train{named(ids)}: dev chooses what was learnt by heart"
        yield Verdict("shared_documents", "warning", len(ids), text, "Remove the copies from one of the splits")
    if not tested and not learnt and len(parts.splits) > 1:
        yield Verdict("shared_documents", "ok", 0, "no document in two splits")
    if within:
        ids = [found[-1][1].id for found in within]
        text = f"{len(ids)} {plural(len(ids), 'document stands', 'documents stand')} twice in one split{named(ids)}"
        yield Verdict("copied_documents", "warning", len(ids), text, "Remove the copies, which count twice")
    else:
        yield Verdict("copied_documents", "ok", 0, "no document stands twice in a split")


def shared_ids(parts: Parts) -> Iterator[Verdict]:
    """Ids of documents that stand in several splits with other texts."""
    if len(parts.splits) < 2:
        return
    texts: dict[str, dict[str, str]] = {}
    for split, documents in parts.splits.items():
        for document in documents:
            texts.setdefault(document.id, {})[split] = _folded(document)
    several = [name for name, found in texts.items() if len(found) > 1 and len(set(found.values())) > 1]
    if several:
        what = f"{len(several)} {plural(len(several), 'id names', 'ids name')} other texts in other splits{named(several)}"
        yield Verdict(
            "shared_ids", "warning", len(several), what, "Make sure that they are no versions of one document, or rename them"
        )
    else:
        yield Verdict("shared_ids", "ok", 0, "no id names two documents")


def shared_sentences(parts: Parts) -> Iterator[Verdict]:
    """Test sentences of at least five tokens that train or dev has too."""
    known = {
        tuple(sentence.words)
        for split in ("train", "dev")
        for sentence in parts.corpus.sentences(split)
        if len(sentence.tokens) >= _LEAST_TOKENS
    }
    if not known or "test" not in parts.splits:
        return
    tested = [sentence for sentence in parts.corpus.sentences("test") if len(sentence.tokens) >= _LEAST_TOKENS]
    number = sum(sentence.words in known for sentence in tested)
    if number:
        text = f"{number} of {len(tested):,} test sentences also in train or dev (of {_LEAST_TOKENS} tokens or more)"
        remedy = "Remove copies, or read the scores as those of partly known text"
        yield Verdict("shared_sentences", "warning", number, text, remedy)
    else:
        yield Verdict("shared_sentences", "ok", 0, "no test sentence in train or dev")


def _folded(document: Document) -> str:
    """The text without differences in white space."""
    return " ".join(document.text.split())


LEAKAGE_CHECKS: tuple[Check, ...] = (shared_documents, shared_ids, shared_sentences)
