"""Verdicts about a corpus: what makes scores untrue or a training weak, each with its number and a remedy.

`verdicts(corpus)` reads nothing but the corpus. A verdict names documents by their ids and never quotes a text.
"""

from __future__ import annotations

from collections.abc import Iterator

from clinspan.corpora.conversion_checks import CONVERSION_CHECKS
from clinspan.corpora.leakage import LEAKAGE_CHECKS
from clinspan.corpora.printable import plural
from clinspan.corpora.types import Corpus, SPLITS
from clinspan.corpora.verdict import Check, LEVELS, listed, named, Parts, Verdict

RARE = 10
"""Mentions of a label in a split below which its score says little."""
INTERVAL_DOCUMENTS = 10
"""Test documents below which there are no confidence intervals."""
DEMONSTRATIONS = 5
"""Sentences with a mention that the default strategy shows."""
_DIVIDE = "'corpus.split=[0.6,0.2,0.2]' or corpus.folds=5 divides the documents"


def verdicts(corpus: Corpus, *, folds: int | None = None) -> list[Verdict]:
    """All verdicts about a corpus, the worst first.

    Args:
        corpus: The corpus; with `folds`, all its documents in one split.
        folds: The number of folds that a cross-validation will divide it into.
    """
    parts = Parts.of(corpus, folds)
    checks: tuple[Check, ...] = (contents, splits, *LEAKAGE_CHECKS, documents, labels, *CONVERSION_CHECKS)
    found = [verdict for check in checks for verdict in check(parts)]
    return sorted(found, key=lambda verdict: LEVELS.index(verdict.level))


def contents(parts: Parts) -> Iterator[Verdict]:
    """Whether there is anything to score."""
    lacking = [split for split, counts in parts.mentions.items() if not counts.total()]
    if not parts.total:
        yield Verdict(
            "mentions", "error", 1, "no mention in the whole corpus", "Check corpus.path and that the annotations are beside"
        )
    elif "test" in lacking:
        yield Verdict("mentions", "error", 1, "test has no mention, so nothing can be scored", "Annotate it or use other documents")
    elif lacking:
        text = f"{' and '.join(lacking)} {plural(len(lacking), 'has', 'have')} no mention"
        yield Verdict("mentions", "warning", len(lacking), text, "Annotate it or leave it out")
    else:
        yield Verdict("mentions", "ok", 0, f"{parts.total:,} {plural(parts.total, 'mention')} in {', '.join(parts.splits)}")
    sentences = [sentence for split in parts.splits for sentence in parts.corpus.sentences(split)]
    without = sum(all(tag == "O" for tag in sentence.tags) for sentence in sentences)
    if parts.total and sentences and not without:
        text = "every sentence has a mention, so a system that invents mentions elsewhere is not noticed"
        yield Verdict("negatives", "warning", 1, text, "Add sentences without mentions, as they occur in notes")
    elif parts.total:
        yield Verdict("negatives", "ok", 0, f"{without:,} of {len(sentences):,} sentences have no mention")


def splits(parts: Parts) -> Iterator[Verdict]:
    """Whether there are documents to learn from, to choose by and to score on."""
    lacking = [split for split in SPLITS if split not in parts.splits]
    if parts.folds is not None:
        yield Verdict("splits", "ok", 0, f"{parts.folds} folds of {len(parts.splits.get('test', ()))} documents")
    elif "test" in lacking:
        yield Verdict("splits", "error", 1, "no test split, so a run has nothing to score", f"{_DIVIDE}; or run split=dev")
    elif lacking:
        uses = {"train": "no demonstrations, no training", "dev": "nothing to compile prompts by or to stop a training by"}
        text = "; ".join(f"no {split} split: {uses[split]}" for split in lacking)
        remedy = _DIVIDE if "train" in lacking else "Name a part of train dev"
        if "train" in lacking:
            remedy += "; or strategy=zero_shot" if len(parts.splits["test"]) > 1 else ""
        yield Verdict("splits", "warning", len(lacking), text, remedy)
    else:
        sizes = ", ".join(f"{split} {len(documents):,}" for split, documents in parts.splits.items())
        yield Verdict("splits", "ok", 0, f"documents: {sizes}" + (", divided by clinspan" if parts.corpus.divided else ""))
    if parts.folds is None and "train" in parts.splits:
        shown = sum(any(tag != "O" for tag in sentence.tags) for sentence in parts.corpus.sentences("train"))
        if shown < DEMONSTRATIONS:
            text = f"only {shown} train {plural(shown, 'sentence has', 'sentences have')} a mention to demonstrate"
            yield Verdict("demonstrations", "warning", shown, text, f"strategy.k={max(shown, 1)} or strategy=zero_shot")
        else:
            yield Verdict("demonstrations", "ok", 0, f"{shown:,} train sentences can be demonstrations")


def documents(parts: Parts) -> Iterator[Verdict]:
    """Whether documents are complete, and enough for intervals."""
    empty = [document.id for every in parts.splits.values() for document in every if not any(s.tokens for s in document.sentences)]
    hollow = sum(not s.tokens for split in parts.splits for s in parts.corpus.sentences(split))
    if empty or hollow:
        what = f"{len(empty)} {plural(len(empty), 'document')} and {hollow} {plural(hollow, 'sentence')} without a token"
        yield Verdict("empty", "warning", len(empty) + hollow, f"{what}{named(empty)}", "Remove them")
    else:
        yield Verdict("empty", "ok", 0, "no empty document or sentence")
    bare = parts.counts["documents_without_ann"] + parts.counts["documents_without_con"]
    if bare:
        text = f"{bare} {plural(bare, 'document')} without an annotation file {plural(bare, 'counts', 'count')} as free of mentions"
        yield Verdict("unannotated", "warning", bare, text, "Move texts that nobody annotated out of the folder")
    if parts.by_sentence:
        text = "the files mark no documents, so each sentence counts as one and intervals are too narrow"
        yield Verdict("document_marks", "warning", 1, text, "Put a line -DOCSTART- before each document")
    number = len(parts.splits.get("test", ()))
    if 0 < number < INTERVAL_DOCUMENTS:
        text = f"{number} test {plural(number, 'document')}: too few for intervals and p-values, which need {INTERVAL_DOCUMENTS}"
        every = sum(map(len, parts.splits.values()))
        folds = parts.folds is None and len(parts.splits) == 1 and every >= INTERVAL_DOCUMENTS
        alone = f"Annotate {INTERVAL_DOCUMENTS - number} more"
        divided = parts.corpus.divided and every >= INTERVAL_DOCUMENTS
        remedy = "corpus.folds=5 instead of corpus.split makes every document a test document once" if divided else alone
        yield Verdict(
            "few_documents", "warning", number, text, "corpus.folds=5 makes every document a test document" if folds else remedy
        )
    elif number:
        yield Verdict("few_documents", "ok", 0, f"{number:,} test documents are enough for intervals")


def labels(parts: Parts) -> Iterator[Verdict]:
    """Whether each label has mentions enough in each split, and whether labels are spelt alike."""
    names = [label.name for label in parts.corpus.labels]
    absent = [(name, split) for name in names for split, counts in parts.mentions.items() if not counts[name]]
    if absent:
        text = f"labels without a mention: {listed(f'{name} in {split}' for name, split in absent)}"
        yield Verdict(
            "missing_labels", "warning", len(absent), text, "Annotate more, or 'corpus.map={LABEL: null}' leaves a label out"
        )
    elif names:
        yield Verdict("missing_labels", "ok", 0, f"each of {len(names)} {plural(len(names), 'label')} occurs in each split")
    rare = [(name, split, counts[name]) for name in names for split, counts in parts.mentions.items() if 0 < counts[name] < RARE]
    if rare:
        text = f"fewer than {RARE} mentions: {listed(f'{name} in {split} ({number})' for name, split, number in rare)}"
        remedy = "Read their scores with care; 'corpus.map={LABEL: OTHER}' merges labels"
        yield Verdict("rare_labels", "warning", len(rare), text, remedy)
    elif names and not absent:
        yield Verdict("rare_labels", "ok", 0, f"each label has at least {RARE} mentions in each split")
    alike = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :] if spelt_alike(a, b)]
    if alike:
        text = f"labels that may be one in two spellings: {listed(f'{a} and {b}' for a, b in alike)}"
        a, b = alike[0]
        yield Verdict("similar_labels", "warning", len(alike), text, f"'corpus.map={{{b}: {a}}}' merges them")
    elif len(names) > 1:
        yield Verdict("similar_labels", "ok", 0, "no two labels are spelt alike")


def spelt_alike(a: str, b: str) -> bool:
    """Whether two labels of at least four letters differ by one inserted, left out or exchanged letter.

    >>> spelt_alike("Finding", "Findings"), spelt_alike("Type1", "Type2"), spelt_alike("Drug", "Dose")
    (True, False, False)
    """
    short, long = sorted((a.casefold(), b.casefold()), key=len)
    if len(short) < 4 or len(long) - len(short) > 1:
        return False
    at = next((n for n, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) == len(long):
        return at < len(short) and short[at + 1 :] == long[at + 1 :] and short[at].isalpha() and long[at].isalpha()
    return short[at:] == long[at + 1 :] and long[at].isalpha()
