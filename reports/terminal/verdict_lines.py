"""Verdicts about a corpus or an installation as lines of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from clinspan.corpora.printable import plural, printable
from clinspan.corpora.verdict import Level, Verdict

_MARKS: dict[Level, tuple[str, str]] = {"ok": ("✔", "ok"), "warning": ("⚠", "!"), "error": ("✘", "x")}


def mark(level: Level, stream: TextIO) -> str:
    """The mark of a level: `✔`, `⚠` or `✘`; `ok`, `!` or `x` if the stream cannot show these."""
    shown, plain = _MARKS[level]
    try:
        "".join(pair[0] for pair in _MARKS.values()).encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return plain
    return shown


def verdict_line(verdict: Verdict, stream: TextIO) -> str:
    """A verdict with its mark and its remedy, on one line."""
    remedy = f". {verdict.remedy}" if verdict.remedy else ""
    return printable(f"{mark(verdict.level, stream)} {verdict.text}{remedy}")


def print_verdicts(verdicts: Iterable[Verdict], stream: TextIO) -> None:
    """Print each verdict on a line, and a last line with the numbers of passed checks, warnings and errors."""
    every = list(verdicts)
    for verdict in every:
        print(verdict_line(verdict, stream), file=stream)
    print(summary(every), file=stream)


def summary(verdicts: Sequence[Verdict]) -> str:
    """The numbers of passed checks, warnings and errors.

    >>> summary([Verdict("a", "ok", 0, "fine"), Verdict("b", "warning", 1, "odd", "mend it")])
    '1 check passed, 1 warning, 0 errors'
    """
    number = Counter(verdict.level for verdict in verdicts)
    ok, warnings, errors = number["ok"], number["warning"], number["error"]
    return f"{ok} {plural(ok, 'check')} passed, {warnings} {plural(warnings, 'warning')}, {errors} {plural(errors, 'error')}"
