"""The corpus of a finished run, read again by the settings in its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import Corpus, Document, InputError, Sentence
from clinspan.programs.config.composition import build
from clinspan.programs.config.saved_data import composed_config, restored_config
from clinspan.programs.rundir.printed_commands import resume_command
from clinspan.programs.rundir.run_record import RunRecord

_REMEDY = "Give the corpus as it was, in the same place, and start the command in the folder in which the run was started."


def run_corpus(record: RunRecord, path: Path) -> Corpus:
    """Read the corpus of a run again.

    Args:
        record: Its record.
        path: Its `run.json`, for messages.

    Raises:
        InputError: The record names no corpus, the corpus cannot be read, or it is not the one that the run tagged.
    """
    option, settings = record.choices.get("corpus"), record.config.get("corpus")
    if option is None or not isinstance(settings, dict) or record.corpus is None:
        raise InputError("names no corpus", path=path, remedy="Give the folder of a run.")
    if settings.get("fold") is None:  # the documents of a cross-validation are those of all its folds
        settings = {key: None if key == "folds" else value for key, value in settings.items()}
    composed = composed_config("run", {"corpus": option}, path=path)
    config = OmegaConf.create(restored_config({"corpus": composed["corpus"]}, {"corpus": settings}, path=path))
    assert isinstance(config, DictConfig)
    corpus: Corpus = build(config.corpus).load()
    if corpus.sha256 != record.corpus.sha256:
        raise InputError(f"the corpus {corpus.name} has changed since this run", path=path, remedy=_REMEDY)
    return corpus


def tagged_sentences(
    corpus: Corpus, split: str, rows: Mapping[str, Mapping[str, Any]], path: Path
) -> list[tuple[Document, Sentence]]:
    """The sentences of a corpus that a run has tagged, with their documents, in corpus order.

    Args:
        corpus: The corpus.
        split: The split that was tagged.
        rows: The lines of `predictions.jsonl` by sentence id.
        path: That file, for messages.

    Raises:
        InputError: A line is for no sentence of the split, or for other tokens or gold tags.
    """
    pairs = [(document, sentence) for document in corpus.splits.get(split, ()) for sentence in document.sentences]
    pairs = [(document, sentence) for document, sentence in pairs if sentence.id in rows]
    fitting = all([*s.words] == rows[s.id]["tokens"] and [*s.tags] == rows[s.id]["gold"] for _, s in pairs)
    if len(pairs) < len(rows) or not fitting:
        remedy = f"Restore the file, or score the run again: {resume_command(path.parent)}"
        raise InputError(f"does not fit the {split} split of {corpus.name}", path=path, remedy=remedy)
    return pairs
