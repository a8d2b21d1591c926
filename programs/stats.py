"""`python -m programs.stats`: count the contents of a corpus and its conversion steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import Corpus, Document, InputError
from clinspan.corpora.fidelity import changed_mentions, has_offsets, widened_example
from clinspan.metrics.counts import entities
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import load_corpus, output_folder
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.reports.terminal.tables import print_statistics


def statistics(corpus: Corpus) -> dict[str, Any]:
    """Counts by split: documents, sentences, tokens, B- tags by label, spans by label in seqeval's default mode, annotations."""
    labels = [label.name for label in corpus.labels]
    table: dict[str, Any] = {}
    for split, documents in corpus.splits.items():
        b_tags: Counter[str] = Counter()
        spans: Counter[str] = Counter()
        sentences = list(corpus.sentences(split))
        for sentence in sentences:
            b_tags.update(tag[2:] for tag in sentence.tags if tag.startswith("B-"))
            spans.update(label for label, _, _ in entities(sentence.tags, "conlleval"))
        table[split] = {
            "documents": len(documents),
            "sentences": len(sentences),
            "tokens": sum(len(sentence.tokens) for sentence in sentences),
            "entities": {label: b_tags[label] for label in labels},
            "spans": {label: spans[label] for label in labels},
            "conversion": dict(sorted(corpus.conversion.get(split, Counter()).items())),
            "annotations": kept_annotations(documents),
        }
    if not any(part["sentences"] for part in table.values()):
        raise InputError(f"corpus {corpus.name} has no sentence", remedy="Check corpus.path.")
    return table


def kept_annotations(documents: Sequence[Document]) -> dict[str, int]:
    """The number of annotations, and how many of them the tags have at their own character offsets or change, by cause.

    Empty for documents whose annotations have no offsets of their own. Annotations with equal label and offsets count once.
    """
    own = [document for document in documents if has_offsets(document)]
    if not own:
        return {}
    total = sum(len(set(document.entities)) for document in own)
    changes = Counter(one.change for one in changed_mentions(own))
    return {"total": total, "kept": total - sum(changes.values()), **dict(sorted(changes.items()))}


def main(config: DictConfig) -> None:
    """Print the statistics as a table, and write `stats.json`."""
    corpus = load_corpus(config)
    table = statistics(corpus)
    folder = RunFolder(output_folder())
    content = {"corpus": corpus.name, "sha256": corpus.sha256, "splits": table}
    folder.write("stats.json", content)
    print_statistics(table, corpus.name, widened_example(corpus))
    give("stats", folder.path, lambda: content)


if __name__ == "__main__":
    run_app("stats", main)
