"""Pages of documentation as what they are: commands, with the output that they claim."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+?) -->\n+)?^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$",
    re.M | re.S,
)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?|<date_time>")
_BOXES = re.compile(r"[\u2500-\u257f|]+")
_NEWEST = re.compile(r"runs/(\w+)/<date_time>")
_TOLERANCE = 0.05


@dataclass(frozen=True)
class Step:
    """What a page has its reader do.

    Attributes:
        line: Where in the page it stands, counted from 1.
        command: To be run by a shell; empty if a file is to be written.
        shown: The lines of output that the page shows.
        file: The file to write, with `content`.
    """

    line: int
    command: str = ""
    shown: tuple[str, ...] = ()
    file: str = ""
    content: str = ""

    @property
    def code(self) -> int:
        """The exit code that goes with what is shown."""
        return 2 if any(line.startswith("clinspan: ") for line in self.shown) else 0


def steps(page: str) -> Iterator[Step]:
    """The steps of a page in order: files of blocks with a title, commands of `console` blocks that are not marked."""
    for match in _FENCE.finditer(page):
        line = page.count("\n", 0, match.start("body")) + 1
        if match["title"]:
            yield Step(line, file=match["title"], content=match["body"])
        elif match["kind"] == "console" and not match["why"]:
            yield from _commands(match["body"].split("\n"), line)


def _commands(lines: Sequence[str], first: int) -> Iterator[Step]:
    command: list[str] = []
    shown: list[str] = []
    began = first
    for number, line in enumerate([*lines, "$ "], first):
        if line.startswith("$ "):
            if command:
                yield Step(began, "\n".join(command), tuple(shown))
            command, shown, began = [line[2:]], [], number
        elif line.startswith("> ") and not shown:
            command.append(line[2:])
        elif line.strip():
            shown.append(line)


def settled(command: str, folder: Path) -> str:
    """The command with the newest folder of a command instead of `runs/COMMAND/<date_time>`."""

    def newest(match: re.Match[str]) -> str:
        return str(max((folder / "runs" / match[1]).iterdir()).relative_to(folder))

    return _NEWEST.sub(newest, command)


def untrue(shown: Sequence[str], output: str) -> list[str]:
    """The shown lines that the output does not have, in its order; a line `...` stands for any.

    Spaces, boxes and times do not matter; numbers with a point may differ by a twentieth, for processors round differently.

    >>> untrue(["F1 0.25, 7 s", "...", "2 files"], "F1  0.2501, 12 s\\nmore\\n2 files")
    []
    >>> untrue(["2 files"], "3 files")
    ['2 files']
    """
    there = [_parts(line) for line in output.splitlines()]
    at, missing = 0, []
    for line in shown:
        if line.strip() == "..." or not _parts(line):
            continue
        found = next((n for n in range(at, len(there)) if _alike(_parts(line), there[n])), None)
        if found is None:
            missing.append(line)
        else:
            at = found + 1
    return missing


def _parts(line: str) -> list[str]:
    plain = _BOXES.sub(" ", _STAMP.sub("<date_time>", line))
    return re.sub(r"[\d,.]+ ?s\b", "<seconds>", plain).replace(",", "").split()


def _alike(shown: Sequence[str], there: Sequence[str]) -> bool:
    return len(shown) == len(there) and all(a == b or _near(a, b) for a, b in zip(shown, there, strict=True))


def _near(a: str, b: str) -> bool:
    if a.startswith("runs/"):
        return b.endswith(f"/{a}")  # a command prints the whole path
    try:
        return "." in a and abs(float(a) - float(b)) <= _TOLERANCE
    except ValueError:
        return False
