"""The Hydra entry point of all commands: one clear message per error, exit codes, private files, signals."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.lms.remote.audit import audit_to
from clinspan.lms.remote.hosts import ask_directly
from clinspan.programs.app.command_help import command_help, purpose
from clinspan.programs.app.error_text import error_report, unexpected_cause, watch
from clinspan.programs.app.interruption import interruption
from clinspan.programs.app.pipes import leave_closed_pipe, quiet_pipe
from clinspan.programs.app.results import only_results, printed_as
from clinspan.programs.app.where import where
from clinspan.programs.config.command_line import CommandLine, gather, parse, quote_items
from clinspan.programs.config.composition import (
    check_numbers,
    chosen_options,
    explain,
    group_option,
    output_folder,
    PLUGINS,
    USER_ERRORS,
)
from clinspan.programs.config.overrides import check_words, plain_errors
from clinspan.programs.config.privacy import end_wordless
from clinspan.programs.config.project_source import check_protection, placed
from clinspan.programs.config.setting_types import check_types
from clinspan.programs.config.use_project import use_project
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.printed_commands import remember
from clinspan.programs.rundir.run_folder import remove_unused
from clinspan.programs.sweeps import grid_sweeper
from clinspan.programs.sweeps.failed_jobs import check_experiment, missing_part, note_failure, Sweeps
from clinspan.reports.terminal.console import choose_display
from hydra_plugins.clinspan_cells_sweeper.grid_sweeper import GridSweeper

EXPECTED = (*USER_ERRORS, HydraException, OmegaConfBaseException)
"""Errors whose message is for users and quotes no text."""

_WORDY = ("chromadb", "dspy", "gepa", "httpcore", "httpx", "LiteLLM", "openai", "sentence_transformers")


def run_app(
    config_name: str,
    job: Callable[[DictConfig], None],
    *,
    listed: str | None = None,
    also: Callable[[str], bool] | None = None,
    filters: str | None = None,
) -> None:
    """Run a job under Hydra. On a user error, print one message that says what to do and exit with 2.

    A sweep runs all its jobs and exits with 2 if one failed. Cells of an experiment preset whose model is missing are not
    failures, unless no cell could run.

    Args:
        config_name: The command's file in `conf/`, without its suffix.
        job: The work of the command, called with its config.
        listed: The key that takes a list of the words that are not overrides.
        also: Selects words with `=` that `listed` takes too.
        filters: The key that takes a list of texts with `=`.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors instead of printing them and exiting
    for plugin in (*PLUGINS, GridSweeper):
        Plugins.instance().register(plugin)  # Hydra's own search does not find plugins of editable installs
    grid_sweeper.use()
    prepare_process()
    handle_sigterm()
    guarded = _Guarded(_importable(job))
    main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)
    remember(sys.argv[1:])
    with clean_exit(config_name), quiet_pipe():
        line = parse(sys.argv[1:])
        if line.help:
            print(_help(config_name, job, line))
            return
        if line.where:
            print("\n".join(where(config_name, line)))
            return
        words = list(line.words)
        if not line.completes:
            words = use_project(config_name, line)
            words = gather(words, listed, also) if listed else words
            words = quote_items(words, filters) if filters else words
        sys.argv[1:] = [*line.options, *checked(config_name, line, words)]
        if line.display is not None:
            choose_display(line.display)
        with printed_as(config_name, line), nullcontext() if line.runs else plain_errors():
            main()
    if Sweeps.failed:
        stop(f"failed jobs of the sweep: {', '.join(Sweeps.failed)}")
    if Sweeps.absent and not Sweeps.ran:
        stop("none of the cells can run here; see above for what each one needs")
    if guarded.failed:
        sys.exit(2)


class _Guarded:
    """A job whose errors become messages. In a sweep the jobs after a failed one continue.

    Args:
        task: The work of the command, called with its config.

    Attributes:
        failed: Whether a job of this process failed.
    """

    def __init__(self, task: Callable[[DictConfig], None]) -> None:
        self.task, self.failed = task, False

    def __call__(self, config: DictConfig) -> None:
        prepare_process()  # a launcher may have started this process
        watch(config if config.get("resume") is None else None)
        debug, multirun = bool(config.get("debug")), HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            self._check(config)
            with only_results():
                self.task(config)
        except EXPECTED as error:
            lacking = missing_part(error, chosen_options()) if multirun else None
            if (cause := unexpected_cause(error, EXPECTED)) and (report := error_report(cause, debug=debug, place=False)):
                print(report, file=sys.stderr)
            if lacking is None:
                self.failed = True
                print(f"clinspan: {printable(explain(error))}", file=sys.stderr)
            if multirun:
                note_failure(output_folder(), config, chosen_options(), error, lacking)
        except Exception as error:
            if isinstance(error, BrokenPipeError):
                leave_closed_pipe()
            print(error_report(error, debug=debug), file=sys.stderr)
            if not multirun:
                sys.exit(1)
            self.failed = True
            note_failure(output_folder(), config, chosen_options(), error)
        finally:
            if Sweeps.creates:
                remove_unused(output_folder())

    def _check(self, config: DictConfig) -> None:
        check_experiment()
        with placed(config):
            check_numbers(config)
            check_types(config)
        check_protection(config, group_option)


def checked(config_name: str, line: CommandLine, words: list[str]) -> list[str]:
    """The words for Hydra, after all checks that are possible before it composes them.

    Raises:
        InputError: An override names an unknown key or option, or an option of Hydra a file or folder that does not exist.
    """
    if line.rerun is not None and not line.rerun.is_file():
        raise InputError("is not a file", path=line.rerun, remedy="Give the config.pickle of an earlier job.")
    if line.completes or line.config_path or line.rerun:
        return words  # other folders have other names, so Hydra itself checks
    return check_words(line.config_name or config_name, words, line.config_dir)


def _help(config_name: str, job: Callable[[DictConfig], None], line: CommandLine) -> str:
    module = sys.modules[job.__module__]
    spec = getattr(module, "__spec__", None)
    called = f"python -m {spec.name}" if spec is not None else Path(sys.argv[0]).name
    return command_help(called, config_name, purpose(module.__doc__), line)


@contextmanager
def clean_exit(config_name: str) -> Iterator[None]:
    """Turn a user error, a lost process or an interruption into one message and an exit code."""
    try:
        yield
    except EXPECTED as error:
        stop(explain(error))
    except OSError as error:  # Hydra creates folders before a job starts
        stop(f"cannot use {error.filename or 'a file'}: {error.strerror or type(error).__name__}")
    except KeyboardInterrupt as error:
        print(f"clinspan: {printable(interruption(config_name))}", file=sys.stderr)
        exit_now(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))
    except Exception as error:
        if not is_lost_process(error):
            raise
        remedy = "Find the cause, often lack of memory, and start the sweep again with the same hydra.sweep.dir"
        stop(f"the process of a job ended before the job finished. {remedy}: finished jobs are not run again")


def is_lost_process(error: BaseException) -> bool:
    """Whether joblib or submitit reports that a job's process died. Submitit is optional, so only its module name is checked."""
    return isinstance(error, BrokenExecutor) or type(error).__module__.partition(".")[0] == "submitit"


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM, which clusters send before they kill a job. The command then ends as on an interrupt by its user."""


def handle_sigterm() -> None:
    """Make SIGTERM raise `Terminated`, unless it already has a handler."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def exit_now(code: int) -> NoReturn:
    """End the process at once. A normal exit would wait for threads with requests in progress, however long a server takes."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _importable(job: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """The job as a function that other processes can import: one from `__main__` would be pickled with all its globals."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if job.__module__ != "__main__" or spec is None:
        return job
    imported: Callable[[DictConfig], None] = getattr(importlib.import_module(spec.name), job.__name__)
    return imported


def prepare_process() -> None:
    """Prepare a process that does a command's work: owner-only files, no core dumps, no proxy for localhost, quiet libraries."""
    os.umask(0o077)
    forbid_core_dumps()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    ask_directly()
    end_wordless()
    silence_libraries()


def forbid_core_dumps() -> None:
    """Disable core dumps of this process and its children: their memory holds texts."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    _, hard_limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard_limit))


def silence_libraries() -> None:
    """Turn off progress bars and notices of other libraries, so that a command prints only its own output."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "transformers" in sys.modules:  # then it has read the variables already; it is not imported for this, as that takes a second
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
    os.environ.pop("OPENAI_LOG", None)  # with it, openai sets up its own log
    for name in _WORDY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # their error messages can quote prompts
    logging.getLogger().addHandler(logging.NullHandler())  # otherwise Python prints what Hydra logs about a failed job
    warnings.filterwarnings("ignore", module="seqeval")


def stop(message: str) -> None:
    """Print one message on standard error and exit with 2."""
    print(f"clinspan: {printable(message)}", file=sys.stderr)
    sys.exit(2)


class _QuietFile(logging.FileHandler):
    """A log file whose write errors are ignored, since a full disk is no reason to stop."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error."""


def log_to(folder: Path) -> logging.Logger:
    """Open the run's log `run.log`, which has events but no texts or answers, and the audit log of requests beside it."""
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
