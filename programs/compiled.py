"""A program on disk: what it says to the model, and the settings without which it would not be that program.

`program.json` is DSPy's own state of the `Tagger` (instructions and demonstrations) with `settings` beside it: the format,
strategy, alignment and presentation of labels that it was made with. A program of several taggers has `members`, each of
that shape. No code is stored in it, and none is run when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora import Corpus, InputError
from programs.tagger import Ensemble, Tagger

VERSION = 1
GROUPS = ("format", "strategy")
PLAIN = ("alignment", "label_order", "label_wording")
_REMEDY = "Give a program.json that programs.optimize or programs.run wrote, or the folder it is in."


def settings_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """The part of a config that belongs to a program: of each group its option and keys, and the plain keys."""
    found: dict[str, Any] = {}
    for group in GROUPS:
        keys = {key: value for key, value in config[group].items() if key != "_target_"}
        found[group] = {"choice": choices.get(group, ""), **keys}
    return found | {key: config[key] for key in PLAIN}


def dump_program(tagger: Tagger | Ensemble, corpus: Corpus) -> dict[str, Any]:
    """The content of a `program.json`; the labels are in it, since tags have no meaning without them."""
    labels = sorted(label.name for label in corpus.labels)
    return {"clinspan": VERSION, "labels": labels, **tagger.dump_state()}


def read_program(path: Path) -> dict[str, Any]:
    """The content of a `program.json`, or of that in a folder.

    Raises:
        InputError: It is missing or no program.
    """
    file = path / "program.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({type(error).__name__})", path=file, remedy=_REMEDY) from None
    states = member_states(content) if isinstance(content, dict) else []
    labelled = isinstance(content, dict) and isinstance(content.get("labels"), list)
    if not states or not labelled or content.get("clinspan") != VERSION or not all(map(_is_tagger, states)):
        raise InputError("is no program of this version", path=file, remedy=_REMEDY)
    return dict(content)


def member_states(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of the taggers that a program has: one, or several that vote."""
    members = content.get("members", [content])
    return list(members) if isinstance(members, list) else []


def adapter_folder(path: Path, settings: Mapping[str, Any]) -> Path:
    """Where the adapter of a program is: beside it, or beside the candidates that it is one of.

    Raises:
        InputError: It is not there.
    """
    folder, name = path if path.is_dir() else path.parent, str(settings["adapter"]["folder"])
    found = next((place / name for place in (folder, folder.parent.parent) if (place / name).is_dir()), None)
    if found is None:
        raise InputError(f"has no adapter {name} beside it", path=path, remedy="Keep the program in the folder it was compiled in.")
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


def _is_tagger(state: Any) -> bool:
    tag = state.get("tag") if isinstance(state, dict) else None
    known = isinstance(tag, dict) and isinstance(tag.get("demos"), list) and isinstance(tag.get("signature"), dict)
    settings = state.get("settings") if isinstance(state, dict) else None
    if not known or not isinstance(settings, dict) or not {*GROUPS, *PLAIN} <= settings.keys():
        return False
    return all(isinstance(settings[group], dict) and isinstance(settings[group].get("choice"), str) for group in GROUPS)


def fingerprint(content: Any) -> str:
    """Twelve digits that tell contents apart.

    >>> fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:12]


def plain_demos(demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Demonstrations as programs keep them, whatever an optimizer has added."""
    return [{key: demo[key] for key in ("id", "tokens", "tags") if key in demo} for demo in demos]
