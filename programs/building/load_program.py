"""Loads a saved program. Its settings are data and are checked against the options that they belong to.

`program.json` holds DSPy's state of the `Tagger` (instructions and demonstrations) and `settings`: the format, strategy,
alignment and presentation of labels that the program was made with, and the retriever if it uses one. A program of several
taggers has `members`, each of that shape. The program of a token classifier has no prompt; `classifier` says where the weights
are. `origin` names the corpora that demonstrations and weights come from, and says whether these may hold protected health
information. The file stores no code, and loading it runs none: see `programs.config.saved_data`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.build import Cutting
from clinspan.corpora.fitted_tokens import Rules
from clinspan.corpora.json_text import parse_json
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.programs.config.composition import folder_path, group_option
from clinspan.programs.config.saved_data import checked_option, inside, refuse_code
from clinspan.programs.rundir.origin import read_origin
from clinspan.programs.rundir.printed_commands import corpus_words
from clinspan.programs.rundir.records import TagState
from clinspan.programs.rundir.run_folder import read_object
from clinspan.programs.tagging.calibrated import CONFIDENCE
from clinspan.programs.tagging.saved_program import (
    CLASSIFIER,
    compiled_by,
    GIVEN_SETTINGS,
    GROUPS,
    member_states,
    PLACE_SETTINGS,
    PLAIN,
    RETRIEVER,
    VERSION,
)

BUNDLED = Path(__file__).parents[1] / "bundled" / "smollm2_raremini.json"
"""What `program=bundled` names, for the default corpus and model; docs/phrase-decisions.md has the command that made it."""
_RETRIEVER = "clinspan.retrievers.Retriever"
_SOURCES = ("path", "package", "hub_id", "revision")
_REMEDY = "Give a program.json that programs.optimize or programs.run wrote, or the folder it is in."


def program_path(value: object) -> Path:
    """The path of a `program=` setting; `bundled` is the program that ships with clinspan."""
    return BUNDLED if str(value) == "bundled" and not Path("bundled").exists() else folder_path(value)


def read_program(path: Path) -> dict[str, Any]:
    """The content of a `program.json`, which is named itself or by its folder.

    Raises:
        InputError: The file is missing or is not a program.
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
        raise InputError("is not a program of this version", path=file, remedy=_REMEDY)
    if content.get(CONFIDENCE) is not None and ConfidenceMap.saved(content[CONFIDENCE]) is None:
        raise InputError(f"{CONFIDENCE} is not a map of confidences", path=file, remedy=_REMEDY)
    for state in states:
        _check_settings(state["settings"], file)
        strategy, shown = state["settings"]["strategy"], len(state["tag"].get("demos") or ())
        if strategy.get("demonstrations") == "nearest" and shown != (shared := strategy.get("shared", 0)):
            problem = f"has {shown} fixed demonstrations, and strategy.shared={shared}"
            raise InputError(problem, path=file, remedy=_REMEDY)
    return dict(content)


def program_cut(content: Mapping[str, Any], path: Path) -> Cutting | None:
    """The rules that cut the texts a program was made with; None if it names none, as its corpus had tokens of its own.

    Raises:
        InputError: They are not rules of this version.
    """
    cut = content.get("cut")
    if cut is None:
        return None
    names = cut if isinstance(cut, dict) and cut.keys() <= {"tokenizer", "sentences", "rules"} else {}
    try:
        rules = Rules.of(names["rules"]) if "rules" in names else None
        return Cutting(str(names["tokenizer"]), str(names["sentences"]), rules)
    except (KeyError, InputError):
        raise InputError("cut does not name a tokenizer and a rule of sentences", path=path, remedy=_REMEDY) from None


def _check_settings(settings: Mapping[str, Any], file: Path) -> None:
    """Check the settings of a saved tagger.

    Raises:
        InputError: A setting is unknown, or is not valid for the option that it belongs to.
    """
    known = {*GROUPS, RETRIEVER, *PLAIN, "adapter"}
    refuse_code(settings, path=file)
    for key, value in settings.items():
        if key not in known:
            raise InputError(f"{key!a} is not a setting of a program", path=file, remedy=_REMEDY)
        if key in (*GROUPS, RETRIEVER):
            own = {name: part for name, part in value.items() if name != "choice"}
            if stray := sorted(set(own) & set(PLACE_SETTINGS)):
                raise InputError(f"{key}.{stray[0]} is set, and a program names no server", path=file, remedy=_REMEDY)
            if key == "strategy" and (stray := sorted(set(own) & set(GIVEN_SETTINGS))):
                problem = f"{key}.{stray[0]} is set, and a program has its demonstrations itself"
                raise InputError(problem, path=file, remedy=_REMEDY)
            checked_option(group_option(key, value["choice"]), own, path=file, key=key)
        elif key in PLAIN and not isinstance(value, str):
            raise InputError(f"{key} is not text", path=file, remedy=_REMEDY)
    if "adapter" in settings:
        _check_weights(settings["adapter"], file)


def _check_weights(about: Any, file: Path) -> None:
    keys = {"folder", "model", "id", "use"}
    if not isinstance(about, dict) or set(about) != keys or about["use"] not in ("path", "adapter"):
        raise InputError("has an invalid `adapter` setting", path=file, remedy=_REMEDY)
    if not Path(str(about["folder"])).is_absolute():  # otherwise `adapter_folder` asks whether the user trusts the place
        inside(file.parent, about["folder"], path=file, key="adapter.folder")


def classifier_model(path: Path, content: Mapping[str, Any], allowed: Mapping[str, str | None]) -> tuple[str, dict[str, str]]:
    """The model name in a classifier's program, and the `model` keys that locate its weights.

    Args:
        path: The program.
        content: Its content.
        allowed: The `path` and `adapter` of the model that the user has set. See `_named_weights` for weights outside the
            program's folder.

    Raises:
        InputError: The weights are missing, or are outside the program's folder and not named by the user.
    """
    about = content[CLASSIFIER]
    keys = {"path": _named_weights(path, str(about["base"]), "path", allowed)} if "base" in about else {}
    if about["folder"] is not None:
        keys[str(about["use"])] = str(adapter_folder(path, {"adapter": about}, allowed))
    return str(about["model"]), keys


def _named_weights(program: Path, place: str, use: str, allowed: Mapping[str, str | None]) -> str:
    """The place of weights outside the program's folder: the one that the user has set, otherwise `place` if it is below `runs/`.

    Raises:
        InputError: The user has set none, and `place` is not below `runs/`.
    """
    file = program / "program.json" if program.is_dir() else program
    own = allowed.get(use)
    if own is None and not Path(place).resolve().is_relative_to(Path("runs").resolve()):
        remedy = f"If you trust them, set model.{use}={place}"
        raise InputError(f"names weights outside of its folder, {place}", path=file, remedy=remedy)
    return own or place


def adapter_folder(path: Path, settings: Mapping[str, Any], allowed: Mapping[str, str | None]) -> Path:
    """The folder of a program's weights: beside the program or, for a candidate, beside the folder of candidates.

    A program that was made with the weights of another one names their folder from the root; see `_named_weights`.

    Args:
        path: The program.
        settings: Its settings.
        allowed: The `path` and `adapter` of the model that the user has set.

    Raises:
        InputError: The weights are missing, or the program names a place outside of its folder that the user has not named.
    """
    folder, name = path if path.is_dir() else path.parent, str(settings["adapter"]["folder"])
    if Path(name).is_absolute():
        return Path(_named_weights(path, name, str(settings["adapter"]["use"]), allowed))
    for place in (folder, folder.parent.parent):
        weights = inside(place, name, path=path, key="adapter.folder")
        if weights.is_dir():
            return weights.resolve()
    raise InputError(
        f"its weights folder {name} is missing", path=path, remedy="Keep the program in the folder it was compiled in."
    )


def check_sources(path: Path, settings: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse an embedder or a knowledge base that only the program names, not its option or the user.

    Of a retriever class of the user's own, every setting counts as such a name.

    Args:
        path: The program.
        settings: Its settings.
        given: Keys that the user has set.

    Raises:
        InputError: There is one; the message names the setting and how to allow it.
    """
    retriever = settings.get(RETRIEVER)
    if retriever is None or RETRIEVER in given:
        return
    option = group_option(RETRIEVER, retriever["choice"])
    wanted = {f"embedder.{key}": value for key, value in (retriever.get("embedder") or {}).items() if key in _SOURCES}
    ours = option._target_ == _RETRIEVER
    if ours:
        wanted["knowledge"] = retriever.get("knowledge", option.knowledge)
    else:  # any setting of a class of the user's own may name a source
        wanted |= {key: value for key, value in retriever.items() if key not in ("choice", "embedder")}
    for name, value in wanted.items():
        public = name == "knowledge" and value in (None, "bundled", "hpo")
        key = f"{RETRIEVER}.{name}"
        if not public and value != OmegaConf.select(option, name) and key not in given:
            group = "" if ours else f"{RETRIEVER}={retriever['choice']} "
            remedy = f"If you trust that place, set {group}{key}={value}"
            raise InputError(f"names {key}={value}, which is not the option's own", path=path, remedy=remedy)


def maker(path: Path) -> dict[str, str]:
    """The optimizer that made a program as `by`, if the `run.json` beside it names one; else empty."""
    try:
        by = compiled_by(read_object((path if path.is_dir() else path.parent) / "run.json"))
    except InputError:
        return {}
    return {"by": by} if by else {}


def check_labels(content: Mapping[str, Any], corpus: Corpus, path: Path | None = None) -> None:
    """Refuse a program that was made for other labels.

    Args:
        content: The program.
        corpus: The corpus that it is used on.
        path: Where the program is, to say which settings name its own corpus.

    Raises:
        InputError: The labels differ; the message names both sets and the corpus that the program was made for.
    """
    names = sorted(label.name for label in corpus.labels)
    if content["labels"] != names:
        made = " and ".join(source.name for source in read_origin(content).corpora)
        own = f"this program was made for {f'corpus {made} with ' if made else ''}the labels {', '.join(content['labels'])}"
        words = (corpus_words(path) if path is not None else "") or "corpus=... corpus.path=..."
        remedy = f"Add the settings of its own corpus: {words}, or make a program for {corpus.name}."
        raise InputError(f"{own}; {corpus.name} has {', '.join(names)}", remedy=remedy)


def _is_classifier(content: Mapping[str, Any]) -> bool:
    about = content.get(CLASSIFIER)
    if not isinstance(about, dict) or not _names(content.get("labels")) or content.get("clinspan") != VERSION:
        return False
    return isinstance(about.get("model"), str) and about.get("use") in ("path", "adapter") and "folder" in about


def _names(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _is_tagger(state: Any) -> bool:
    known = isinstance(state, dict) and TagState.problem(state.get("tag")) is None
    settings = state.get("settings") if isinstance(state, dict) else None
    if not known or not isinstance(settings, dict) or not {*GROUPS, *PLAIN} <= settings.keys():
        return False
    groups = [settings[group] for group in (*GROUPS, RETRIEVER) if group in settings]
    return all(isinstance(keys, dict) and isinstance(keys.get("choice"), str) for keys in groups)
