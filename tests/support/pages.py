"""Documentation pages, read as commands with the output that they claim."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
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
    """One step that a page asks its reader to do.

    Attributes:
        line: Its line in the page, counted from 1.
        command: The shell command; empty if the step writes a file.
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
        """The exit code that belongs to the shown output: 2 for an error, 0 for a note or no message."""
        return 2 if any(re.match("clinspan: (?!demonstrations: |settings of |[⚠✘] )", line) for line in self.shown) else 0


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


def commands_of(page: str, *, only_unrun: bool = False) -> Iterator[tuple[int, str]]:
    """The commands of `console` blocks with their lines; with `only_unrun`, those of blocks that are marked as not run."""
    for match in _FENCE.finditer(page):
        if match["kind"] == "console" and (match["why"] or not only_unrun):
            first = page.count("\n", 0, match.start("body")) + 1
            yield from ((step.line, step.command) for step in _commands(match["body"].split("\n"), first))


def page_environment(shell: Path, code: Path) -> dict[str, str]:
    """The environment of a page's commands: those in the folder `shell` come first, modules come from `code`."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_", "PYTEST_"))}
    env |= {
        "PATH": f"{shell}{os.pathsep}{env['PATH']}",
        "PYTHONPATH": str(code),
        "COLUMNS": "120",
        "CLINSPAN_DISPLAY": "rich",
        "HF_HUB_OFFLINE": "1",
    }
    env["PYTEST_ADDOPTS"] = "-W ignore::pytest.PytestAssertRewriteWarning"  # for modules that the warm process already imported
    return env


def follow(page: str, folder: Path, env: Mapping[str, str], name: str | Path) -> None:
    """Do the steps of a page in a folder.

    Raises:
        AssertionError: A command ends with another exit code, or prints something else, than the page says.
    """
    for step in steps(page):
        where = f"{name}:{step.line}"
        if step.file:
            (folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.file).write_text(step.content, encoding="utf-8")
            continue
        command = ["bash", "-euo", "pipefail", "-c", settled(step.command, folder)]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == step.code, f"{where}: {step.command}\n{done.stdout}\n{done.stderr}"
        missing = untrue(step.shown, done.stdout + done.stderr)
        assert not missing, f"{where}: {step.command}\nnot true: {missing}\n{done.stdout}\n{done.stderr}"


def settled(command: str, folder: Path) -> str:
    """The command with `runs/COMMAND/<date_time>` replaced by the newest run folder of COMMAND."""

    def newest(match: re.Match[str]) -> str:
        return str(max((folder / "runs" / match[1]).iterdir()).relative_to(folder))

    return _NEWEST.sub(newest, command)


def untrue(shown: Sequence[str], output: str) -> list[str]:
    """The shown lines that the output lacks in this order; a line `...` stands for any lines.

    Spaces, boxes and times are ignored. Numbers with a point may differ by 0.05, because processors round differently.

    >>> untrue(["F1 0.25, 7 s", "...", "2 files"], "F1  0.2501, 12 s\\nmore\\n2 files")
    []
    >>> untrue(["2 files"], "3 files")
    ['2 files']
    """
    printed = [_parts(line) for line in output.splitlines()]
    start, missing = 0, []
    for line in shown:
        if line.strip() == "..." or not _parts(line):
            continue
        position = next((n for n in range(start, len(printed)) if _alike(_parts(line), printed[n])), None)
        if position is None:
            missing.append(line)
        else:
            start = position + 1
    return missing


def _parts(line: str) -> list[str]:
    plain = _BOXES.sub(" ", _STAMP.sub("<date_time>", line))
    return re.sub(r"[\d,.]+ ?s\b", "<seconds>", plain).replace(",", "").split()


def _alike(shown: Sequence[str], printed: Sequence[str]) -> bool:
    return len(shown) == len(printed) and all(a == b or _near(a, b) for a, b in zip(shown, printed, strict=True))


def _near(a: str, b: str) -> bool:
    if a.startswith("runs/"):
        return b.endswith(f"/{a}")  # a command prints the whole path
    try:
        return "." in a and abs(float(a) - float(b)) <= _TOLERANCE
    except ValueError:
        return False
