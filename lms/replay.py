"""Recorded answers behind the interface of a model, so that outputs of any system can be scored.

The file has one JSON object per line. `question` is needed only where several requests have the same id:

    {"id": "Alstrom-Syndrome:3", "output": "Alstrom : B-RareDisease\\nsyndrome : I-RareDisease"}
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from clinspan.lms import lm15
from clinspan.lms.errors import ModelError

Key = tuple[str, str]


class ReplayEngine:
    """Answers requests from a table, by their extensions `id` and `question`.

    Args:
        outputs: Texts by `(id, question)`; the question is empty where an id has only one request.
    """

    def __init__(self, outputs: Mapping[Key, str]) -> None:
        self.outputs = dict(outputs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return self: optimizers copy programs often, and all copies share one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        extensions = request.config.extensions or {}
        key = (str(extensions.get("id")), str(extensions.get("question", "")))
        if key not in self.outputs:
            raise ModelError(f"the recorded outputs have none for {key[0]} {key[1]}".rstrip())
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant(self.outputs[key]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to release."""


def load_outputs(path: Path, ids: Sequence[str], requested_ids: Sequence[str], *, others: Collection[str] = ()) -> dict[Key, str]:
    """Read recorded outputs and check them against the ids that will be requested.

    Args:
        path: The file.
        ids: Ids of the whole split, in order.
        requested_ids: Those of them that will be requested. A file with only those is complete too.
        others: Further ids that a file with ids may have lines for, such as those of other folds.

    Raises:
        ModelError: A line is malformed, missing, surplus or duplicate; the message names it.
    """
    rows = _rows(path)
    rows_with_id = [row for row in rows if row[1] is not None]
    if rows_with_id and len(rows_with_id) < len(rows):
        line = next(number for number, key, _, _ in rows if key is None)
        raise ModelError(f"{path}:{line}: has no id though other lines have one: give all or none")
    if not rows_with_id:
        file_ids = requested_ids if len(rows) == len(requested_ids) else list(ids)
        if len(rows) != len(file_ids):
            raise ModelError(f"{path}: holds {len(rows)} outputs for {len(ids)} sentences: give one line per sentence, or ids")
        return {(key, ""): text for key, (_, _, _, text) in zip(file_ids, rows, strict=True)}
    return _by_id(path, [row for row in rows if row[1] not in others], requested_ids, set(ids))


def check_ids(path: Path) -> None:
    """Refuse recorded outputs without ids, which fit one split alone.

    Raises:
        ModelError: They have none, or the file is no such file.
    """
    if any(key is None for _, key, _, _ in _rows(path)):
        raise ModelError(f"{path}: has lines without an id, and each fold needs its own: give every line the id of its sentence")


def _by_id(
    path: Path, rows: Sequence[tuple[int, str | None, str, str]], requested_ids: Sequence[str], split_ids: set[str]
) -> dict[Key, str]:
    outputs: dict[Key, str] = {}
    for number, key, question, text in rows:
        if str(key) not in split_ids:
            raise ModelError(f"{path}:{number}: surplus line: no sentence of the split has the id {key}")
        if (str(key), question) in outputs:
            raise ModelError(f"{path}:{number}: duplicate id {key}: remove one of the lines")
        outputs[str(key), question] = text
    answered_ids = {key for key, _ in outputs}
    missing_ids = [key for key in requested_ids if key not in answered_ids]
    if missing_ids:
        raise ModelError(f"{path}: no line for the sentence {missing_ids[0]} ({len(missing_ids)} missing): add the lines")
    return outputs


def _rows(path: Path) -> list[tuple[int, str | None, str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({type(error).__name__}): give model.path=FILE.jsonl") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            output = record["output"]
            key = record.get("id")
            rows.append((number, None if key is None else str(key), str(record.get("question", "")), output))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            output = None
        if not isinstance(output, str):
            form = '{"id": "...", "output": "..."}'
            raise ModelError(f"{path}:{number}: is not of the form {form}: fix the line")
    if not rows:
        raise ModelError(f"{path}: is empty: give one line per sentence")
    return rows
