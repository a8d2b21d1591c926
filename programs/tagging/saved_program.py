"""The content of `program.json`: settings, demonstrations, provenance and weights of a program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.printable import printable
from clinspan.lms.weights.lora import NOTE
from clinspan.programs.rundir.origin import merged, Origin, origin_of, read_origin, UNKNOWN
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.tagging.tagger import Ensemble, Tagger

Run = TypeVar("Run", bound=RunRecord)
VERSION = 1


CLASSIFIER = "classifier"


GROUPS = ("format", "strategy")


RETRIEVER = "retriever"


PLAIN = ("alignment", "label_order", "label_wording")


PLACE_SETTINGS = ("url",)


GIVEN_SETTINGS = ("examples", "ids")


def settings_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """The part of a config that belongs to a program: the option and keys of each group, and the plain keys.

    The retriever is one of the groups if the strategy searches. The address of its server is left out, because it belongs to a
    site and not to a program. So are the file or the ids of given demonstrations, because a program has the demonstrations.
    """
    settings: dict[str, Any] = {}
    strategy = config["strategy"]
    searches = strategy.get("demonstrations") == "nearest" or strategy.get("context") == "retrieved"
    for group in (*GROUPS, RETRIEVER) if searches else GROUPS:
        settings[group] = {"choice": choices.get(group, ""), **_without_code(config[group])}
    settings["strategy"] = {key: value for key, value in settings["strategy"].items() if key not in GIVEN_SETTINGS}
    return settings | {key: config[key] for key in PLAIN}


def _without_code(keys: Mapping[str, Any]) -> dict[str, Any]:
    """
    >>> _without_code({"_target_": "os.system", "url": "http://x", "k": 5, "embedder": {"_target_": "x", "name": "minilm"}})
    {'k': 5, 'embedder': {'name': 'minilm'}}
    """
    plain = {key: value for key, value in keys.items() if not key.startswith("_") and key not in PLACE_SETTINGS}
    return {key: _without_code(value) if isinstance(value, Mapping) else value for key, value in plain.items()}


def dump_program(tagger: Tagger | Ensemble, corpus: Corpus, *, learned: bool = False) -> dict[str, Any]:
    """The content of a `program.json`. It includes the labels, because tags have no meaning without them.

    Args:
        tagger: The program.
        corpus: The current corpus.
        learned: Whether a loaded program was changed with this corpus, so that its instructions may quote it.
    """
    labels = sorted(label.name for label in corpus.labels)
    members = tagger.members if isinstance(tagger, Ensemble) else [tagger]
    origin = merged(_origin(member, corpus, learned) for member in members)
    return {"clinspan": VERSION, "labels": labels, "cut": corpus.cut, "origin": origin.model_dump(), **tagger.dump_state()}


def _origin(tagger: Tagger, corpus: Corpus, learned: bool) -> Origin:
    demos = list(tagger.tag.demos)
    current = origin_of(corpus, demos)
    if tagger.origin is None:
        return current
    has_new_documents = not set(current.documents) <= set(tagger.origin.documents)
    return merged([tagger.origin, current]) if learned or has_new_documents else tagger.origin


def dump_classifier(spec: lms.ClassifierModel, corpus: Corpus, *, folder: str | None = None) -> dict[str, Any]:
    """The content of the `program.json` of a token classifier.

    Args:
        spec: The model.
        corpus: The corpus whose labels it predicts.
        folder: The folder of the tuned weights, relative to the file; None: their absolute path is recorded.
    """
    use = "adapter" if spec.adapter else "path"
    place = getattr(spec, use)
    weights = {"model": spec.name, "use": use, "folder": folder or (str(Path(place).expanduser().resolve()) if place else None)}
    if spec.adapter and spec.path:
        weights["base"] = str(Path(spec.path).expanduser().resolve())
    labels = sorted(label.name for label in corpus.labels)
    origin = trained_on(spec) or (origin_of(corpus) if folder else UNKNOWN)
    return {"clinspan": VERSION, "labels": labels, "cut": corpus.cut, "origin": origin.model_dump(), CLASSIFIER: weights}


def trained_on(spec: lms.LocalModel | lms.ClassifierModel) -> Origin | None:
    """The origin of a local model's weights, from the note beside them.

    None if there is no note, because the weights were not trained here; `UNKNOWN` if the note cannot be read.
    """
    place = spec.adapter or spec.path
    note = Path(place).expanduser() / NOTE if place else None
    if note is None or not note.is_file():
        return None
    try:
        content = parse_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return UNKNOWN
    return read_origin(content) if isinstance(content, dict) else UNKNOWN


def with_saved(record: Run, content: Mapping[str, Any]) -> Run:
    """The record of a run with the settings of its program, which a compilation may have changed. Several taggers change nothing.

    Args:
        record: The record.
        content: The content of `program.json`.
    """
    settings = content.get("settings")
    if not isinstance(settings, Mapping):
        return record
    choices, config = dict(record.choices), dict(record.config)
    for group in (*GROUPS, RETRIEVER):
        if isinstance(settings.get(group), Mapping):
            keys = dict(settings[group])
            choice = str(keys.pop("choice", ""))
            config[group] = {**(config.get(group) or {} if choices.get(group) == choice else {}), **keys}
            choices |= {group: choice} if choice else {}
    config |= {key: settings[key] for key in PLAIN if key in settings}
    return record.model_copy(update={"choices": choices, "config": config})


def compiled_by(record: Mapping[str, Any]) -> str | None:
    """The optimizer that made the program of a run, by the content of its `run.json`; None if no optimizer is known."""
    for key, name in (("optimizer", "name"), ("program", "by")):
        if isinstance(record.get(key), Mapping) and isinstance(by := record[key].get(name), str):
            return printable(by)[:40]
    return None


def member_states(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of a program's taggers: one, or the members of an ensemble that vote."""
    members = content.get("members", [content])
    return list(members) if isinstance(members, list) else []


def trained_weights(spec: lms.LocalModel, *, folder: str, revision: str | None) -> dict[str, Any]:
    """The `adapter` entry in a program's settings: the weights that were trained for the program.

    Args:
        spec: The trained model.
        folder: The folder of the weights, relative to the program.
        revision: The revision of the model with these weights.
    """
    return {"folder": folder, "model": spec.name, "id": revision, "use": "adapter" if spec.adapter else "path"}


def fingerprint(content: Any) -> str:
    """A hash of the content as JSON: twelve hexadecimal digits.

    >>> fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:12]
