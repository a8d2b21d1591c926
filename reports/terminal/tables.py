"""Scores and statistics as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.metrics.intervals import LEAST_DOCUMENTS
from clinspan.reports.paper.published import published
from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.outcome_table import outcome_table
from clinspan.reports.wording import calibration_words, count_head, count_words, flip_words, scored_words, size_words, too_few

_WIDTH = 110
_ANNOTATIONS = (
    ("annotations", "total"),
    ("kept at their own offsets", "kept"),
    ("other ends in tokens", "other_ends"),
    ("in pieces", "discontinuous"),
    ("dropped: tokens shared", "dropped"),
)


def row_of(scores: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The scores of a type, of `macro` or of `micro`."""
    row: Mapping[str, Any] = scores[name] if name in ("macro", "micro") else scores["per_type"][name]
    return row


def bounds_of(scores: Mapping[str, Any] | None, name: str) -> tuple[float, float] | None:
    """The bounds of the interval of an F1; None if there is no interval."""
    bounds = (((scores or {}).get("intervals") or {}).get("f1") or {}).get(name)
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def print_scores(scores: Mapping[str, Any], record: Mapping[str, Any], errors: Mapping[str, Any], *, of: int) -> None:
    """Print one row per type, macro and micro, with the paper's scores beside ours if the run is one of its cells.

    Args:
        scores: The content of `scores.json`.
        record: The content of `run.json`.
        errors: The content of `errors.json`.
        of: Number of sentences in the whole split, which is shown if a limit was set.
    """
    console = PlainConsole(width=_WIDTH)
    console.print(score_table(scores, _title(scores, record, of), published(dict(record))))
    console.print(outcome_table(scores, errors))
    for line in (scored_words(scores), *notes(scores, record)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def score_table(scores: Mapping[str, Any], title: str, paper: Mapping[str, tuple[float, float, float]] | None = None) -> Table:
    """A table with one row per type, macro and micro; without macro where it is None. Types without gold have no scores.

    Args:
        scores: `per_type`, `macro`, `micro` and `intervals` as in `scores.json`.
        title: The table's title.
        paper: The paper's precision, recall and F1 by row; None: no such columns.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("type")
    for name in ("precision", "recall", "F1", "95% interval", "support"):
        table.add_column(name, justify="right")
    for name in ("P", "R", "F1") if paper else ():
        table.add_column(f"paper {name}", justify="right")
    for label, row in scores["per_type"].items():
        table.add_row(label, *_cells(row, scores, label), str(row["support"]), *_paper(paper, label))
    table.add_section()
    for name in ("macro", "micro"):
        if scores[name] is not None:
            head = macro_name(scores) if name == "macro" else name
            table.add_row(head, *_cells(scores[name], scores, name), "", *_paper(paper, name))
    return table


def macro_name(scores: Mapping[str, Any]) -> str:
    """The name of the macro mean, with the number of types that it averages.

    >>> rows = {"Sign": {"support": 3}, "Age": {"support": 0}}
    >>> macro_name({"per_type": rows}), macro_name({"per_type": {"Sign": {"support": 3}}})
    ('macro over 1 type with gold', 'macro over 1 type')
    """
    rows = scores["per_type"].values()
    number = sum(row["support"] > 0 for row in rows)
    return f"macro over {number} {plural(number, 'type')}" + (" with gold" if number < len(rows) else "")


def shown_f1(scores: Mapping[str, Any], name: str) -> float | None:
    """The F1 of a type, macro or micro; None for a type without gold, and for macro if no type has any."""
    row = row_of(scores, name)
    counted = scores["per_type"].values() if name == "macro" else [row]
    return float(row["f1"]) if name == "micro" or any(one.get("support", 1) for one in counted) else None


def interval_notes(scores: Mapping[str, Any], remedy: str = "use limit_documents=N or all") -> list[str]:
    """Why scores have no interval: all of them, or some types."""
    if reason := too_few(scores.get("documents", LEAST_DOCUMENTS), remedy=remedy):
        return [reason]
    without = [name for name, row in scores["per_type"].items() if row["support"] and bounds_of(scores, name) is None]
    why = f"in fewer than {LEAST_DOCUMENTS} documents, or with an F1 of 0 or 1"
    return [f"no interval for types {why}: {', '.join(without)}"] if without else []


def failure_notes(scores: Mapping[str, Any]) -> list[str]:
    """The number of failed sentences with its causes; empty if there are none."""
    if not scores["failed"]:
        return []
    causes = ", ".join(f"{name}: {n}" for name, n in scores["failures"].items())
    return [f"failed, scored as all O: {scores['failed']} of {scores['sentences']} sentences ({causes})"]


def notes(scores: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Remarks on the scores: missing intervals, failures, repairs, calibration, leaks, time, tokens and cost."""
    lines = interval_notes(scores) + failure_notes(scores)
    lines += [f"in answers: {count_words(name, number)}" for name, number in scores["repairs"].items()]
    if scores.get("calibration"):
        lines.append(calibration_words(scores["calibration"]))
    lines += [flip_words(scores["flips"])] if scores.get("flips") else []
    lines += offset_notes(scores.get("offsets"))
    lines += full_notes(scores)
    lines += [f"{name}: {value:.4f}" for name, value in scores.get("more", {}).items()]
    retrieval = record.get("retrieval")
    if retrieval and "leaked_sentences" in retrieval:
        lines.append(_leaks(retrieval))
    lines += fold_notes(scores.get("folds"))
    tokens = record.get("tokens", {})
    seconds = record.get("seconds") or 0.0
    money = f", {record['cost']:.4f} US$" if record.get("cost") is not None else ""
    spent = f"{tokens.get('prompt_tokens', 0):,} prompt and {tokens.get('answer_tokens', 0):,} answer tokens"
    spent = f"{tokens['pieces']:,} sub-word pieces, no prompt" if "pieces" in tokens else spent
    lines.append(f"{seconds:.0f} s, {spent}{money}")
    return lines


def fold_notes(folds: Mapping[str, Any] | None) -> list[str]:
    """F1 of each fold of a cross-validation, whose scores come from the counts of all folds together.

    >>> fold_notes({"number": 2, "seed": 0, "f1": {"micro": [0.5, 0.25]}, "sd": {"micro": 0.1768}})
    ['2 folds, counts summed; micro F1 by fold: 0.500, 0.250 (standard deviation between folds 0.177)']
    """
    if not folds:
        return []
    each = ", ".join(f"{value:.3f}" for value in folds["f1"]["micro"])
    spread = f"standard deviation between folds {folds['sd']['micro']:.3f}"
    return [f"{folds['number']} folds, counts summed; micro F1 by fold: {each} ({spread})"]


def _leaks(retrieval: Mapping[str, Any]) -> str:
    leaked, excluded, articles = retrieval["leaked_sentences"], retrieval["excluded_chunks"], retrieval.get("articles", 0)
    searched = f"searched {articles:,} {plural(articles, 'article')}; "
    if not leaked:
        return searched + "none of the test sentences occurs in them"
    state = "their chunks stay in; retriever.exclude_leaks=true drops them"
    if excluded:
        state = f"{excluded} {plural(excluded, 'chunk')} left out"
    return f"{searched}{leaked} of the test sentences {plural(leaked, 'occurs', 'occur')} in them ({state})"


def offset_notes(offsets: Mapping[str, Any] | None) -> list[str]:
    """The score on the annotators' own character offsets and its ceiling, where tokens cannot express every annotation."""
    if offsets is None or offsets["ceiling"]["f1"] == 1:
        return []
    ceiling = offsets["ceiling"]
    causes = (("other_ends", "would end elsewhere"), ("dropped", "share tokens with others"), ("discontinuous", "are in pieces"))
    lost = ", ".join(f"{ceiling[key]} {words}" for key, words in causes if ceiling[key])
    return [
        f"on the annotators' own character offsets: F1 {offsets['micro']['f1']:.4f}; a perfect tagger reaches "
        f"{ceiling['f1']:.4f}, as of {ceiling['mentions']} annotations {lost}"
    ]


def full_notes(scores: Mapping[str, Any]) -> list[str]:
    """The flat and the full score beside each other, and what tags reach at most; empty if mentions were not read in full.

    >>> full_notes({"micro": {"f1": 0.5}, "full": {"micro": {"f1": 0.25}, "flat": {"mentions": 9, "lost": 0}}})
    ['flat F1 0.5000, full F1 0.2500; tags can have all 9 mentions']
    """
    if not scores.get("full"):
        return []
    full, flat = scores["full"], scores["full"]["flat"]
    return [f"flat F1 {scores['micro']['f1']:.4f}, full F1 {full['micro']['f1']:.4f}; {limit_words(flat)}"]


def limit_words(flat: Mapping[str, Any]) -> str:
    """What tags reach on full mentions, from `metrics.full_scores.flat_limits`."""
    if not flat["lost"]:
        return f"tags can have all {flat['mentions']} mentions"
    causes = (("discontinuous", "in pieces"), ("overlapping", "sharing tokens"))
    why = ", ".join(f"{flat[key]} {words}" for key, words in causes if flat[key])
    return (
        f"tags reach a full F1 of at most {flat['best']['f1']:.4f} (gold tags {flat['gold_tags']['f1']:.4f}), "
        f"as they cannot have {flat['lost']} of {flat['mentions']} mentions ({why})"
    )


def _title(scores: Mapping[str, Any], record: Mapping[str, Any], of: int) -> str:
    corpus = record["corpus"]
    first = "" if scores.get("limit_documents") is not None or scores.get("sample") == "random" else "first "
    part = f"{first}{scores['sentences']} of {of}" if scores["sentences"] < of else f"all {of}"
    chosen = record.get("choices", {})
    words = [str(chosen.get(key)) for key in ("model", "strategy", "format", "prompt") if chosen.get(key)]
    documents = f", {size_words({'documents': scores['documents']})}" if "documents" in scores else ""
    return f"{corpus['name']} {corpus['split']} ({part} sentences{documents}): {', '.join(words)}"


def _cells(row: Mapping[str, float], scores: Mapping[str, Any], name: str) -> list[str]:
    if shown_f1(scores, name) is None:
        return ["-"] * 4
    return [f"{row['precision']:.4f}", f"{row['recall']:.4f}", f"{row['f1']:.4f}", interval_words(bounds_of(scores, name))]


def interval_words(bounds: tuple[float, float] | None) -> str:
    """An interval with three decimals; "-" if there is none.

    >>> interval_words((0.25, 0.5)), interval_words(None)
    ('0.250 - 0.500', '-')
    """
    return "-" if bounds is None else f"{bounds[0]:.3f} - {bounds[1]:.3f}"


def _paper(paper: Mapping[str, tuple[float, float, float]] | None, name: str) -> list[str]:
    if paper is None:
        return []
    return [f"{value:.4f}" for value in paper[name]] if name in paper else ["", "", ""]


def print_statistics(statistics: Mapping[str, Any], name: str, example: str = "") -> None:
    """Print documents, sentences, tokens, mentions and spans by split, and counts of what the conversion did.

    Args:
        statistics: The counts by split, see `programs.stats`.
        name: The corpus' name.
        example: A mention that was widened to whole tokens, and the text of its tokens; empty: none is shown.
    """
    labels = list(next(iter(statistics.values()))["entities"])
    table = Table(title=name, title_justify="left")
    table.add_column("")
    for split in statistics:
        table.add_column(split, justify="right")
    for row in ("documents", "sentences", "tokens"):
        table.add_row(row, *[f"{part[row]:,}" for part in statistics.values()])
    same = all(part["entities"] == part["spans"] for part in statistics.values())
    kinds = (("mentions", "spans"),) if same else (("B- tags", "entities"), ("mentions as seqeval reads the tags", "spans"))
    for head, key in kinds:
        table.add_section()
        for label in labels:
            table.add_row(f"{head}: {label}", *[f"{part[key][label]:,}" for part in statistics.values()])
    if any(part["annotations"].get("kept") != part["annotations"].get("total") for part in statistics.values()):
        table.add_section()
        for title, key in _ANNOTATIONS:
            table.add_row(title, *[f"{part['annotations'].get(key, 0):,}" for part in statistics.values()])
    acts = sorted({act for part in statistics.values() for act in part["conversion"]})
    if acts:
        table.add_section()
    for act in acts:
        shown = f" (example: {example})" if example and act == "partial_expand" else ""
        table.add_row(count_head(act) + shown, *[f"{part['conversion'].get(act, 0):,}" for part in statistics.values()])
    PlainConsole(width=_WIDTH).print(table)
