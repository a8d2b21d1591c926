"""The list of measured results, `benchmarks/results.yaml`: the commands of each, their figures, and the tables that show them."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from clinspan.corpora import InputError

LIST = Path(__file__).with_name("results.yaml")
NEEDS = ("data", "server")
"""Settings of `benchmarks.results` that commands of the list may contain, as `{data}`."""
_USE = re.compile(r"@(?:([\w-]+)/)?([\w-]+)")
_CELL = re.compile(r"\{([\w/+-]+)\.(\w+)\}")
Key = tuple[str, str]
"""The ids of a result and of one of its steps."""


class Figure(BaseModel):
    """Where a figure stands in the folder of a step, and how a table shows it.

    Attributes:
        file: A JSON file of the folder; `made` is the record of the step itself.
        key: The key, with points: `micro.f1`. Numbers count the items of lists.
        interval: The key of an interval that follows the figure in brackets.
        per: The key of a number in `scores.json` by which the figure is divided.
        timed: For a time: which bound it is if other programs worked meanwhile.
        shown: `f1`: .2375; `signed`: +.0375; `whole`: 1,028; `one`: 3.1; `two`: 0.69; `ratio`: (15.3); `mean_sd`: of several steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str
    key: str
    interval: str | None = None
    per: str | None = None
    timed: Literal["at most", "at least"] | None = None
    shown: Literal["f1", "signed", "whole", "one", "two", "ratio", "mean_sd"] = "f1"

    def places(self) -> Iterator[tuple[str, str]]:
        """All files and keys that are read."""
        yield self.file, self.key
        if self.interval:
            yield self.file, self.interval
        if self.per:
            yield "scores.json", self.per


class Steps(BaseModel):
    """Commands that differ in the values of `each`, one for each combination of these: `{seed}` stands for a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    run: str
    each: dict[str, list[str | int]] = {}


class Row(BaseModel):
    """Rows of a table, one for each combination of the values of `each`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    row: str
    each: dict[str, list[str | int]] = {}


@dataclass(frozen=True)
class Step:
    """One command of a result.

    Attributes:
        key: The ids of the result and the step.
        command: The command's name: `run`, `optimize`, `compare`, `bench` and so on.
        words: Its words as in the list. `@STEP` and `@RESULT/STEP` stand for the folder of another step.
    """

    key: Key
    command: str
    words: tuple[str, ...]

    @property
    def uses(self) -> tuple[Key, ...]:
        """The steps whose folders the command needs."""
        return tuple((result or self.key[0], step) for word in self.words for result, step in _USE.findall(word))

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings that the command needs."""
        return tuple(name for name in NEEDS if any(f"{{{name}}}" in word for word in self.words))

    def filled(self, folders: Mapping[Key, str], given: Mapping[str, str]) -> list[str]:
        """The words of the command line, with folders and settings in their places."""

        def folder(found: re.Match[str]) -> str:
            return folders[found[1] or self.key[0], found[2]]

        words = [_USE.sub(folder, word) for word in self.words]
        for name, value in given.items():
            words = [word.replace(f"{{{name}}}", value) for word in words]
        return words


class Result(BaseModel):
    """One result of a page.

    Attributes:
        id: Its name.
        page: The page that has its figures. Only tables of docs/results.md are written.
        section: The section of that page.
        minutes: About how long it takes on two idle cores; results run in this order.
        steps: Its commands.
        figures: Figures by name. A cell `{STEP.FIGURE}` shows one, `{A+B.FIGURE}` a mean, `{RESULT/STEP.FIGURE}` one of another
            result.
        head: The first line of its table; None: it has no table.
        rows: The other lines.
        output: A step whose printed output is shown instead of a table.
        earlier: Where the figures come from that were not made by these commands yet.
        remark: What else a reader has to know, shown below the table.
        unavailable: Why parts of it, or all, cannot be made by a command of this checkout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    page: str = "docs/results.md"
    section: str
    minutes: int = 0
    steps: list[Steps] = []
    figures: dict[str, Figure] = {}
    head: str | None = None
    rows: list[str | Row] = []
    output: str | None = None
    earlier: str = ""
    remark: str = ""
    unavailable: str = ""

    def commands(self) -> dict[str, Step]:
        """The steps by name, in order."""
        found: dict[str, Step] = {}
        for steps in self.steps:
            for values in combinations(steps.each):
                command, *words = shlex.split(_put(steps.run, values))
                name = _put(steps.name, values)
                found[name] = Step((self.id, name), command, tuple(words))
        return found

    def lines(self) -> list[str]:
        """The rows of the table with their cells."""
        rows = [Row(row=row) if isinstance(row, str) else row for row in self.rows]
        return [_put(row.row, values) for row in rows for values in combinations(row.each)]

    def cells(self) -> list[tuple[list[Key], Figure]]:
        """The steps and the figure of each cell."""
        return [found for line in self.lines() for found in self.places(line).values()]

    def places(self, text: str) -> dict[str, tuple[list[Key], Figure]]:
        """The figures in a text, by what stands for them.

        Raises:
            InputError: The result has no such figure.
        """
        found = {}
        for match in _CELL.finditer(text):
            if match[2] not in self.figures:
                raise InputError(f"{self.id}: {match[0]} names no figure", path=LIST, remedy=f"Add it to figures of {self.id}.")
            parts = [part.rpartition("/") for part in match[1].split("+")]
            found[match[0]] = ([(owner or self.id, step) for owner, _, step in parts], self.figures[match[2]])
        return found


def combinations(each: Mapping[str, Sequence[str | int]]) -> list[dict[str, str]]:
    """All combinations of values, the last key changing fastest.

    >>> combinations({"seed": [1, 2]}), combinations({})
    ([{'seed': '1'}, {'seed': '2'}], [{}])
    """
    return [dict(zip(each, map(str, values), strict=True)) for values in itertools.product(*each.values())]


def _put(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def load_list(path: Path = LIST) -> dict[str, Result]:
    """The results by id, in the order of the list.

    Raises:
        InputError: An entry is not valid, or uses a step that does not exist.
    """
    content: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    results: dict[str, Result] = {}
    for entry in content:
        try:
            result = Result.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{entry.get('id')}: {where}: {first['msg']}", path=path) from None
        if result.id in results:
            raise InputError(f"{result.id} stands there twice", path=path)
        results[result.id] = result
    steps = {step.key for result in results.values() for step in result.commands().values()}
    for result in results.values():
        used = [key for step in result.commands().values() for key in step.uses]
        used += [key for keys, _ in result.cells() for key in keys]
        used += [(result.id, result.output)] if result.output else []
        if lost := [key for key in used if key not in steps]:
            raise InputError(f"{result.id} uses {'/'.join(lost[0])}, which does not exist", path=path)
    return results


def all_steps(results: Mapping[str, Result]) -> dict[Key, Step]:
    """Every step of the list."""
    return {step.key: step for result in results.values() for step in result.commands().values()}


def needed(results: Mapping[str, Result], wanted: Sequence[str]) -> list[Step]:
    """The steps of the wanted results and the steps that these use, each after those that it uses; quickest results first."""
    steps = all_steps(results)
    ordered: dict[Key, Step] = {}

    def add(key: Key) -> None:
        if key not in ordered:
            for other in steps[key].uses:
                add(other)
            ordered[key] = steps[key]

    for result in sorted((results[name] for name in wanted), key=lambda result: result.minutes):
        for key in [step.key for step in result.commands().values()] + [key for keys, _ in result.cells() for key in keys]:
            add(key)
    return list(ordered.values())
