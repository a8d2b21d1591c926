"""`python -m programs.check`: say what is wrong with a corpus before it is used, and what to do about it.

The exit code is 1 if scores on the corpus would be untrue or impossible.
"""

from __future__ import annotations

import dataclasses
import sys

from omegaconf import DictConfig

from clinspan.corpora.printable import printable
from clinspan.programs.app.corpus_verdicts import checked_corpus
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.reports.terminal.verdict_lines import print_verdicts


def main(config: DictConfig) -> None:
    """Print a line for each check; exit with 1 if there is an error."""
    corpus, found = checked_corpus(config)
    print(printable(corpus.name))
    print_verdicts(found, sys.stdout)
    give("check", None, lambda: {"corpus": corpus.name, "verdicts": [dataclasses.asdict(one) for one in found]})
    if any(one.level == "error" for one in found):
        sys.exit(1)


if __name__ == "__main__":
    run_app("check", main)
