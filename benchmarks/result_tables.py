"""Writes tables of results into a page, between `<!-- results: ID -->` and `<!-- /results -->`, with their commands and commits."""

from __future__ import annotations

import functools
import re
import shlex
import statistics
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.result_list import all_steps, Figure, Key, NEEDS, Result, Step, Steps
from benchmarks.result_runs import is_busy, OUTPUT, shown_command, Store
from clinspan.corpora import InputError

_WIDTH = 138
_SHOWN = "runs/results"
_KEPT = ("words", "commits", "ended", "machine", "seconds", "cpu_seconds", "others_seconds", "figures")
_NOT_RUN = "<!-- not run: takes from minutes to hours -->"


def decimals(number: float, places: int) -> str:
    """A number without a zero before the point.

    >>> decimals(0.2375, 4), decimals(-0.05, 3), decimals(1.0, 4)
    ('.2375', '-.050', '1.0000')
    """
    return re.sub(r"^(-?)0\.", r"\1.", f"{number:.{places}f}")


def shown_figure(figure: Figure, values: list[float], bounds: list[float] | None = None) -> str:
    """A figure as tables show it: the mean of the values, with the bounds of its interval in brackets.

    >>> shown_figure(Figure(file="scores.json", key="micro.f1"), [0.5], [0.45, 0.55])
    '.5000 (.450 - .550)'
    >>> shown_figure(Figure(file="comparison.json", key="micro.difference", shown="signed"), [0.05], [-0.01, 0.11])
    '+.0500 (-.010 to +.110)'
    """
    mean = statistics.fmean(values)
    forms = {
        "f1": decimals(mean, 4),
        "signed": _signed(mean, 4),
        "whole": f"{mean:,.0f}",
        "one": f"{mean:.1f}",
        "two": f"{mean:.2f}",
        "ratio": f"({mean:.1f})",
        "mean_sd": f"{mean:.4f} ± {statistics.stdev(values) if len(values) > 1 else 0:.4f}",
    }
    if not bounds:
        return forms[figure.shown]
    signed = figure.shown == "signed"
    return f"{forms[figure.shown]} ({(' to ' if signed else ' - ').join((_signed if signed else decimals)(b, 3) for b in bounds)})"


def _signed(number: float, places: int) -> str:
    return ("+" if number >= 0 else "") + decimals(number, places)


@dataclass(frozen=True)
class Tables:
    """The tables of a list of results.

    Attributes:
        results: The list.
        store: The folder of the results. What is done there replaces what `kept` has.
        kept: The records of the steps in the page, by `RESULT/STEP`: the content of the `.json` file beside it.
    """

    results: Mapping[str, Result]
    store: Store
    kept: dict[str, dict[str, Any]]

    @functools.cached_property
    def steps(self) -> dict[Key, Step]:
        """All steps of the list."""
        return all_steps(self.results)

    def collect(self) -> None:
        """Take the records and figures of all finished steps of the store into `kept`, and drop those of other commands.

        Raises:
            InputError: A step's folder lacks a figure; the message names the file and the key.
        """
        cells = [cell for result in self.results.values() for cell in result.cells()]
        for key, step in self.steps.items():
            if self.store.made(step, self.steps) is not None:
                self.store.keep(step, [figure for keys, figure in cells if key in keys])
                record = self.store.made(step, self.steps) or {}
                self.kept["/".join(key)] = {name: value for name, value in record.items() if name in _KEPT}
        for name in [name for name, record in self.kept.items() if not self._is_of(name, record)]:
            del self.kept[name]

    def _is_of(self, name: str, record: Mapping[str, Any]) -> bool:
        result, _, own = name.partition("/")
        step = self.steps.get((result, own))
        return step is not None and record["words"] == [step.command, *step.words]

    def cell(self, keys: list[Key], figure: Figure) -> str | None:
        """A figure as it is shown; None if one of the steps was never done."""
        records = [self.kept.get("/".join(key), {}) for key in keys]
        figures = [record.get("figures", {}) for record in records]
        if any(f"{file}:{key}" not in found for found in figures for file, key in figure.places()):
            return None
        values = [float(found[f"{figure.file}:{figure.key}"]) for found in figures]
        if figure.per:
            values = [value / found[f"scores.json:{figure.per}"] for value, found in zip(values, figures, strict=True)]
        bounds = figures[0][f"{figure.file}:{figure.interval}"] if figure.interval and len(keys) == 1 else None
        bound = f"{figure.timed} " if figure.timed and any(map(is_busy, records)) else ""
        return bound + shown_figure(figure, values, bounds)

    def row(self, result: Result, line: str, before: str | None) -> str:
        """A row of a table.

        A cell of which a step is not done stays as it was, and a time that was measured alone if the new one is only a bound.
        """
        cells, old = line.split("|"), (before or "").split("|")
        for number, cell in enumerate(cells):
            shown = {mark: self.cell(keys, figure) for mark, (keys, figure) in result.places(cell).items()}
            if None in shown.values():
                cells[number] = old[number] if len(old) == len(cells) else " "
                continue
            if any(str(text).startswith(BOUNDS) for text in shown.values()) and _measured(old, cells, number):
                cells[number] = old[number]
                continue
            for mark, text in shown.items():
                cells[number] = cells[number].replace(mark, str(text))
        return "|".join(cells)

    def block(self, result: Result, before: str) -> str:
        """What stands between the marks of a result: its table, and how it was made."""
        steps = self.steps
        if result.output:
            step = steps[result.id, result.output]
            made = self.store.made(step, steps)
            shown = before.rpartition("```")[0] + "```" if made is None else self._output(step)
        else:
            old = [line for line in before.splitlines() if line.startswith("|")]
            body = [self.row(result, line, old[n + 2] if n + 2 < len(old) else None) for n, line in enumerate(result.lines())]
            head = str(result.head)
            shown = "\n".join([head, "|---" * (head.count("|") - 1) + "|", *body])
        return f"\n{shown.strip()}\n\n{self.caption(result)}\n"

    def caption(self, result: Result) -> str:
        """By which command a table is made, at which commit it was, and what of it was not made again yet."""
        used = list(result.commands().values()) + [self.steps[key] for keys, _ in result.cells() for key in keys]
        made = {step.key: self.kept.get("/".join(step.key)) for step in used}
        commands = ", ".join(f"`{shown_steps(steps)}`" for steps in result.steps)
        words = [f"`python -m benchmarks.results only={result.id}`: {commands or 'steps of other tables'}."]
        done = {key: record for key, record in made.items() if record is not None}
        if done:
            words.append(_made_words(done, whole=len(done) == len(made), owner=result.id))
        bound = any(figure.timed for _, figure in result.cells()) and any(is_busy(record) for record in done.values())
        if not done:
            words.append(f"C{result.earlier[1:]}.")
        elif len(done) < len(made):
            words.append(f"Other figures{', and times that were measured alone' if bound else ''}: {result.earlier}.")
        elif bound:
            words.append(f"Times that were measured alone stay, as other programs ran beside it: {result.earlier}.")
        words += [f"Not made by a command: {result.unavailable}."] if result.unavailable else []
        words += [result.remark] if result.remark else []
        return textwrap.fill(" ".join(words), _WIDTH, break_long_words=False, break_on_hyphens=False)

    def _output(self, step: Step) -> str:
        output = (self.store.folder(step.key) / OUTPUT).read_text(encoding="utf-8")
        output = output.replace(str(self.store.path.absolute()), _SHOWN)
        words = step.filled({key: f"{_SHOWN}/{'/'.join(key)}" for key in step.uses}, {})
        return f"{_NOT_RUN}\n\n```console\n$ {shown_command(step.command, words)}\n{output.rstrip()}\n```"

    def written(self, page: str) -> str:
        """The page with the tables of all results that have marks in it.

        Raises:
            InputError: A mark names no result of the list.
        """

        def replaced(match: re.Match[str]) -> str:
            if match[1] not in self.results:
                raise InputError(f"the page has a table {match[1]}, which is not in the list", remedy="Add it to the list.")
            return f"<!-- results: {match[1]} -->\n{self.block(self.results[match[1]], match[2])}\n<!-- /results -->"

        return MARKED.sub(replaced, page)


BOUNDS = ("at most ", "at least ")
MARKED = re.compile(r"<!-- results: ([\w-]+) -->\n(.*?)\n?<!-- /results -->", re.S)


def _measured(old: list[str], new: list[str], number: int) -> bool:
    """Whether a cell has a figure already that is no bound."""
    text = old[number].strip() if len(old) == len(new) else ""
    return bool(text) and not text.startswith(BOUNDS)


def shown_steps(steps: Steps) -> str:
    """The commands of steps in one line, with all values. Folders of other steps have `@` before their names.

    >>> shown_steps(Steps(name="{seed}", run="run seed={seed} corpus.path={data}", each={"seed": [1, 2]}))
    'clinspan run seed=1|2 corpus.path=DATA'
    """
    command, *words = shlex.split(steps.run)
    for key, values in steps.each.items():
        every = "|".join(map(str, values))
        words = [word.replace(f"{{{key}}}", every) for word in words]
    for name in NEEDS:
        words = [word.replace(f"{{{name}}}", name.upper()) for word in words]
    return shown_command(command, words)


def _made_words(done: Mapping[Key, Mapping[str, Any]], *, whole: bool, owner: str) -> str:
    """At which commit, on what and when the steps were made."""
    commits: dict[str, list[str]] = {}
    for (result, name), record in done.items():
        for commit in record["commits"]:
            text = str(commit["commit"])[:7] + (" with uncommitted changes" if commit["dirty"] else "")
            commits.setdefault(text, []).append(name if result == owner else f"{result}/{name}")
    one = len(commits) == 1
    parts = [text + ("" if whole and one else f" ({', '.join(dict.fromkeys(names))})") for text, names in commits.items()]
    days = sorted({str(record["ended"])[:10] for record in done.values()})
    machines = dict.fromkeys("{threads} of {cores} cores, {cpu}".format(**record["machine"]) for record in done.values())
    dates = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Commit{'' if one else 's'} {', '.join(parts)}; {dates}; {'; '.join(machines)}."
