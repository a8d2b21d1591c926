"""What the predictions of a run add to its record, and its result on the terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.corpora import Corpus
from clinspan.corpora.printable import plural, printable
from clinspan.programs.app.report_content import write_run_page
from clinspan.programs.inference.predictor import may_pass
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.printed_commands import resume_command, shown_path
from clinspan.programs.rundir.run_folder import now, RunFolder
from clinspan.programs.rundir.run_record import CountsRecord, RunFacts
from clinspan.programs.rundir.usage import changed_model
from clinspan.reports.terminal.tables import print_scores


def outcome(rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Any], besides: Sequence[Mapping[str, Any]] = ()) -> RunFacts:
    """The entries of `run.json` of a run that has finished: counts, tokens and the models that a server named.

    Args:
        rows: The lines of `predictions.jsonl`.
        scores: The content of `scores.json`.
        besides: Further lines whose tokens count too.
    """
    used: Counter[str] = Counter()
    for row in (*rows, *besides):
        used.update(row["usage"])
    served = Counter(name for row in rows for name in row.get("served", ()))
    counts = CountsRecord(sentences=len(rows), failed=scores["failed"], repairs=scores["repairs"])
    facts = RunFacts(status="finished", ended=now(), counts=counts, tokens=dict(used))
    return facts.plus(RunFacts(served=dict(served.most_common()))) if served else facts


def print_result(run: OpenRun, scores: Mapping[str, Any], errors: Mapping[str, Any], *, of: int) -> None:
    """Print a finished run's scores and errors, and how to repeat sentences that failed with an error that may pass.

    Args:
        run: The run.
        scores: The content of `scores.json`.
        errors: The content of `errors.json`.
        of: The number of sentences of the whole split.
    """
    print_scores(scores, run.record.content(), errors, of=of)
    if len(run.record.served) > 1:
        print(printable(changed_model(run.record.served)), file=sys.stderr)
    if retryable := sum(map(may_pass, run.folder.load_predictions().values())):
        failed = plural(retryable, "sentence failed with an error", "sentences failed with errors")
        retried = plural(retryable, "it", "them")
        print(f"{retryable} {failed} that may be temporary; to retry {retried}: {resume_command(run.folder.path)}")


def write_report(folder: RunFolder, corpus: Corpus) -> None:
    """Write the page of a finished run beside its results, and print its path. A full disk does not fail the run."""
    try:
        with writing(folder.path):
            page = write_run_page(folder, corpus)
    except RunError as error:
        print(f"clinspan: report.html was not written: {printable(str(error))}", file=sys.stderr)
        return
    print(f"every sentence: {printable(shown_path(page))}")
