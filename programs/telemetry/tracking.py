"""Experiment tracking with MLflow: settings at the start of a run, scores and files at its end.

Tracking is only a convenience, because the run's folder has everything. If the tracker fails during a run, a warning is printed and
the run continues.
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
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.run_record import RunFacts, TrackingRecord
from clinspan.programs.telemetry.mlflow_fields import figures_of, histories_of, settings_of, tags_of, without_credentials

Guard = Callable[[str, str], None]
_ARTIFACTS = "the artifact store of tracking=mlflow"
_FILES = ("program.json", "scores.json", "candidates.json", "predictions.jsonl", "prompts.jsonl", "errors.json")
_OWN_STORE = "runs/mlflow/mlflow.db"
_BATCH = 100
_QUIET = {  # by default, MLflow reports its use and retries an unreachable server for minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_FORCED = {"MLFLOW_ALLOW_HTTP_REDIRECTS": "false"}  # a redirect would bypass the host check for a run's files


class NoTracking:
    """`tracking=none`."""

    def follow(self, run: OpenRun, *, command: str, guard: Guard) -> AbstractContextManager[None]:
        """Track nothing."""
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Mlflow:
    """`tracking=mlflow`: one MLflow run for each run of a command.

    Attributes:
        uri: The address of the store: `sqlite:///FILE` or a server. If null, `MLFLOW_TRACKING_URI`. If that is not set either, a
            local store, `runs/mlflow/mlflow.db` with its files beside it. Give user name and password in MLflow's variables,
            because those are not recorded.
        experiment: The MLflow experiment that groups the runs. It is created if it does not exist.
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
    def follow(self, run: OpenRun, *, command: str, guard: Guard) -> Iterator[None]:
        """Track the enclosed block as an MLflow run.

        Args:
            run: The run. The id of the MLflow run is added to its record, so a resumed run continues the MLflow run.
            command: The command of the run.
            guard: Refuses an address outside this machine if the texts may not go there.

        Raises:
            RunError: MLflow is not installed, the texts may not go to its store, or the store cannot be used for a new run.
        """
        guard("tracking=mlflow", self.place)
        tracked_run: MlflowRun | None = None
        with _lenient(self.place, strict=run.record.tracking is None):
            begun = MlflowRun(self.place, run)
            begun.begin(command, self.experiment, guard)
            tracked_run = begun
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            with _lenient(self.place):
                if tracked_run is not None:
                    tracked_run.end(status)


class MlflowRun:
    """The MLflow run of one run.

    Args:
        place: The address of the store.
        run: The run.

    Raises:
        RunError: MLflow is not installed.
    """

    def __init__(self, place: str, run: OpenRun) -> None:
        self._place, self._run, self._folder, self._artifacts = place, run, run.folder, place
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
        """Create the MLflow run and log its settings, or reopen it."""
        store = without_credentials(self._place)
        tracking = self._run.record.tracking
        if tracking is not None and tracking.store == store:
            self._artifacts = str(self._client.get_run(tracking.run).info.artifact_uri)
            guard(_ARTIFACTS, self._artifacts)
            self._client.update_run(tracking.run, status="RUNNING")
            return
        stored_experiment = self._client.get_experiment_by_name(experiment)
        if stored_experiment is None:
            number = self._client.create_experiment(experiment, artifact_location=_files_of(self._place))
            stored_experiment = self._client.get_experiment(number)
        guard(_ARTIFACTS, str(stored_experiment.artifact_location))
        tags = {**tags_of(self._run.record), "clinspan.command": command, "clinspan.folder": str(self._folder.path)}
        created = self._client.create_run(stored_experiment.experiment_id, tags=tags, run_name=self._folder.path.name)
        self._artifacts = str(created.info.artifact_uri)
        guard(_ARTIFACTS, self._artifacts)  # a server may give a run another artifact location than its experiment
        self._run.add(RunFacts(tracking=TrackingRecord(store=store, run=created.info.run_id)))
        self._tell(params=settings_of(self._run.record))

    def end(self, status: str) -> None:
        """Log the results: metrics, files and the final status."""
        run, record = self._number, self._run.record
        scores = self._folder.read("scores.json") if self._has("scores.json") else {}
        for key, value in tags_of(record, scores).items():
            self._client.set_tag(run, key, value)
        self._tell(figures=[(key, value, 0) for key, value in figures_of(record, scores).items()])
        self._tell(figures=histories_of(record))
        names = list(filter(self._has, _FILES))
        size = sum((self._folder.path / name).stat().st_size for name in names)
        with self._audited(size=size, sentences=int(scores.get("sentences", 0))):
            for name in names:
                self._client.log_artifact(run, str(self._folder.path / name))
        if self._has("run.json"):
            record_text = (self._folder.path / "run.json").read_text(encoding="utf-8")
            self._client.log_text(run, without_credentials(record_text), "run.json")
        self._client.set_terminated(run, status=status)

    def _audited(self, *, size: int, sentences: int) -> AbstractContextManager[Any]:
        """Record in `audit.jsonl` that files with corpus text leave this machine, if they do."""
        address = urlsplit(self._artifacts)
        place = self._place if address.scheme == "mlflow-artifacts" and not address.netloc else self._artifacts
        if host_outside(place) is None:
            return nullcontext()
        return audited(place, model="tracking=mlflow", size=size, documents=(), sentences=sentences)

    @property
    def _number(self) -> str:
        """The id of the MLflow run."""
        assert self._run.record.tracking is not None
        return self._run.record.tracking.run

    def _has(self, name: str) -> bool:
        return (self._folder.path / name).is_file()

    def _tell(self, *, params: dict[str, str] | None = None, figures: list[tuple[str, float, int]] | None = None) -> None:
        from mlflow.entities import Metric, Param

        now = round(time.time() * 1000)
        rows = [Param(key, value) for key, value in (params or {}).items()]
        points = [Metric(key, value, now, step) for key, value, step in figures or []]
        for start in range(0, max(len(rows), len(points)), _BATCH):  # the limit of a request
            batch = slice(start, start + _BATCH)
            self._client.log_batch(self._number, metrics=points[batch], params=rows[batch])


def _own_store() -> str:
    return f"sqlite:///{Path(_OWN_STORE).absolute()}"


def _files_of(place: str) -> str | None:
    """The artifact location of a new experiment: beside the database; None lets the server choose it."""
    if not place.startswith("sqlite:"):
        return None
    return (Path(place.removeprefix("sqlite:///")).absolute().parent / "artifacts").as_uri()


@contextmanager
def _lenient(place: str, *, strict: bool = False) -> Iterator[None]:
    """Warn about a store that cannot be used and continue; with `strict`, raise `RunError`."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # from MLflow, its client or its database
        message = f"the store of tracking=mlflow at {without_credentials(place)} cannot be used ({type(error).__name__})"
        if strict:
            raise RunError(f"{message}: start it, name another with tracking.uri=, or use tracking=none") from None
        logging.getLogger("clinspan").warning("tracking failed: %s", type(error).__name__)
        print(f"clinspan: {message}; all results are in the run's folder", file=sys.stderr)
