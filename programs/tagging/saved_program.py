"""The content of `program.json`: settings, demonstrations, provenance and weights of a program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan import lms
from clinspan.corpora import Corpus
from clinspan.corpora.json_text import parse_json
from clinspan.lms.weights.lora import NOTE
from clinspan.programs.rundir.origin import merged, Origin, origin_of, read_origin, UNKNOWN
from clinspan.programs.tagging.tagger import DEMONSTRATION_KEYS, Ensemble, Tagger

VERSION = 1


CLASSIFIER = "classifier"


GROUPS = ("format", "strategy")


RETRIEVER = "retriever"


PLAIN = ("alignment", "label_order", "label_wording")


PLACE_SETTINGS = ("url",)


def settings_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """The part of a config that belongs to a program: of each group its option and keys, and the plain keys.

    The retriever is one of the groups where the strategy looks something up; a server that it may use is not in it, since
    that belongs to a place and not to a program.
    """
    found: dict[str, Any] = {}
    strategy = config["strategy"]
    asks = strategy.get("demonstrations") == "nearest" or strategy.get("context") == "retrieved"
    for group in (*GROUPS, RETRIEVER) if asks else GROUPS:
        found[group] = {"choice": choices.get(group, ""), **_without_code(config[group])}
    return found | {key: config[key] for key in PLAIN}


def _without_code(keys: Mapping[str, Any]) -> dict[str, Any]:
    """
    >>> _without_code({"_target_": "os.system", "url": "http://x", "k": 5, "embedder": {"_target_": "x", "name": "minilm"}})
    {'k': 5, 'embedder': {'name': 'minilm'}}
    """
    kept = {key: value for key, value in keys.items() if not key.startswith("_") and key not in PLACE_SETTINGS}
    return {key: _without_code(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def dump_program(tagger: Tagger | Ensemble, corpus: Corpus, *, learned: bool = False) -> dict[str, Any]:
    """The content of a `program.json`; the labels are in it, since tags have no meaning without them.

    Args:
        tagger: The program.
        corpus: The corpus at hand.
        learned: Whether a loaded program was changed with this corpus, so that its instructions may quote it.
    """
    labels = sorted(label.name for label in corpus.labels)
    members = tagger.members if isinstance(tagger, Ensemble) else [tagger]
    origin = merged(_origin(member, corpus, learned) for member in members)
    return {"clinspan": VERSION, "labels": labels, "origin": origin.model_dump(), **tagger.dump_state()}


def _origin(tagger: Tagger, corpus: Corpus, learned: bool) -> Origin:
    demos = list(tagger.tag.demos)
    here = origin_of(corpus, demos)
    if tagger.origin is None:
        return here
    strange = not set(here.documents) <= set(tagger.origin.documents)
    return merged([tagger.origin, here]) if learned or strange else tagger.origin


def dump_classifier(spec: lms.ClassifierModel, corpus: Corpus, *, folder: str | None = None) -> dict[str, Any]:
    """The content of the `program.json` of a model that classifies tokens.

    Args:
        spec: The model.
        corpus: Whose labels it knows.
        folder: Where what was tuned is, if that is said from where the file is; None: by its whole path.
    """
    use = "adapter" if spec.adapter else "path"
    place = getattr(spec, use)
    about = {"model": spec.name, "use": use, "folder": folder or (str(Path(place).expanduser().resolve()) if place else None)}
    if spec.adapter and spec.path:
        about["base"] = str(Path(spec.path).expanduser().resolve())
    labels = sorted(label.name for label in corpus.labels)
    origin = trained_on(spec) or (origin_of(corpus) if folder else UNKNOWN)
    return {"clinspan": VERSION, "labels": labels, "origin": origin.model_dump(), CLASSIFIER: about}


def trained_on(spec: lms.LocalModel | lms.ClassifierModel) -> Origin | None:
    """What a local model's own weights were trained on, by the note beside them; None if they were not trained here."""
    place = spec.adapter or spec.path
    note = Path(place).expanduser() / NOTE if place else None
    if note is None or not note.is_file():
        return None
    try:
        content = parse_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return UNKNOWN
    return read_origin(content) if isinstance(content, dict) else UNKNOWN


def member_states(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of the taggers that a program has: one, or several that vote."""
    members = content.get("members", [content])
    return list(members) if isinstance(members, list) else []


def trained_weights(spec: lms.LocalModel, *, folder: str, revision: str | None) -> dict[str, Any]:
    """What a program's settings say, under `adapter`, of the weights that were trained for it.

    Args:
        spec: The trained model.
        folder: Where they are, from where the program is.
        revision: The model's, with them.
    """
    return {"folder": folder, "model": spec.name, "id": revision, "use": "adapter" if spec.adapter else "path"}


def fingerprint(content: Any) -> str:
    """Twelve digits that tell contents apart.

    >>> fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:12]


def plain_demos(demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Demonstrations as programs keep them, whatever an optimizer has added."""
    return [{key: demo[key] for key in DEMONSTRATION_KEYS if key in demo} for demo in demos]
