"""All texts of a run that may hold protected health information: input, program, weights, knowledge base.

Every component that sends data out of the process (models, trackers, traces, Chroma servers) checks all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.programs.building.load_program import program_path, read_program
from clinspan.programs.config.composition import build
from clinspan.programs.config.privacy import ProtectedText
from clinspan.programs.rundir.origin import read_origin
from clinspan.programs.tagging.saved_program import trained_on


def protected_texts(config: DictConfig, corpus: Corpus | None = None) -> list[ProtectedText]:
    """The text sources of a command: its input or corpus, and the sources of its program, weights and knowledge base.

    Args:
        config: The command's config.
        corpus: The loaded corpus; None: use the config's entry for it.
    """
    texts = (program_texts(config), weights_texts(config), knowledge_texts(config), example_texts(config))
    return [*_read(config, corpus), *(text for found in texts for text in found)]


def _read(config: DictConfig, corpus: Corpus | None) -> Iterator[ProtectedText]:
    if "input" in config and "phi" in config:
        yield ProtectedText("the input", "phi", bool(config.phi))
    if corpus is not None:
        yield ProtectedText(f"corpus {corpus.name}", "corpus.phi", corpus.phi)
    elif config.get("corpus") is not None and "input" not in config:
        name = config.corpus.get("name") or config.corpus.get("path") or "at hand"
        yield ProtectedText(f"corpus {name}", "corpus.phi", bool(config.corpus.get("phi", True)))


def program_texts(config: DictConfig) -> Iterator[ProtectedText]:
    """The program that `program=` names: its demonstrations and instructions quote the texts that it was compiled from."""
    if config.get("program") is not None:
        origin = read_origin(read_program(program_path(config.program)))
        yield ProtectedText(f"what program={config.program} was compiled from", "phi in its program.json", origin.phi)


def weights_texts(config: DictConfig) -> Iterator[ProtectedText]:
    """Weights with a record of their training texts: a model can repeat the texts that it was trained on."""
    for group in ("model", "reflection_model"):
        if config.get(group) is None:
            continue
        spec: Any = build(config[group])
        if isinstance(spec, lms.LocalModel | lms.ClassifierModel) and (origin := trained_on(spec)) is not None:
            place = spec.adapter or spec.path
            yield ProtectedText(f"what {group} was trained on", f"phi in {place}/tuning.json", origin.phi)


def knowledge_texts(config: DictConfig) -> Iterator[ProtectedText]:
    """A knowledge base whose chunks appear in prompts. A folder may hold anything, unless `retriever.phi=false`."""
    strategy: Mapping[str, Any] = config.get("strategy") or {}
    retriever = config.get("retriever")
    if strategy.get("context") == "retrieved" and retriever is not None:
        name = retriever.get("knowledge", retriever._target_) or "bundled"
        yield ProtectedText(f"the knowledge base {name}", "retriever.phi", build(retriever).holds_phi)


def example_texts(config: DictConfig) -> Iterator[ProtectedText]:
    """A file of demonstrations. It holds texts like those of the corpus, so the corpus' setting applies."""
    path = (config.get("strategy") or {}).get("examples")
    if path is not None and config.get("corpus") is not None:
        yield ProtectedText(f"the demonstrations of {path}", "corpus.phi", bool(config.corpus.get("phi", True)))
