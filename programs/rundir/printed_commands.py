"""The commands that messages print. Each works as it is printed, in the folder where it is printed."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from clinspan.corpora import InputError
from clinspan.programs.rundir.run_folder import read_object
from clinspan.programs.rundir.run_list import command_of

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_PLACES = ("--config-dir=", "hydra.searchpath=")
"""The words of a command line that name folders with configs of the user's own."""
_SCORING = ("corpus", "model", "metric", "constrained", "draft", "allow_remote", "allow_http")
"""The settings of a compilation or a training that a run with its program needs too; the program brings all others."""
_EMBEDDER = ("path", "package", "hub_id", "revision")
_SOURCES = ("retriever.url", "retriever.knowledge", *(f"retriever.embedder.{key}" for key in _EMBEDDER))
"""The settings of a retriever that a program does not bring, because they name places."""


class _Typed:
    """The words that the user gave to the command of this process; None in a process that a user did not start."""

    words: ClassVar[list[str] | None] = None


def remember(words: Sequence[str]) -> None:
    """Note the words that the user gave, for `same_command`."""
    _Typed.words = list(words)


def same_command(name: str, key: str, value: object, **others: object) -> str:
    """The command of this process again, with settings added or replaced; in words, if a worker does not know it."""
    if _Typed.words is None:
        return "the same command"
    settings = {key: value, **others}
    kept = (word for word in _Typed.words if word.partition("=")[0] not in settings)
    return shlex.join([*_start(name), *kept, *(setting(*item) for item in settings.items())])


def command(name: str, *words: str) -> str:
    """A command line for a shell, started in the same way as this process.

    Args:
        name: The command, such as `run`.
        words: Its words, unquoted.

    >>> command("run", "program=my runs/1", "limit=2")
    "clinspan run 'program=my runs/1' limit=2"
    """
    given = [word for word in sys.argv[1:] if word.startswith(_PLACES) and word not in words]
    return shlex.join([*_start(name), *given, *words])


def _start(name: str) -> list[str]:
    """The words that start a command: a module of Python if this process runs one, otherwise `clinspan`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    package = str(getattr(spec, "name", "")).rpartition(".")[0]
    began = sys.orig_argv[1:]
    module = began[began.index("-m") + 1] if "-m" in began[:-1] else ""
    if package == "programs" or (package == "clinspan.programs" and module.startswith("clinspan.programs.")):
        return [sys.orig_argv[0], "-m", f"{package}.{name}"]
    if module == "clinspan":
        return [sys.orig_argv[0], "-m", "clinspan", name]
    script = began[0] if began and Path(began[0]).name == "clinspan" else "clinspan"
    return ["clinspan" if shutil.which("clinspan") == script else script, name]


def setting(key: str, value: object) -> str:
    """A setting as an override that Hydra reads as the same value.

    >>> setting("limit", None), setting("corpus.path", "my notes"), setting("corpus.map", {"Sign": None, "A": ["b", 1.5]})
    ('limit=null', 'corpus.path="my notes"', 'corpus.map={Sign:null,A:[b,1.5]}')
    >>> setting("name", "12"), setting("corpus.path", r'a"b\\c')
    ('name="12"', 'corpus.path="a\\\\"b\\\\c"')
    """
    return f"{key}={_literal(value)}"


def _literal(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(str(key))}:{_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_literal, value)) + "]"
    text = str(value)
    return text if _PLAIN.fullmatch(text) and not _reads_otherwise(text) else _quoted(text)


def _key(text: str) -> str:
    """A key of a mapping, for which Hydra has no quotation marks."""
    return re.sub(r"([\\()\[\]{}:=, \t'\"])", r"\\\1", text)


def _quoted(text: str) -> str:
    """A text in quotation marks; Hydra takes a backslash there literally, unless it stands before a quotation mark."""
    return '"' + re.sub(r'(\\*)("|$)', lambda match: 2 * match[1] + ('\\"' if match[2] else ""), text) + '"'


def _reads_otherwise(text: str) -> bool:
    """Whether Hydra reads a text without quotation marks as a number, a truth value or nothing."""
    try:
        return not math.isnan(float(text.replace("_", ""))) or text.lower() == "nan"
    except ValueError:
        return text.lower() in ("null", "true", "false")


def shown_path(path: Path) -> str:
    """A path, relative to the current folder if it is below it.

    >>> shown_path(Path.cwd() / "runs" / "a"), shown_path(Path("runs/b"))
    ('runs/a', 'runs/b')
    """
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)


def resume_command(path: Path) -> str:
    """The command that continues the run of a folder; `run` if its record cannot be read."""
    try:
        record = read_object(path / "run.json")
    except InputError:
        record = {}
    return command(command_of(path, record) or "run", setting("resume", shown_path(path)))


def given_settings(record: Mapping[str, Any], parts: Collection[str]) -> list[str]:
    """The settings that the user of a run gave, as overrides: groups first.

    Args:
        record: The run's record.
        parts: The groups and keys that are wanted; a group stands for all its keys.
    """
    keys = [key for key in record.get("given") or () if key in parts or key.partition(".")[0] in parts]
    choices, config = record.get("choices") or {}, record.get("config") or {}
    groups = [setting(key, choices[key]) for key in keys if key in choices]
    values = [(key, _at(config, key)) for key in sorted(keys) if key not in choices]
    return groups + [setting(key, value) for key, value in values if value is not _ABSENT]


_ABSENT = object()


def _at(config: Any, key: str) -> Any:
    """The value of a dotted key; `_ABSENT` if there is none."""
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return _ABSENT
        config = config[part]
    return config


def corpus_words(program: Path) -> str:
    """The settings of the corpus that a program was made for, by the record beside it; empty if there is none."""
    try:
        record = read_object((program if program.is_dir() else program.parent) / "run.json")
    except InputError:
        return ""
    option = (record.get("choices") or {}).get("corpus")
    words = given_settings(record, ["corpus"])
    if option and "corpus" not in (record.get("given") or ()):
        words.insert(0, setting("corpus", option))
    return shlex.join(words)


def scoring_command(record: Mapping[str, Any], folder: Path, weights: Mapping[str, Path], *, classifier: bool = False) -> str:
    """The command that scores the program of a compilation or a training on the test split of its corpus.

    Args:
        record: The record of the compilation or training.
        folder: Its folder.
        weights: The folder of weights that were trained for the program, by its key (`model.path` or `model.adapter`). The program
            brings them if it knows the name of their model, and they are in its folder or below `runs/`.
        classifier: Whether the program is a token classifier, which brings its model too.
    """
    words = [word for word in given_settings(record, [*_SCORING, *_SOURCES]) if word.partition("=")[0] not in weights]
    if classifier and not any(word.startswith("model.") for word in words):
        words = [word for word in words if not word.startswith("model=")]
    trained = (record.get("model") or {}).get("name")
    named = _at(record.get("config") or {}, "model.name") in (trained, _ABSENT)
    places = folder.resolve(), Path("runs").resolve()
    brought = [
        setting(key, shown_path(path)) for key, path in weights.items() if not _brought(path, places, named=named or classifier)
    ]
    return command("run", setting("program", shown_path(folder)), *words, *brought)


def _brought(weights: Path, folders: Sequence[Path], *, named: bool) -> bool:
    """Whether a program brings its weights: it names their model, and they are in one of the folders that need no permission."""
    return named and any(weights.resolve().is_relative_to(folder) for folder in folders)
