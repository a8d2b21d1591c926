"""A program on disk: what it says to the model, and the settings without which it would not be that program.

`program.json` is DSPy's own state of the `Tagger` (instructions and demonstrations) with `settings` beside it: the format,
strategy, alignment and presentation of labels that it was made with, and the retriever if it asks one. A program of several
taggers has `members`, each of that shape. No code is stored in it, and none is run when it is loaded. Of a model that
classifies tokens, which has no prompt, it says under `classifier` where the weights are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lms
from corpora import Corpus, InputError
from corpora.json_text import parse_json
from programs.shapes import is_demonstrations, is_signature
from programs.tagger import Ensemble, Tagger

VERSION = 1
CLASSIFIER = "classifier"
GROUPS = ("format", "strategy")
RETRIEVER = "retriever"
PLAIN = ("alignment", "label_order", "label_wording")
_OF_THE_PLACE = ("url",)
_REMEDY = "Give a program.json that programs.optimize or programs.run wrote, or the folder it is in."


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
    kept = {key: value for key, value in keys.items() if not key.startswith("_") and key not in _OF_THE_PLACE}
    return {key: _without_code(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def dump_program(tagger: Tagger | Ensemble, corpus: Corpus) -> dict[str, Any]:
    """The content of a `program.json`; the labels are in it, since tags have no meaning without them."""
    labels = sorted(label.name for label in corpus.labels)
    return {"clinspan": VERSION, "labels": labels, **tagger.dump_state()}


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
    return {"clinspan": VERSION, "labels": sorted(label.name for label in corpus.labels), CLASSIFIER: about}


def read_program(path: Path) -> dict[str, Any]:
    """The content of a `program.json`, or of that in a folder.

    Raises:
        InputError: It is missing or no program.
    """
    file = path / "program.json" if path.is_dir() else path
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({type(error).__name__})", path=file, remedy=_REMEDY) from None
    if isinstance(content, dict) and _is_classifier(content):
        return content
    states = member_states(content) if isinstance(content, dict) else []
    labelled = isinstance(content, dict) and _names(content.get("labels"))
    if not states or not labelled or content.get("clinspan") != VERSION or not all(map(_is_tagger, states)):
        raise InputError("is no program of this version", path=file, remedy=_REMEDY)
    return dict(content)


def member_states(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of the taggers that a program has: one, or several that vote."""
    members = content.get("members", [content])
    return list(members) if isinstance(members, list) else []


def classifier_model(path: Path, content: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """What a classifier's program says of its model: the name, and the keys that lead to its weights.

    Raises:
        InputError: They are not there.
    """
    about = content[CLASSIFIER]
    keys = {"path": str(about["base"])} if "base" in about else {}
    if about["folder"] is not None:
        keys[str(about["use"])] = str(adapter_folder(path, {"adapter": about}))
    return str(about["model"]), keys


def trained_weights(spec: lms.LocalModel, *, folder: str, revision: str | None) -> dict[str, Any]:
    """What a program's settings say, under `adapter`, of the weights that were trained for it.

    Args:
        spec: The trained model.
        folder: Where they are, from where the program is.
        revision: The model's, with them.
    """
    return {"folder": folder, "model": spec.name, "id": revision, "use": "adapter" if spec.adapter else "path"}


def adapter_folder(path: Path, settings: Mapping[str, Any]) -> Path:
    """Where the weights of a program are: beside it, or beside the candidates that it is one of.

    Raises:
        InputError: It is not there.
    """
    folder, name = path if path.is_dir() else path.parent, str(settings["adapter"]["folder"])
    found = next((place / name for place in (folder, folder.parent.parent) if (place / name).is_dir()), None)
    if found is None:
        raise InputError(f"has no weights {name} beside it", path=path, remedy="Keep the program in the folder it was compiled in.")
    return found.resolve()


def check_labels(content: Mapping[str, Any], corpus: Corpus) -> None:
    """Refuse a program that was made for other labels.

    Raises:
        InputError: Names both sides' labels.
    """
    names = sorted(label.name for label in corpus.labels)
    if content["labels"] != names:
        problem = f"the program is made for the labels {', '.join(content['labels'])}; {corpus.name} has {', '.join(names)}"
        raise InputError(problem, remedy="Compile one for this corpus with programs.optimize.")


def _is_classifier(content: Mapping[str, Any]) -> bool:
    about = content.get(CLASSIFIER)
    if not isinstance(about, dict) or not _names(content.get("labels")) or content.get("clinspan") != VERSION:
        return False
    return isinstance(about.get("model"), str) and about.get("use") in ("path", "adapter") and "folder" in about


def _names(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _is_tagger(state: Any) -> bool:
    tag = state.get("tag") if isinstance(state, dict) else None
    known = isinstance(tag, dict) and is_signature(tag.get("signature")) and is_demonstrations(tag.get("demos"))
    settings = state.get("settings") if isinstance(state, dict) else None
    if not known or not isinstance(settings, dict) or not {*GROUPS, *PLAIN} <= settings.keys():
        return False
    groups = [settings[group] for group in (*GROUPS, RETRIEVER) if group in settings]
    return all(isinstance(keys, dict) and isinstance(keys.get("choice"), str) and _without_code(keys) == keys for keys in groups)


def fingerprint(content: Any) -> str:
    """Twelve digits that tell contents apart.

    >>> fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:12]


def plain_demos(demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Demonstrations as programs keep them, whatever an optimizer has added."""
    return [{key: demo[key] for key in ("id", "tokens", "tags") if key in demo} for demo in demos]
