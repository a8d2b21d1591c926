"""`python -m programs.check`: say what is wrong with a corpus before it is used, and what to do about it.

The exit code is 1 if scores on the corpus would be untrue or impossible.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from omegaconf import DictConfig

from clinspan.corpora.printable import printable
from clinspan.programs.app.corpus_verdicts import checked_corpus
from clinspan.programs.app.hydra_app import run_app
from clinspan.reports.terminal.verdict_lines import print_verdicts


def main(config: DictConfig) -> None:
    """Print a line for each check, or one JSON object with `json=true`; exit with 1 if there is an error."""
    corpus, found = checked_corpus(config)
    if config.json:
        print(json.dumps({"corpus": corpus.name, "verdicts": [dataclasses.asdict(one) for one in found]}, ensure_ascii=False))
    else:
        print(printable(corpus.name))
        print_verdicts(found, sys.stdout)
    if any(one.level == "error" for one in found):
        sys.exit(1)


if __name__ == "__main__":
    run_app("check", main)
