"""What fitted decisions hang on: the prompt and the model. Other demonstrations shift the probabilities by whole nats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clinspan import lms
from clinspan.corpora import InputError
from clinspan.programs.formats import Format, Phrases
from clinspan.programs.tagging.saved_program import fingerprint
from clinspan.programs.tagging.tagger import Tagger

_LOOKED_UP = ("demonstrations", "context", "k", "pool")
_RANKED = (("strategy", "diversity", 0.0), ("retriever", "by", "dense"))
"""Settings of the lookup that count where they are not the default."""


def prompt_fingerprint(tagger: Tagger, adapter: Format, spec: lms.ModelSpec) -> str:
    """A hash of the prompt, what its demonstrations are looked up by, what else decisions weigh, and the model's weights."""
    strategy = tagger.settings.get("strategy", {})
    looked_up = [strategy.get(key) for key in (_LOOKED_UP if tagger.nearest or tagger.retrieve else ())]
    if looked_up:
        ranked = {key: tagger.settings.get(group, {}).get(key, usual) for group, key, usual in _RANKED}
        looked_up += [[key, ranked[key]] for _, key, usual in _RANKED if ranked[key] != usual]
    demonstrations = [[list(demo["tokens"]), list(demo["tags"])] for demo in tagger.tag.demos]
    shown = [(label.name, adapter.called.get(label.name, label.name)) for label in adapter.labels]
    how: list[Any] = []
    if isinstance(adapter, Phrases):
        how += [adapter.words, adapter.contrasts]
        how += ["train_counts", adapter.train_counts.digest] if adapter.train_counts else []
        how += ["prune_below", adapter.prune_below] if adapter.prune_below is not None else []
        how += ["dictionary", adapter.dictionary.digest] if adapter.dictionary else []
    how += tagger.note.identity
    return fingerprint([tagger.tag.signature.instructions, adapter.rules(), demonstrations, looked_up, shown, how, _weights(spec)])


def check_decisions(tagger: Tagger, adapter: Format, spec: lms.ModelSpec) -> None:
    """Refuse decisions that were fitted to another prompt or model.

    Raises:
        InputError: They were.
    """
    fitted = adapter.decisions.fingerprint if isinstance(adapter, Phrases) else ""
    if fitted and fitted != prompt_fingerprint(tagger, adapter, spec):
        problem = "format.decisions was fitted to another prompt, model or train split"
        remedy = (
            "Fit again with optimizer=decisions, keep the program's prompt, model and corpus, "
            "or add format=phrases format.decisions=null."
        )
        raise InputError(problem, remedy=remedy)


def _weights(spec: lms.ModelSpec) -> list[Any]:
    """The model by what names its weights wherever they lie, and how it is computed and addressed."""
    keys = ("hub_id", "revision", "package", "dtype", "quantization", "template", "api_base")
    places = [Path(str(place)).name for key in ("path", "adapter") if (place := getattr(spec, key, None))]
    return [spec.name, *places, *(str(getattr(spec, key, None)) for key in keys)]
