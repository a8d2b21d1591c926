"""What the predictions of a run add to its record, and its result on the terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.corpora.printable import plural, printable
from clinspan.programs.inference.predictor import may_pass
from clinspan.programs.rundir.printed_commands import resume_command
from clinspan.programs.rundir.run_folder import now, RunFolder
from clinspan.programs.rundir.usage import changed_model
from clinspan.reports.terminal.tables import print_scores


def outcome(rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `run.json` of a run that has finished: counts, tokens and the models that a server named.

    Args:
        rows: The lines of `predictions.jsonl`.
        scores: The content of `scores.json`.
    """
    used: Counter[str] = Counter()
    for row in rows:
        used.update(row["usage"])
    served = Counter(name for row in rows for name in row.get("served", ()))
    return {
        "status": "finished",
        "ended": now(),
        "counts": {"sentences": len(rows), "failed": scores["failed"], "repairs": scores["repairs"]},
        "tokens": dict(used),
        **({"served": dict(served.most_common())} if served else {}),
    }


def print_result(
    folder: RunFolder, scores: Mapping[str, Any], record: Mapping[str, Any], errors: Mapping[str, Any], *, of: int
) -> None:
    """Print a finished run's scores and errors, and how to repeat sentences that failed with an error that may pass.

    Args:
        folder: The run's folder.
        scores: The content of `scores.json`.
        record: The content of `run.json`.
        errors: The content of `errors.json`.
        of: The number of sentences of the whole split.
    """
    print_scores(scores, record, errors, of=of)
    served = record.get("served") or {}
    if len(served) > 1:
        print(printable(changed_model(served)), file=sys.stderr)
    if retryable := sum(map(may_pass, folder.load_predictions().values())):
        failed = plural(retryable, "sentence failed with an error", "sentences failed with errors")
        retried = plural(retryable, "it", "them")
        print(f"{retryable} {failed} that may be temporary; to retry {retried}: {resume_command(folder.path)}")
