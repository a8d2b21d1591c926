"""Several trainings of a token classifier with different seeds, saved as one model that averages their probabilities."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TYPE_CHECKING

from clinspan.corpora import Sentence
from clinspan.corpora.tag_layers import TagLayers
from clinspan.lms import build_classifier, ClassifierModel
from clinspan.lms.classifiers.classifier import read_note
from clinspan.lms.classifiers.members import save_member
from clinspan.lms.classifiers.token_classification import load_head
from clinspan.tuning.deciding import fit_on_dev
from clinspan.tuning.judging import judge_tables
from clinspan.tuning.options import Encoder
from clinspan.tuning.results import Epoch, TuningResult
from clinspan.tuning.saving import CHECKPOINTS, MODEL, write_note

if TYPE_CHECKING:
    from clinspan.tuning.trainer import Progress

_DONE = "result.json"
Result = TuningResult[ClassifierModel]
TrainOne = Callable[[Path, int, "Progress | None"], Result]
"""Trains a member, given its folder, seed and progress."""


def tune_members(
    one: TrainOne,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    options: Encoder,
    *,
    folder: Path,
    seed: int,
    progress: Progress | None,
) -> Result:
    """Train members one after another, and save them as one model.

    An interrupted call continues with the member that was in training; finished members are kept in `checkpoints/`.

    Args:
        one: Trains a member.
        train: The sentences that members are trained on.
        dev: Sentences on which confidences are mapped, and decisions fitted.
        options: The options, with the number of members.
        folder: Where `model/` is written.
        seed: Seed of the first member; each further one has the next number.
        progress: Called after each step, with numbers over all members.
    """
    began, members = time.monotonic(), options.members
    places = [folder / CHECKPOINTS / f"member-{n + 1}" for n in range(members)]
    results = [_finished(one, place, seed + n, _part(progress, n, members)) for n, place in enumerate(places)]
    scratch = _joined([result.folder for result in results], folder)
    spec = replace(results[0].model, path=str(folder / MODEL))
    f1, decided = _judged(replace(spec, path=str(scratch)), train, dev, scratch, options=options, seed=seed)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    scratch.rename(folder / MODEL)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return replace(
        results[0],
        folder=folder / MODEL,
        model=spec,
        epochs=tuple(replace(epoch, member=n) for n, result in enumerate(results, 1) for epoch in result.epochs),
        steps=sum(result.steps for result in results),
        parameters=sum(result.parameters for result in results),
        seconds=time.monotonic() - began,
        members_f1=f1,
        decisions_f1=decided,
    )


def _finished(one: TrainOne, place: Path, seed: int, progress: Progress | None) -> Result:
    """The result of a member, trained now or by an earlier call."""
    done = place / _DONE
    if done.is_file():
        content = json.loads(done.read_text(encoding="utf-8"))
        epochs = tuple(Epoch(**epoch) for epoch in content.pop("epochs"))
        spec = ClassifierModel(**{**content.pop("model"), "path": str(place / MODEL)})
        return TuningResult(folder=place / MODEL, model=spec, epochs=epochs, left_out=(), **content)
    result = one(place, seed, progress)
    kept = {key: value for key, value in dataclasses.asdict(result).items() if key not in ("folder", "left_out")}
    scratch = done.with_suffix(".part")
    scratch.write_text(json.dumps(kept), encoding="utf-8")
    scratch.rename(done)
    return result


def _part(progress: Progress | None, number: int, members: int) -> Progress | None:
    """Progress over all members, from that of one."""
    if progress is None:
        return None
    return lambda step, steps, loss: progress(number * steps + step, members * steps, loss)


def _joined(places: Sequence[Path], folder: Path) -> Path:
    """A folder with the first member's files and the weights of the others."""
    scratch = folder / f".{MODEL}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(places[0], scratch)
    for number, place in enumerate(places[1:], 2):
        save_member(load_head(place, "cpu")[0], scratch, number)
    write_note(scratch, {**read_note(scratch), "members": len(places), "confidence": None})
    return scratch


def _judged(
    spec: ClassifierModel, train: Sequence[Sentence], dev: Sequence[Sentence], folder: Path, *, options: Encoder, seed: int
) -> tuple[float | None, Mapping[str, float] | None]:
    """Write what is fitted on dev into the folder's note. Returns micro F1 on dev, of the tags and by kind of decisions."""
    if not dev:
        return None, None
    classifier = build_classifier(spec)
    readings = classifier.classify([sentence.words for sentence in dev])
    tables: list[Any] = [reading.log_probs for reading in readings]
    layers = TagLayers.of(classifier.classes)
    fitted = fit_on_dev(train, dev, tables, layers, options, seed=seed)
    write_note(folder, {**read_note(folder), **fitted.note})
    return judge_tables(dev, tables, layers)["f1"], fitted.f1
