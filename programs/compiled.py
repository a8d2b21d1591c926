"""A program on disk: what it says to the model, and the settings without which it would not be that program.

`program.json` is DSPy's own state of the `Tagger` (instructions and demonstrations) with `settings` beside it: the format,
strategy, alignment and presentation of labels that it was made with, and the retriever if it asks one. A program of several
taggers has `members`, each of that shape. No code is stored in it, and none is run when it is loaded: see
`programs.saved_data`. Of a model that classifies tokens, which has no prompt, it says under `classifier` where the weights are.
`origin` says which corpora its demonstrations and its weights come from, and whether those may hold protected health
information.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import lms
from corpora import Corpus, InputError
from corpora.json_text import parse_json
from lms.adapters import NOTE
from programs.composing import group_option
from programs.origin import merged, Origin, origin_of, read_origin, UNKNOWN
from programs.saved_data import checked_option, inside, refuse_code
from programs.shapes import is_demonstrations, is_signature
from programs.tagger import Ensemble, Tagger

VERSION = 1
CLASSIFIER = "classifier"
GROUPS = ("format", "strategy")
RETRIEVER = "retriever"
PLAIN = ("alignment", "label_order", "label_wording")
_OF_THE_PLACE = ("url",)
_SOURCES = ("path", "package", "hub_id", "revision")
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
    for state in states:
        _check_settings(state["settings"], file)
    return dict(content)


def _check_settings(settings: Mapping[str, Any], file: Path) -> None:
    """
    Raises:
        InputError: A setting is not one of the option that it belongs to.
    """
    known = {*GROUPS, RETRIEVER, *PLAIN, "adapter"}
    refuse_code(settings, path=file)
    for key, value in settings.items():
        if key not in known:
            raise InputError(f"{key!a} is no setting of a program", path=file, remedy=_REMEDY)
        if key in (*GROUPS, RETRIEVER):
            own = {name: part for name, part in value.items() if name != "choice"}
            if stray := sorted(set(own) & set(_OF_THE_PLACE)):
                raise InputError(f"{key}.{stray[0]} is set, and a program names no server", path=file, remedy=_REMEDY)
            checked_option(group_option(key, value["choice"]), own, path=file, key=key)
        elif key in PLAIN and not isinstance(value, str):
            raise InputError(f"{key} is no text", path=file, remedy=_REMEDY)
    if "adapter" in settings:
        _check_weights(settings["adapter"], file)


def _check_weights(about: Any, file: Path) -> None:
    keys = {"folder", "model", "id", "use"}
    if not isinstance(about, dict) or set(about) != keys or about["use"] not in ("path", "adapter"):
        raise InputError("says nothing of its weights that can be understood", path=file, remedy=_REMEDY)
    inside(file.parent, about["folder"], path=file, key="adapter.folder")


def member_states(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of the taggers that a program has: one, or several that vote."""
    members = content.get("members", [content])
    return list(members) if isinstance(members, list) else []


def classifier_model(path: Path, content: Mapping[str, Any], allowed: Mapping[str, str | None]) -> tuple[str, dict[str, str]]:
    """What a classifier's program says of its model: the name, and the keys that lead to its weights.

    Args:
        path: The program.
        content: Its content.
        allowed: `path` and `adapter` of the model as the user has set them: weights outside the program's folder are loaded only
            from where the user names too.

    Raises:
        InputError: They are not there, or outside the program's folder and not named by the user.
    """
    about = content[CLASSIFIER]
    keys = {"path": _named_weights(path, str(about["base"]), "path", allowed)} if "base" in about else {}
    if about["folder"] is not None:
        use, folder = str(about["use"]), str(about["folder"])
        outside = Path(folder).is_absolute()
        keys[use] = _named_weights(path, folder, use, allowed) if outside else str(adapter_folder(path, {"adapter": about}))
    return str(about["model"]), keys


def _named_weights(program: Path, place: str, use: str, allowed: Mapping[str, str | None]) -> str:
    """Weights outside the program's folder, if the user has named them.

    Raises:
        InputError: The user has not.
    """
    file = program / "program.json" if program.is_dir() else program
    own = allowed.get(use)
    if own is None and not Path(place).resolve().is_relative_to(Path("runs").resolve()):
        remedy = f"If you trust them, say so: model.{use}={place}"
        raise InputError(f"names weights outside of its folder, {place}", path=file, remedy=remedy)
    return own or place


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
        InputError: They are not there, or the program names a place outside of its folder.
    """
    folder, name = path if path.is_dir() else path.parent, str(settings["adapter"]["folder"])
    for place in (folder, folder.parent.parent):
        found = inside(place, name, path=path, key="adapter.folder")
        if found.is_dir():
            return found.resolve()
    raise InputError(f"has no weights {name} beside it", path=path, remedy="Keep the program in the folder it was compiled in.")


def check_sources(path: Path, settings: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse an embedder or a knowledge base that a program names and neither its option nor the user does.

    Args:
        path: The program.
        settings: Its settings.
        given: Keys that the user has set.

    Raises:
        InputError: Names the setting and how to allow it.
    """
    retriever = settings.get(RETRIEVER)
    if retriever is None or RETRIEVER in given:
        return
    option = group_option(RETRIEVER, retriever["choice"])
    wanted = {f"embedder.{key}": value for key, value in (retriever.get("embedder") or {}).items() if key in _SOURCES}
    wanted["knowledge"] = retriever.get("knowledge", option.knowledge)
    for name, value in wanted.items():
        public = name == "knowledge" and value in ("bundled", "hpo")
        key = f"{RETRIEVER}.{name}"
        if not public and value != OmegaConf.select(option, name) and key not in given:
            remedy = f"If you trust that place, say so: {key}={value}"
            raise InputError(f"names {key}={value}, which is not the option's own", path=path, remedy=remedy)


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
    return all(isinstance(keys, dict) and isinstance(keys.get("choice"), str) for keys in groups)


def fingerprint(content: Any) -> str:
    """Twelve digits that tell contents apart.

    >>> fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:12]


def plain_demos(demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Demonstrations as programs keep them, whatever an optimizer has added."""
    return [{key: demo[key] for key in ("id", "tokens", "tags") if key in demo} for demo in demos]
