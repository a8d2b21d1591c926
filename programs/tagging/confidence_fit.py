"""The map of a prompted program's confidences: fitted to dev records, and bound to the prompt and the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinspan import lms
from clinspan.metrics.calibration import judge_entities
from clinspan.metrics.confidence_map import ConfidenceMap, fit_map
from clinspan.metrics.counts import Mode
from clinspan.programs.formats import Format, Phrases
from clinspan.programs.tagging.prompt_fingerprint import prompt_fingerprint
from clinspan.programs.tagging.saved_program import fingerprint
from clinspan.programs.tagging.tagger import Tagger


def fit_confidence(
    records: Iterable[Mapping[str, Any]], members: Sequence[tuple[Tagger, Format]], spec: lms.ModelSpec, mode: Mode
) -> ConfidenceMap | None:
    """The map fitted to a program's predictions on dev; None if they do not allow one, see `metrics.confidence_map.fit_map`.

    Fitted decisions of `format=phrases` have a map of their own, which is fitted to other documents than it is used on.

    Args:
        records: The prediction records, with confidences as the model gives them.
        members: The taggers of the program, each with its format.
        spec: The model.
        mode: How tags are read.
    """
    if any(isinstance(adapter, Phrases) and adapter.decisions.fingerprint for _, adapter in members):
        return None
    answered = (record for record in records if record["error"] is None)
    judged = [one for row in answered for one in judge_entities(row["gold"], row["pred"], row["confidence"], mode)]
    mapped = fit_map(judged)
    return mapped and mapped.model_copy(update={"fingerprint": confidence_fingerprint(members, spec)})


def confidence_fingerprint(members: Sequence[tuple[Tagger, Format]], spec: lms.ModelSpec) -> str:
    """A hash of what confidences depend on: prompts, formats, votes and the model's weights."""
    return fingerprint([_member(tagger, adapter, spec) for tagger, adapter in members])


def _member(tagger: Tagger, adapter: Format, spec: lms.ModelSpec) -> list[Any]:
    trained = tagger.settings.get("adapter")
    if trained and isinstance(spec, lms.LocalModel):  # their place is another one while they are trained
        spec = dataclasses.replace(spec, path=None, adapter=None)
    votes = [tagger.votes, tagger.temperature] if tagger.votes > 1 else []
    prompt = prompt_fingerprint(tagger, adapter, spec)
    return [prompt, tagger.settings.get("format"), votes, trained and trained["id"]]
