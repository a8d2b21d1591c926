"""A run while a command works on it: the one place where its record changes, and where `run.json` is written."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from clinspan.corpora import Corpus, InputError
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import now, RunFolder
from clinspan.programs.rundir.run_record import CorpusRecord, RunFacts, RunRecord

RECORD = "run.json"


class OpenRun:
    """A run's folder, and its record so far.

    Args:
        folder: The folder.
        record: The record that the command begins with.
    """

    def __init__(self, folder: RunFolder, record: RunRecord) -> None:
        self.folder, self._record = folder, record

    @property
    def record(self) -> RunRecord:
        """The record with all that is known now. It may be newer than `run.json`."""
        return self._record

    def add(self, facts: RunFacts) -> None:
        """Add entries to the record, or replace them. `run.json` gets them when it is written the next time."""
        self._record = self._record.plus(facts)

    def write(self, facts: RunFacts | None = None) -> None:
        """Add entries to the record, and write it.

        Raises:
            RunError: The file cannot be written.
        """
        if facts is not None:
            self.add(facts)
        self.folder.write(RECORD, self._record.content())

    @contextmanager
    def recorded(self, log: logging.Logger) -> Iterator[None]:
        """Add the elapsed time of the enclosed block to the record and, if it fails, the kind of error without its message.

        A run that fails before its corpus or input is known leaves neither a record nor a line in its log.
        """
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            self.add(RunFacts(status="failed", error=type(error).__name__, ended=now()))
            if self._record.begun:
                log.info("stopped: %s", type(error).__name__)
            raise
        finally:
            self.add(RunFacts(seconds=(self._record.seconds or 0.0) + time.monotonic() - began))
            if self._record.begun:
                with suppress(RunError) if self._record.status == "failed" else nullcontext():  # the first error is reported
                    self.write()


def corpus_entry(record: RunFacts, corpus: Corpus, split: str, path: Path) -> CorpusRecord:
    """The entry `corpus` of a run's record.

    Args:
        record: The record so far, which may name the corpus that the run began with.
        corpus: The corpus.
        split: The split that is tagged or trained on.
        path: The run's folder, for messages.

    Raises:
        InputError: The run began with another corpus, or the corpus has no label.
    """
    if record.corpus is not None and record.corpus.sha256 != corpus.sha256:
        remedy = "Give the corpus as it was, or start a new run."
        raise InputError("the corpus is not the one that this run began with", path=path, remedy=remedy)
    if not corpus.labels:
        remedy = "Name the labels: corpus.labels=[...]"
        raise InputError(f"corpus {corpus.name} has no entity and corpus.labels names none", remedy=remedy)
    entry = CorpusRecord(name=corpus.name, sha256=corpus.sha256, phi=corpus.phi, split=split)
    if not corpus.divided:
        return entry
    documents = {name: [document.id for document in documents] for name, documents in corpus.splits.items()}
    return entry.model_copy(update={"documents": documents})
