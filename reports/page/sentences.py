"""Sentences, spans and errors of runs as compact data for the report's script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.metrics import classify, entity_confidence, Mode
from clinspan.metrics.counts import entities, Span
from clinspan.metrics.errors import KIND_NAMES, KINDS
from clinspan.reports.run_views import Group, RunView
from clinspan.reports.settings import flattened
from clinspan.reports.wording import count_head

_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
UNKNOWN = -1
_ASKING = ("model", "strategy", "format")
_PLACES = ("_target_", "adapter", "api_base", "path")


def page_data(groups: Sequence[Group]) -> dict[str, Any]:
    """The data of all sentences for the page's script.

    Returns:
        `kinds`: names of the error kinds. `groups`: each has its `number` from 1, `title`, `labels` and by sentence `ids`,
        `documents`, `tokens`, `gold` and `gaps`: the text before token n and, behind the last token, after it, unless it is as
        usual (null if the texts are not known). `runs`: each has `number`, `name`, its micro `f1`, `group` (the place of its
        group) and by sentence `pred`, `errors`, `failed` and `repairs`.

        The spans of a sentence are one flat list, and so are its errors. A gold span is three numbers: label, first token,
        token after the last. A predicted span has a fourth: its confidence in thousandths, -1 if unknown. An error is three
        numbers: its kind, the index of its gold span and the index of its predicted span in the sentence, -1 for none.
    """
    shown = [(number, group) for number, group in enumerate(groups, 1) if group.sentences]
    runs = [_run(view, place, group) for place, (_, group) in enumerate(shown) for view in group.runs if view.rows]
    drawn = [{"number": number, **_group(group)} for number, group in shown]
    return {"kinds": [KIND_NAMES[kind] for kind in KINDS], "groups": drawn, "runs": runs}


def answer_data(view: RunView) -> dict[str, Any]:
    """What a run got, by sentence, and how it asked.

    Returns:
        `answers`: by sentence, the model's answer: a text, texts by question, or None. `usage`: by sentence, tokens and passes by
        name. `parameters`: pairs of names and values of the settings of model, strategy and format, without paths and addresses.
    """
    answers, usage = [row.get("raw") for row in view.rows], [row.get("usage") or {} for row in view.rows]
    return {"answers": answers, "usage": usage, "parameters": _parameters(view.job.record)}


def _parameters(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """
    >>> _parameters({"model": {"name": "m", "revision": "1"}, "config": {"model": {"path": "/x", "seed": 3}, "split": "test"}})
    [('model.name', 'm'), ('model.revision', '1'), ('model.seed', '3')]
    """
    config = {group: (record.get("config") or {}).get(group) or {} for group in _ASKING}
    model = flattened({"model": record.get("model") or {}})
    settings = {**flattened(config), **model}
    shown = {key: value for key, value in settings.items() if key.split(".")[-1] not in _PLACES and value not in (None, {}, [])}
    return sorted((key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) for key, value in shown.items())


def sent_data(views: Sequence[RunView]) -> dict[str, Any]:
    """What was sent, for the page's script.

    Returns:
        `parts`: turns and chunks as `[role, text]`, each once for all runs; numbers in a text stand for other parts. `runs`: by run
        number, for each sentence what `SentPrompts.asked` has of it, or None. `rendered`: by run number, whole prompts by the
        number of the sentence.
    """
    parts: list[list[Any]] = []
    numbers: dict[tuple[str | None, Any], int] = {}
    runs: dict[str, Any] = {}
    rendered: dict[str, Any] = {}
    for view in views:
        if view.prompts is None:
            continue
        own: list[int] = []
        for part in view.prompts.parts:
            text = part.text if isinstance(part.text, str) else tuple(p if isinstance(p, str) else own[p] for p in part.text)
            own.append(numbers.setdefault((part.role, text), len(parts)))
            parts += [[part.role, text]] if own[-1] == len(parts) else []
        asked = [view.prompts.asked.get(row["id"]) for row in view.rows]
        runs[str(view.number)] = [None if one is None else [_renumbered(attempt, own) for attempt in one] for one in asked]
        known = view.prompts.rendered
        rendered[str(view.number)] = {n: known[row["id"]] for n, row in enumerate(view.rows) if row["id"] in known}
    return {"parts": parts, "runs": runs, "rendered": rendered}


def _renumbered(attempt: Mapping[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    questions = [{"key": q.get("question", ""), "turns": [numbers[turn] for turn in q["turns"]]} for q in attempt["questions"]]
    return {**attempt, "questions": questions}


def embed(content: Any) -> str:
    """Serialise content as JSON that is safe in a script element: it cannot close the element or open another.

    >>> embed(["</script>"])
    '["\\\\u003c/script\\\\u003e"]'
    """
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)


def _group(group: Group) -> dict[str, Any]:
    places = {label: n for n, label in enumerate(group.labels)}
    gold = [_flat(_spans(row["gold"], group.mode), places) for row in group.sentences]
    columns = {name: [row[key] for row in group.sentences] for name, key in (("ids", "id"), ("documents", "document"))}
    tokens = [row["tokens"] for row in group.sentences]
    gaps = None if group.gaps is None else [_sparse(one) for one in group.gaps]
    return {"title": group.title, "labels": group.labels, **columns, "tokens": tokens, "gaps": gaps, "gold": gold}


def _sparse(gaps: Sequence[str]) -> dict[int, str]:
    """The gaps by place that are not as usual: a blank between two tokens, nothing before the first and after the last."""
    return {n: gap for n, gap in enumerate(gaps) if gap != (" " if 0 < n < len(gaps) - 1 else "")}


def _run(view: RunView, number: int, group: Group) -> dict[str, Any]:
    places = {label: n for n, label in enumerate(group.labels)}
    failed = {n: row["error"] for n, row in enumerate(view.rows) if row.get("error") is not None}
    repairs = {
        n: {count_head(name, times): times for name, times in row["repairs"].items()}
        for n, row in enumerate(view.rows)
        if row.get("repairs")
    }
    pred, errors = [], []
    for row in view.rows:
        spans = _spans(row["pred"], group.mode)
        pred.append([n for span in spans for n in (*_numbers(span, places), _thousandths(row.get("confidence"), span))])
        errors.append(_errors(row, spans, group.mode))
    about = {"number": view.number, "name": view.name, "f1": float(view.scores["micro"]["f1"]), "group": number}
    return {**about, "pred": pred, "errors": errors, "failed": failed, "repairs": repairs}


def _spans(tags: Sequence[str], mode: Mode) -> list[Span]:
    return sorted(entities(tags, mode), key=lambda span: span[1])


def _numbers(span: Span, places: Mapping[str, int]) -> tuple[int, int, int]:
    return places.get(span[0], UNKNOWN), span[1], span[2] + 1


def _flat(spans: Sequence[Span], places: Mapping[str, int]) -> list[int]:
    return [n for span in spans for n in _numbers(span, places)]


def _thousandths(confidence: Sequence[float | None] | None, span: Span) -> int:
    mean = entity_confidence(confidence, span[1], span[2] + 1)
    return UNKNOWN if mean is None else round(1000 * mean)


def _errors(row: Mapping[str, Any], pred: Sequence[Span], mode: Mode) -> list[int]:
    gold = _spans(row["gold"], mode)
    numbers: list[int] = []
    for error in classify(row["gold"], row["pred"], mode):
        sides = (UNKNOWN if span is None else among.index(span) for span, among in ((error.gold, gold), (error.pred, pred)))
        numbers += [KINDS.index(error.kind), *sides]
    return numbers
