"""`python -m programs.convert`: write a corpus in another format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.fidelity import changed_mentions, widened_example
from clinspan.corpora.printable import plural, printable
from clinspan.corpora.writers.brat import write_brat
from clinspan.corpora.writers.conll import write_conll
from clinspan.corpora.writers.jsonl import write_jsonl
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import folder_path, load_corpus
from clinspan.reports.wording import count_words

WRITERS: dict[str, Callable[[Corpus, Path], None]] = {"brat": write_brat, "conll": write_conll, "jsonl": write_jsonl}
_FROM = ("annotations", "tags")
_CHANGES = {
    "discontinuous": "is in pieces, which tags cannot express",
    "other_ends": "has other ends in tokens",
    "dropped": "shares its tokens with another annotation",
}


def main(config: DictConfig) -> None:
    """Write all splits below `output`, which must be new or empty, and print its path.

    Annotations that the new files do not have at their own character offsets are listed on standard error.
    """
    if config.to not in WRITERS:
        raise InputError(f"to={config.to} is not known", remedy=f"Use one of {', '.join(WRITERS)}.")
    if config.mentions not in _FROM:
        raise InputError(f"mentions={config.mentions} is not known", remedy=f"Use {' or '.join(_FROM)}.")
    if not config.output:
        raise InputError("output is not set", remedy="Add output=FOLDER.")
    output = folder_path(config.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("exists and is not an empty folder", path=output, remedy="Name a new folder.")
    corpus = load_corpus(config)
    examples = {"partial_expand": widened_example(corpus)}
    for split, counts in corpus.conversion.items():
        for name, number in sorted(counts.items()):
            print(printable(f"clinspan: {split}: {count_words(name, number, examples.get(name, ''))}"), file=sys.stderr)
    from_tags = config.mentions == "tags"
    if config.to == "brat":
        write_brat(corpus, output, from_tags=from_tags)
    else:
        WRITERS[config.to](corpus, output)
    if config.to == "conll" or (config.to == "brat" and from_tags):
        list_changes(corpus)
    give("convert", output, dict)


def list_changes(corpus: Corpus) -> None:
    """List on standard error the annotations that tags do not express: document, offsets, label and reason, without text."""
    for split, documents in corpus.splits.items():
        changed = changed_mentions(documents)
        for one in changed:
            places = ";".join(f"{start}-{end}" for start, end in one.entity.fragments)
            line = f"{split} {one.document} {places} {one.entity.label}: {_CHANGES[one.change]}"
            print(f"clinspan: {printable(line)}", file=sys.stderr)
        if changed:
            total = sum(len(dict.fromkeys(document.entities)) for document in documents)
            annotations = plural(total, "annotation")
            print(f"clinspan: {split}: {len(changed)} of {total} {annotations} changed; to=jsonl keeps all", file=sys.stderr)


if __name__ == "__main__":
    run_app("convert", main)
