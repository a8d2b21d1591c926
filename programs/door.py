"""What all doors share: Hydra with one clear message for a wrong word, files that only their owner can read."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from corpora import InputError
from hydra_plugins.clinspan_cells_sweeper.cells_sweeper import CellsSweeper
from hydra_plugins.clinspan_ray_launcher.ray_launcher import RayLauncher
from lms import ModelError
from lms.audit import audit_to
from lms.hosts import ask_directly
from programs.errors import RunError, writing
from programs.privacy import end_wordless, refuse_secret
from programs.sweeps import check_experiment, missing_part, note_failure, Sweeps

CONF = Path(__file__).resolve().parent.parent / "conf"
_USER_ERRORS = (InputError, ModelError, RunError)
_WORDY = ("chromadb", "dspy", "gepa", "httpcore", "httpx", "LiteLLM", "openai", "sentence_transformers")


def open_door(
    config_name: str, job: Callable[[DictConfig], None], *, listed: str | None = None, also: Callable[[str], bool] | None = None
) -> None:
    """Run a job under Hydra and end the process: 0, or 2 after one message that says what to do.

    A sweep ends with 2 if a job failed, the others having run; cells of an experiment preset that lack their model are no
    failures, unless all do.

    Args:
        config_name: The door's file in `conf/`, without its suffix.
        job: What the door does with its config.
        listed: The key that takes the words which are no overrides, as a list.
        also: Which of the words with `=` it takes too.
    """
    if listed:
        sys.argv[1:] = gather(sys.argv[1:], listed, also)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to here instead of printing and ending by itself
    for plugin in (CellsSweeper, RayLauncher):
        Plugins.instance().register(plugin)  # Hydra's own search does not see into editable installs
    settle()
    end_orderly()
    failed, task = False, _importable(job)

    def guarded(config: DictConfig) -> None:
        nonlocal failed
        settle()  # a launcher may have made this process
        try:
            check_experiment()
            task(config)
        except (*_USER_ERRORS, HydraException, OmegaConfBaseException) as error:
            lacking = missing_part(error, choices())
            if lacking is None:  # of a sweep the other jobs go on
                failed = True
                print(f"clinspan: {explain(error)}", file=sys.stderr)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note_failure(output_folder(), config, choices(), error, lacking)

    main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)
    try:
        check_words(config_name, sys.argv[1:])
        watch_sweeps(sys.argv)
        main()
    except (*_USER_ERRORS, HydraException, OmegaConfBaseException) as error:
        stop(explain(error))
    except OSError as error:  # Hydra makes folders before a job begins
        stop(f"cannot use {error.filename or 'a file'}: {error.strerror or type(error).__name__}")
    except KeyboardInterrupt as error:
        way = "the same output=FOLDER" if config_name == "annotate" else "resume=FOLDER"
        print(f"clinspan: interrupted; what was computed is on disk, go on with {way}", file=sys.stderr)
        end_now(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))
    if Sweeps.failed:
        stop(f"failed jobs of the sweep: {', '.join(Sweeps.failed)}")
    if Sweeps.absent and not Sweeps.ran:
        stop("none of the cells can run here; what each lacks stands above")
    if failed:
        sys.exit(2)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before it kills: the door ends as it does when its user interrupts it."""


def end_orderly() -> None:
    """Have SIGTERM raise `Terminated`, unless somebody else answers it."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def end_now(code: int) -> NoReturn:
    """End the process; Python would wait for threads whose requests are under way, for as long as a server lets them."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def watch_sweeps(words: list[str]) -> None:
    """Add the override that has `Sweeps` called, beside the others: argparse takes them only in one piece.

    >>> words = ["run", "seed=0,1", "-m"]
    >>> watch_sweeps(words)
    >>> words
    ['run', '+hydra.callbacks.sweeps._target_=programs.sweeps.Sweeps', 'seed=0,1', '-m']
    """
    place = (i for i, word in enumerate(words) if i and "=" in word and not word.startswith("-"))
    words.insert(next(place, len(words)), f"+hydra.callbacks.sweeps._target_={Sweeps.__module__}.{Sweeps.__name__}")


def _importable(job: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """The job as another process can import it: what lives in `__main__` would travel with all its globals."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if job.__module__ != "__main__" or spec is None:
        return job
    found: Callable[[DictConfig], None] = getattr(importlib.import_module(spec.name), job.__name__)
    return found


def gather(words: Sequence[str], key: str, also: Callable[[str], bool] | None = None) -> list[str]:
    """Words that are no overrides, or that `also` asks for, as one override of a list.

    >>> gather(["runs/a", "seed=1", "runs/b c"], "runs")
    ['seed=1', 'runs=["runs/a","runs/b c"]']
    """
    plain = [word for word in words if not word.startswith("-") and ("=" not in word or (also is not None and also(word)))]
    quoted = ",".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in plain)
    return [word for word in words if word not in plain] + ([f"{key}=[{quoted}]"] if plain else [])


def settle() -> None:
    """What holds in every process that does a door's work: files for their owner alone, quiet libraries."""
    os.umask(0o077)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    ask_directly()
    end_wordless()
    quieten()


def quieten() -> None:
    """Other libraries' progress bars and notices off: a door prints what its user asked for."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    os.environ.pop("OPENAI_LOG", None)  # with it openai sets up a log of its own
    for name in _WORDY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what they say of an error can hold what was asked
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints what Hydra logs of a failed job
    warnings.filterwarnings("ignore", module="seqeval")


def stop(message: str) -> None:
    """Say one thing on standard error and exit with 2."""
    print(f"clinspan: {message}", file=sys.stderr)
    sys.exit(2)


def explain(error: BaseException) -> str:
    """The first cause of an error of Hydra's that is ours, else its own words on one line."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        if isinstance(current, _USER_ERRORS):
            return str(current)
        seen.append(current)
        current = current.__cause__ or current.__context__
    text = str(seen[-1] if isinstance(seen[-1], TypeError) else error)
    refused = re.search(r"unexpected keyword argument '(\w+)'", " ".join(map(str, seen)))
    if refused:
        where = re.search(r"full_key: (\S+)", str(error))
        return f"unknown key {str(where[1]) + '.' if where else ''}{refused[1]}: see conf/ for the keys of each choice"
    if "Could not find 'hydra/launcher/" in text:
        text += ". The launchers joblib and submitit come with: pip install --editable '.[sweep]'"
    return " ".join(text.split())


def check_words(config_name: str, words: Sequence[str]) -> None:
    """Refuse an override whose key or option does not exist, and name the nearest that does.

    Raises:
        InputError: With the nearest right name, if one is near.
    """
    overrides = [word for word in words if not word.startswith("-") and "=" in word]
    for word in overrides:
        refuse_secret(word)
    stray = [word for word in words if not word.startswith("-") and "=" not in word and not word.startswith("~")]
    for i, word in enumerate(words):
        if word.startswith("-") and i + 1 < len(words) and words[i + 1] in stray:
            stray.remove(words[i + 1])  # the value of an option such as --config-dir
    if stray:
        raise InputError(f"{stray[0]!r} is no override", remedy="Overrides read key=value.")
    if any(word.startswith(("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")) for word in words):
        return  # other folders hold other names: Hydra itself checks
    groups = {path.name: sorted(file.stem for file in path.glob("*.yaml")) for path in CONF.iterdir() if path.is_dir()}
    chosen, keys = [], []
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group.lstrip("+~")
        if key not in groups:
            keys += [] if key.split(".")[0] == "hydra" or key.startswith("hydra/") else [key]
            continue
        text = str(override.input_line).partition("=")[2]
        options = [] if "(" in text else [option.strip("'\"[] ") for option in text.split(",")]  # glob(*) is Hydra's
        for option in options:
            _known(option, groups[key], f"{key}=")
        chosen += [f"{key}={options[0]}"] if options else []
    known = _keys(config_name, chosen)
    for key in keys:
        _known(key, sorted({*known, *groups}), "")


def _known(word: str, names: Sequence[str], prefix: str) -> None:
    if word in names or word == "null" or not word or word.startswith("corpus.definitions."):
        return
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    remedy = f"Did you mean {prefix}{near[0]}?" if near else f"Known: {', '.join(names)}."
    raise InputError(f"there is no {prefix}{word}", remedy=remedy)


def _keys(config_name: str, chosen: Sequence[str]) -> set[str]:
    """All keys, dotted, of the config that these choices compose, and below free-form ones whatever is set."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose(config_name, overrides=list(chosen))
    keys: set[str] = set()

    def walk(prefix: str, node: Any) -> None:
        keys.add(prefix)
        if isinstance(node, DictConfig):
            for key in node:
                walk(f"{prefix}.{key!s}" if prefix else str(key), node._get_node(key))

    walk("", composed)
    return keys


def compose(config_name: str, words: Sequence[str]) -> tuple[DictConfig, dict[str, str], frozenset[str]]:
    """A door's config outside of it, for use as a library: the config, the option of each group, what the words set.

    Args:
        config_name: The door's file in `conf/`, without its suffix.
        words: Overrides as on the command line.

    Raises:
        InputError: A word is no override, or names nothing.
    """
    check_words(config_name, words)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            composed = hydra.compose(config_name, overrides=list(words), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(error)) from None
    chosen = {key: value for key, value in composed.hydra.runtime.choices.items() if not key.startswith("hydra/") and value}
    keys = {word.key_or_group.lstrip("+~") for word in OverridesParser.create().parse_overrides(list(words))}
    with open_dict(composed):
        del composed["hydra"]
    return composed, chosen, frozenset(keys)


def build(config: Any, **more: Any) -> Any:
    """The object that a config describes by `_target_`, with plain lists and dictionaries."""
    return hydra.utils.instantiate(config, _convert_="all", _partial_=True)(**more)


def output_folder() -> Path:
    """The folder that Hydra chose for this job."""
    return Path(HydraConfig.get().runtime.output_dir)


def choices() -> dict[str, str]:
    """Which option of each group was chosen; empty outside a door."""
    if not HydraConfig.initialized():
        return {}
    return {key: value for key, value in HydraConfig.get().runtime.choices.items() if not key.startswith("hydra/") and value}


def given() -> set[str]:
    """The keys and groups that the user has set."""
    if not HydraConfig.initialized():
        return set()
    words = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return {word.key_or_group.lstrip("+~") for word in words}


def group_option(group: str, option: str) -> DictConfig:
    """The config of one option of a group.

    Raises:
        InputError: There is no such option.
    """
    file = CONF / group / f"{option}.yaml"
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    _known(option, names, f"{group}=")
    loaded = OmegaConf.load(file)
    assert isinstance(loaded, DictConfig)
    return loaded


class _QuietFile(logging.FileHandler):
    """A log that cannot be written on a full disk is no reason to stop."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""


def log_to(folder: Path) -> logging.Logger:
    """The run's own log, in `run.log`: what happened, never what was read or said. Requests are recorded beside it."""
    audit_to(folder)
    logger = logging.getLogger("clinspan")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    with writing(folder):
        file = _QuietFile(folder / "run.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(file)
    return logger
