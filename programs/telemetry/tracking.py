"""Experiment tracking with MLflow: settings at the start of a run, scores and files at its end.

A tracker is a copy for convenience. The run's folder has everything, so a tracker that fails in between is warned of and left.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clinspan.corpora import InputError
from clinspan.lms.remote.audit import audited
from clinspan.lms.remote.hosts import check_address, host_outside
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.telemetry.mlflow_fields import figures_of, histories_of, settings_of, tags_of, without_credentials

Guard = Callable[[str, str], None]
_ARTIFACTS = "the artifact store of tracking=mlflow"
_FILES = ("program.json", "scores.json", "candidates.json", "predictions.jsonl", "errors.json")
_OWN_STORE = "runs/mlflow/mlflow.db"
_BATCH = 100
_QUIET = {  # MLflow sends word of its use unless it is told not to, and tries for minutes where nobody answers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_FORCED = {"MLFLOW_ALLOW_HTTP_REDIRECTS": "false"}  # a redirection would take a run's files past the check of hosts


class NoTracking:
    """`tracking=none`."""

    def follow(self, folder: RunFolder, record: dict[str, Any], *, command: str, guard: Guard) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Mlflow:
    """`tracking=mlflow`: a run of MLflow for each run of a command.

    Attributes:
        uri: Of the store: `sqlite:///FILE` or the address of a server; `MLFLOW_TRACKING_URI` if null, else a store of its own,
            `runs/mlflow/mlflow.db` with its files beside it. A name and a password belong into MLflow's variables, where they
            are recorded nowhere.
        experiment: MLflow's name for runs that belong together; made if there is none.
    """

    uri: str | None = None
    experiment: str = "clinspan"

    def __post_init__(self) -> None:
        if self.uri and without_credentials(self.uri) != self.uri:
            raise InputError(
                "tracking.uri holds a user name or a password, which would be recorded",
                remedy="Leave them out: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD take them.",
            )
        if self.uri and self.uri.startswith(("http:", "https:")):
            check_address(self.uri, "tracking.uri")
        if not self.experiment:
            raise InputError("tracking.experiment is empty", remedy="Give it a name.")

    @property
    def place(self) -> str:
        """The store's address as MLflow takes it."""
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI") or _own_store()

    @contextmanager
    def follow(self, folder: RunFolder, record: dict[str, Any], *, command: str, guard: Guard) -> Iterator[None]:
        """Have MLflow know of what is done inside.

        Args:
            folder: The run's.
            record: Its record, which then names MLflow's run. A run that goes on goes on there too.
            command: What kind of run it is.
            guard: Refuses an address outside this machine where the texts may not go there.

        Raises:
            RunError: MLflow is not installed, its store may not have the texts or, for a new run, cannot be used.
        """
        guard("tracking=mlflow", self.place)
        told: MlflowRun | None = None
        with _lenient(self.place, strict="tracking" not in record):
            run = MlflowRun(self.place, folder, record)
            run.begin(command, self.experiment, guard)
            told = run
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            with _lenient(self.place):
                if told is not None:
                    told.end(status)


class MlflowRun:
    """One run as MLflow sees it.

    Args:
        place: The store's address.
        folder: The run's.
        record: Its record.

    Raises:
        RunError: MLflow is not installed.
    """

    def __init__(self, place: str, folder: RunFolder, record: dict[str, Any]) -> None:
        self._place, self._folder, self._record, self._artifacts = place, folder, record, place
        for key, value in _QUIET.items():
            os.environ.setdefault(key, value)
        os.environ.update(_FORCED)
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise RunError("tracking=mlflow needs MLflow: pip install 'clinspan[mlflow]'") from None
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if place == _own_store():
            Path(_OWN_STORE).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._client = MlflowClient(tracking_uri=place)

    def begin(self, command: str, experiment: str, guard: Guard) -> None:
        """Make the run, or open it again, and tell its settings."""
        store = without_credentials(self._place)
        known = self._record.get("tracking") or {}
        if known.get("store") == store:
            self._artifacts = str(self._client.get_run(known["run"]).info.artifact_uri)
            guard(_ARTIFACTS, self._artifacts)
            self._client.update_run(known["run"], status="RUNNING")
            return
        found = self._client.get_experiment_by_name(experiment)
        if found is None:
            number = self._client.create_experiment(experiment, artifact_location=_files_of(self._place))
            found = self._client.get_experiment(number)
        guard(_ARTIFACTS, str(found.artifact_location))
        tags = {**tags_of(self._record), "clinspan.command": command, "clinspan.folder": str(self._folder.path)}
        made = self._client.create_run(found.experiment_id, tags=tags, run_name=self._folder.path.name)
        self._artifacts = str(made.info.artifact_uri)
        guard(_ARTIFACTS, self._artifacts)  # a server may give a run another place than its experiment
        self._record["tracking"] = {"store": store, "run": made.info.run_id}
        self._tell(params=settings_of(self._record))

    def end(self, status: str) -> None:
        """Tell what came of it: figures, files, and how it ended."""
        run = self._record["tracking"]["run"]
        scores = self._folder.read("scores.json") if self._has("scores.json") else {}
        for key, value in tags_of(self._record, scores).items():
            self._client.set_tag(run, key, value)
        self._tell(figures=[(key, value, 0) for key, value in figures_of(self._record, scores).items()])
        self._tell(figures=histories_of(self._record))
        names = list(filter(self._has, _FILES))
        size = sum((self._folder.path / name).stat().st_size for name in names)
        with self._audited(size=size, sentences=int(scores.get("sentences", 0))):
            for name in names:
                self._client.log_artifact(run, str(self._folder.path / name))
        if self._has("run.json"):
            told = (self._folder.path / "run.json").read_text(encoding="utf-8")
            self._client.log_text(run, without_credentials(told), "run.json")
        self._client.set_terminated(run, status=status)

    def _audited(self, *, size: int, sentences: int) -> AbstractContextManager[Any]:
        """Have `audit.jsonl` say that files which quote the corpus leave this machine, if they do."""
        own = urlsplit(self._artifacts)
        place = self._place if own.scheme == "mlflow-artifacts" and not own.netloc else self._artifacts
        if host_outside(place) is None:
            return nullcontext()
        return audited(place, model="tracking=mlflow", size=size, documents=(), sentences=sentences)

    def _has(self, name: str) -> bool:
        return (self._folder.path / name).is_file()

    def _tell(self, *, params: dict[str, str] | None = None, figures: list[tuple[str, float, int]] | None = None) -> None:
        from mlflow.entities import Metric, Param

        now = round(time.time() * 1000)
        rows = [Param(key, value) for key, value in (params or {}).items()]
        points = [Metric(key, value, now, step) for key, value, step in figures or []]
        for start in range(0, max(len(rows), len(points)), _BATCH):  # a request takes no more
            here = slice(start, start + _BATCH)
            self._client.log_batch(self._record["tracking"]["run"], metrics=points[here], params=rows[here])


def _own_store() -> str:
    return f"sqlite:///{Path(_OWN_STORE).absolute()}"


def _files_of(place: str) -> str | None:
    """Where a new experiment keeps its files: beside the database, or where a server wants them."""
    if not place.startswith("sqlite:"):
        return None
    return (Path(place.removeprefix("sqlite:///")).absolute().parent / "artifacts").as_uri()


@contextmanager
def _lenient(place: str, *, strict: bool = False) -> Iterator[None]:
    """Warn of a store that cannot be used and go on; `strict`: refuse to begin."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # MLflow's own, its client's, its database's
        told = f"the store of tracking=mlflow at {without_credentials(place)} cannot be used ({type(error).__name__})"
        if strict:
            raise RunError(f"{told}: start it, name another with tracking.uri=, or use tracking=none") from None
        logging.getLogger("clinspan").warning("tracking failed: %s", type(error).__name__)
        print(f"clinspan: {told}; the run's folder has everything", file=sys.stderr)
