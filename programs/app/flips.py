"""`flips=true`: sentences are tagged again with changes that should not matter, and changed answers are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import InputError, Sentence
from clinspan.metrics.flips import flip_rates, FULL_STOP, LABEL_ORDER, with_other_end
from clinspan.programs.building.build_classifier import ClassifierComponents
from clinspan.programs.building.build_run import RunComponents
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.inference.predictor import PromptTagger, SentenceTagger
from clinspan.programs.rundir.run_folder import RunFolder

FOLDER = "flips"
Parts = RunComponents | ClassifierComponents


@dataclass(frozen=True)
class Repetition:
    """The sentences once more, with one change.

    Attributes:
        name: The change.
        asker: Tags the sentences.
        sentences: The sentences.
        folder: Where the predictions go.
    """

    name: str
    asker: SentenceTagger
    sentences: Sequence[Sentence]
    folder: RunFolder


def check_flips(config: DictConfig) -> None:
    """Refuse a run that cannot tag its sentences again.

    Raises:
        InputError: It replays recorded answers, or is a cross-validation.
    """
    if not config.get("flips"):
        return
    if config.model.get("_target_") == f"{lms.__name__}.{lms.ReplayModel.__name__}":
        raise InputError("flips=true asks the model again, and model=replay has recorded answers", remedy="Leave flips out.")
    if has_all_folds(config):
        raise InputError("flips=true is for one run, and this is a cross-validation", remedy="Set corpus.fold, or leave flips out.")


def repetitions(parts: Parts, folder: RunFolder) -> Iterator[Repetition]:
    """The sentences with the types in reverse order, where there is a prompt, and with the full stop changed."""
    if isinstance(parts, RunComponents):
        yield Repetition(LABEL_ORDER, _with_types_reversed(parts), parts.sentences, _folder(folder, LABEL_ORDER))
    changed = [other for sentence in parts.sentences if (other := with_other_end(sentence)) is not None]
    yield Repetition(FULL_STOP, parts.asker, changed, _folder(folder, FULL_STOP))


def _with_types_reversed(parts: RunComponents) -> PromptTagger:
    """The tagger with the types in reverse order in its prompts."""
    built = replace(parts.built, members=tuple(member.with_types_reversed() for member in parts.built.members))
    return replace(parts.asker, tagger=built.on(parts.lm), adapter=built.adapter)


def flip_scores(parts: Parts, folder: RunFolder) -> dict[str, Any]:
    """The part `flips` of `scores.json`, of those repetitions that are complete."""
    records, labels = folder.load_predictions(), [label.name for label in parts.corpus.labels]
    found = {}
    for one in repetitions(parts, folder):
        others = one.folder.load_predictions()
        if len(others) == len(one.sentences):
            found[one.name] = flip_rates(records, others, labels, parts.metric.mode)
    return found


def flip_rows(folder: RunFolder) -> list[dict[str, Any]]:
    """All prediction records of repetitions, for what they cost."""
    names = [name for name in (LABEL_ORDER, FULL_STOP) if (folder.path / FOLDER / name).is_dir()]
    return [row for name in names for row in _folder(folder, name).load_predictions().values()]


def _folder(folder: RunFolder, name: str) -> RunFolder:
    return RunFolder(folder.path / FOLDER / name)
