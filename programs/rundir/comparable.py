"""What two runs that are compared have in common: sentences and folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinspan.corpora import InputError
from clinspan.metrics import add_counts, Mode, Scores
from clinspan.metrics.scoring import count_documents
from clinspan.programs.rundir.run_record import FoldsRecord

Rows = Mapping[str, Mapping[str, Any]]
"""Lines of `predictions.jsonl` by id."""
_CUT = ("tok", "sent")


def scores_of(rows: Rows, labels: list[str], mode: Mode) -> dict[str, Any]:
    """`per_type`, `macro` and `micro` of predictions, as `scores.json` has them."""
    tables = count_documents([dict(row) for row in rows.values()], labels, mode)
    return Scores(add_counts(list(tables.values()), labels)).as_dict()


def common_ids(first: Rows, second: Rows, signatures: tuple[str, str]) -> list[str]:
    """The ids of the sentences that both runs have: of the same document, at the same place in it, and with the same tokens.

    Args:
        first: The predictions of a run.
        second: Those of the other run.
        signatures: The signatures of both runs' scores, which name how texts were cut.

    Raises:
        InputError: There are none, or the texts were cut differently.
    """
    remedy = (
        "Only texts that were cut in the same way have sentences in common: use the same corpus.tokenizer and corpus.sentences."
    )
    cuts = [[part for part in text.split("|") if part.partition(":")[0] in _CUT] for text in signatures]
    if cuts[0] != cuts[1]:
        described = " and ".join(" ".join(cut) or "tokens of the corpus" for cut in cuts)
        raise InputError(f"the texts of the two runs were cut differently ({described})", remedy=remedy)
    ids = [key for key in first if key in second]
    if not ids:
        raise InputError("the two runs have no sentence in common", remedy="Compare runs over the same documents.")
    for key in ids:
        if first[key]["tokens"] != second[key]["tokens"] or first[key]["document"] != second[key]["document"]:
            raise InputError(f"the texts of the two runs were cut differently: the tokens of sentence {key} differ", remedy=remedy)
    return ids


def about_folds(first: FoldsRecord | None, second: FoldsRecord | None) -> str | None:
    """Whether two runs are cross-validations over the same folds; None if neither is one.

    Args:
        first: The folds of a run; None if it is no cross-validation.
        second: Those of the other run.

    >>> folds = FoldsRecord(number=2, seed=0, documents=[["a"], ["b"]])
    >>> about_folds(folds, folds), about_folds(None, None)
    ('the same 2 folds (seed 0)', None)
    >>> about_folds(folds, FoldsRecord(number=2, seed=1, documents=[["a", "b"], []]))
    'other folds, and so other train documents: 2 folds (seed 0) and 2 folds (seed 1)'
    """
    both = first, second
    if first is None and second is None:
        return None
    described = [f"{one.number} folds (seed {one.seed})" if one else "no cross-validation" for one in both]
    parts = [[sorted(part) for part in one.documents or []] if one else None for one in both]
    if parts[0] == parts[1]:
        return f"the same {described[0]}"
    return f"other folds, and so other train documents: {described[0]} and {described[1]}"
