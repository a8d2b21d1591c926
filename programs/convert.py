"""`python -m programs.convert`: write a corpus in another format."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.writers.brat import write_brat
from clinspan.corpora.writers.conll import write_conll
from clinspan.corpora.writers.jsonl import write_jsonl
from clinspan.programs.app.config import folder_path, load_corpus
from clinspan.programs.app.hydra_app import run_app

WRITERS = {"brat": write_brat, "conll": write_conll, "jsonl": write_jsonl}


def main(config: DictConfig) -> None:
    """Write all splits below `output`, which must be new or empty, and print its path."""
    if config.to not in WRITERS:
        raise InputError(f"to={config.to} is not known", remedy=f"Use one of {', '.join(WRITERS)}.")
    if not config.output:
        raise InputError("output is not set", remedy="Add output=FOLDER.")
    output = folder_path(config.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("exists and is not an empty folder", path=output, remedy="Name a new folder.")
    corpus = load_corpus(config)
    for split, counts in corpus.conversion.items():
        if counts:
            print(f"clinspan: {split}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items())), file=sys.stderr)
    WRITERS[config.to](corpus, output)
    print(output)


if __name__ == "__main__":
    run_app("convert", main)
