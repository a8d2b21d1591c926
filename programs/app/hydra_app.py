"""The Hydra entry point of all commands: one clear message per error, exit codes, private files, signals."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from clinspan.corpora.printable import printable
from clinspan.lms.remote.audit import audit_to
from clinspan.lms.remote.hosts import ask_directly
from clinspan.programs.app.config import (
    check_numbers,
    check_words,
    chosen_options,
    CONF,
    explain,
    output_folder,
    PLUGINS,
    USER_ERRORS,
)
from clinspan.programs.app.privacy import end_wordless, wordless
from clinspan.programs.app.sweeps import check_experiment, missing_part, note_failure, Sweeps
from clinspan.programs.rundir.errors import writing

_WORDY = ("chromadb", "dspy", "gepa", "httpcore", "httpx", "LiteLLM", "openai", "sentence_transformers")


def run_app(
    config_name: str, job: Callable[[DictConfig], None], *, listed: str | None = None, also: Callable[[str], bool] | None = None
) -> None:
    """Run a job under Hydra and end the process: 0, or 2 after one message that says what to do.

    A sweep ends with 2 if a job failed, the others having run; cells of an experiment preset that lack their model are no
    failures, unless all do.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        job: What the command does with its config.
        listed: The key that takes the words which are no overrides, as a list.
        also: Which of the words with `=` it takes too.
    """
    if listed:
        sys.argv[1:] = gather(sys.argv[1:], listed, also)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to here instead of printing and ending by itself
    for plugin in PLUGINS:
        Plugins.instance().register(plugin)  # Hydra's own search does not see into editable installs
    prepare_process()
    handle_sigterm()
    failed, task = False, _importable(job)

    def guarded(config: DictConfig) -> None:
        nonlocal failed
        prepare_process()  # a launcher may have made this process
        try:
            check_experiment()
            check_numbers(config)
            task(config)
        except (*USER_ERRORS, HydraException, OmegaConfBaseException) as error:
            lacking = missing_part(error, chosen_options())
            if lacking is None:  # of a sweep the other jobs go on
                failed = True
                print(f"clinspan: {printable(explain(error))}", file=sys.stderr)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note_failure(output_folder(), config, chosen_options(), error, lacking)
        except Exception as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                raise
            failed = True
            print(wordless(error), file=sys.stderr)
            note_failure(output_folder(), config, chosen_options(), error)

    main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)
    with clean_exit(config_name):
        check_words(config_name, sys.argv[1:])
        main()
    if Sweeps.failed:
        stop(f"failed jobs of the sweep: {', '.join(Sweeps.failed)}")
    if Sweeps.absent and not Sweeps.ran:
        stop("none of the cells can run here; what each lacks stands above")
    if failed:
        sys.exit(2)


@contextmanager
def clean_exit(config_name: str) -> Iterator[None]:
    """Turn what a user can fix, a lost process and an interruption into one message and an exit code."""
    try:
        yield
    except (*USER_ERRORS, HydraException, OmegaConfBaseException) as error:
        stop(explain(error))
    except OSError as error:  # Hydra makes folders before a job begins
        stop(f"cannot use {error.filename or 'a file'}: {error.strerror or type(error).__name__}")
    except KeyboardInterrupt as error:
        way = "the same output=FOLDER" if config_name == "annotate" else "resume=FOLDER"
        print(f"clinspan: interrupted; what was computed is on disk, go on with {way}", file=sys.stderr)
        exit_now(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))
    except Exception as error:
        if not is_lost_process(error):
            raise
        remedy = "Look for the cause, often memory, and start the sweep again with the same hydra.sweep.dir"
        stop(f"the process of a job ended before the job did. {remedy}: finished jobs are not done again")


def is_lost_process(error: BaseException) -> bool:
    """Whether a launcher says that a job's process died: joblib's pool, or submitit, which need not be installed."""
    return isinstance(error, BrokenExecutor) or type(error).__module__.partition(".")[0] == "submitit"


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before it kills: the command ends as it does when its user interrupts it."""


def handle_sigterm() -> None:
    """Have SIGTERM raise `Terminated`, unless somebody else answers it."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def exit_now(code: int) -> NoReturn:
    """End the process; Python would wait for threads whose requests are in progress, for as long as a server lets them."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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


def prepare_process() -> None:
    """What holds in every process that does a command's work: files for their owner alone, quiet libraries."""
    os.umask(0o077)
    forbid_core_dumps()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    ask_directly()
    end_wordless()
    silence_libraries()


def forbid_core_dumps() -> None:
    """Have a crash of this process, or of its children, write no memory to the disk: it holds texts."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def silence_libraries() -> None:
    """Other libraries' progress bars and notices off: a command prints what its user asked for."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "transformers" in sys.modules:  # which has read the variables already; importing it takes a second
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
    print(f"clinspan: {printable(message)}", file=sys.stderr)
    sys.exit(2)


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
