"""The runs below a folder, each with the facts that its files record. Nothing in a folder makes the list fail."""

from __future__ import annotations

import math
import os
import re
import time
from calendar import timegm
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora.json_text import parse_json
from clinspan.programs.rundir.locks import is_locked, LOCK
from clinspan.programs.rundir.records import RankedScores

RECORD, LOG = "run.json", "run.log"
_DATED = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LEFTOVERS = {LOCK, ".run.json.part", ".failed"}
_COMMANDS = ("run", "optimize", "finetune", "annotate", "score", "compare", "report", "export", "stats", "bench")
_STORE = "mlflow.db"  # beside it are copies of runs' files
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A folder of a run.

    Attributes:
        path: The folder.
        started: When the run started, in UTC (`2026-01-31T10:00:00Z`); if that is not recorded, when the folder was changed.
        state: `finished`, `failed`, `running`, `started` (and no process is writing), `no record`, or `unreadable` for a `run.json`
            that is damaged or of another program.
        name: The run's name; empty if it has none. The same holds for the other texts.
        command: The command that wrote it.
        corpus: Name of the corpus.
        split: The split.
        model: The option of `model`.
        strategy: The option of `strategy`.
        format: The option of `format`.
        sentences: Number of scored sentences, or of training sentences; None if not known.
        micro_f1: Micro F1; None if the run has no valid scores.
        tags: The run's tags.
    """

    path: Path
    started: str
    state: str
    name: str = ""
    command: str = ""
    corpus: str = ""
    split: str = ""
    model: str = ""
    strategy: str = ""
    format: str = ""
    sentences: int | None = None
    micro_f1: float | None = None
    tags: tuple[str, ...] = ()

    @property
    def scored(self) -> bool:
        return self.state == "finished" and self.micro_f1 is not None

    @property
    def date(self) -> str:
        """The beginning of the folder's name, for a job of a sweep with its number, or the local time of the start.

        >>> RunEntry(Path("runs/run/2026-01-31_10-00-00-123456/3"), "", "failed").date
        '2026-01-31_10-00-00/3'
        """
        folder, number = _folder_and_number(self.path)
        if begin := _DATED.match(folder):
            return begin[0] + (f"/{number}" if number else "")
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_seconds(self.started)))

    @property
    def called(self) -> str:
        """The run's name or, without one, the name of its folder unless that is a date.

        >>> paths = ("runs/one", "runs/sweep/3", "runs/run/2026-01-31_10-00-00-123456")
        >>> [RunEntry(Path(path), "", "failed").called for path in paths]
        ['one', 'sweep/3', '']
        """
        folder, number = _folder_and_number(self.path)
        return self.name or ("" if _DATED.match(folder) else folder + (f"/{number}" if number else ""))

    def is_called(self, word: str) -> bool:
        """Whether a word is the run's name, its folder's name or, for a folder named by its date, the beginning of that name.

        >>> run = RunEntry(Path("runs/run/2026-01-31_10-00-00-123456/3"), "", "failed", name="base")
        >>> [run.is_called(word) for word in ("base", "2026-01-31_10-00-00/3", "2026-01-31_10", "2026-01-31_10/4", "2026")]
        [True, True, True, False, False]
        """
        folder, number = _folder_and_number(self.path)
        head, _, job = word.partition("/")
        if word == self.name:
            return True
        begins = head == folder or (re.match(r"\d{4}-\d\d-\d\d_", head) is not None and folder.startswith(head))
        return bool(head) and begins and job in ("", number)


def list_runs(root: Path) -> list[RunEntry]:
    """The runs below a folder, or in the folder itself, oldest first."""
    return sorted(map(read_entry, run_folders(root)), key=_order)


def _order(entry: RunEntry) -> tuple[str, str, int]:
    """Starts are recorded to the second, folders are named to the microsecond."""
    folder, number = _folder_and_number(entry.path)
    return entry.started, folder, int(number or 0)


def run_folders(root: Path) -> list[Path]:
    """The folders of runs below a folder: those with a `run.json` or a `run.log`, and empty ones named by a date.

    Links, hidden folders and an MLflow store are passed over.
    """
    found = []
    for name, folders, files in os.walk(root):
        path = Path(name)
        if RECORD in files or LOG in files or (is_run_name(path) and not folders and _LEFTOVERS.issuperset(files)):
            found.append(path)
            folders.clear()
        elif _STORE in files:
            folders.clear()
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
    return found


def is_run_name(path: Path) -> bool:
    """Whether a folder is named as the commands name them: by a date or, in a sweep, by a number below one."""
    folder, _ = _folder_and_number(path)
    return _DATED.match(folder) is not None


def _folder_and_number(path: Path) -> tuple[str, str]:
    """The name of a run's folder and an empty text or, for a job of a sweep, the name of the sweep's folder and its number."""
    if path.name.isdecimal() and path.name.isascii():
        return path.parent.name, path.name
    return path.name, ""


def read_entry(path: Path) -> RunEntry:
    """Read what a run's folder records."""
    content, state = _read(path / RECORD), "no record"
    record = content if isinstance(content, dict) else {}
    if content is not None:
        state = str(record.get("status"))
        state = state if state in ("finished", "failed", "started") else UNREADABLE
    if state in ("started", "no record") and is_locked(path):
        state = "running"
    if state == UNREADABLE:
        return RunEntry(path, _changed(path), state, command=command_of(path, {}))
    chosen, config, corpus = (_mapping(record.get(key)) for key in ("choices", "config", "corpus"))
    scores = _scores(path) if state == "finished" else {}
    tags = config.get("tags")
    return RunEntry(
        path=path,
        started=_started(path, record),
        state=state,
        name=_text(config.get("name")),
        command=command_of(path, record),
        corpus=_text(corpus.get("name")) or _text(chosen.get("corpus")),
        split=_text(corpus.get("split")) or _text(config.get("split")),
        model=_text(chosen.get("model")) or _text(_mapping(record.get("model")).get("name")),
        strategy=_text(chosen.get("strategy")),
        format=_text(chosen.get("format")),
        sentences=_sentences(record, scores),
        micro_f1=scores.get("micro", {}).get("f1"),
        tags=tuple(filter(None, map(_text, tags))) if isinstance(tags, list) else (),
    )


def _read(path: Path) -> object:
    """A JSON file's content; None if there is no such file, an empty text if it cannot be read."""
    try:
        if not path.is_file():
            return "" if path.is_symlink() or path.exists() else None
        return "" if (content := parse_json(path.read_bytes())) is None else content
    except (OSError, ValueError):
        return ""


def _scores(path: Path) -> dict[str, Any]:
    scores = _read(path / "scores.json")
    if not isinstance(scores, dict) or RankedScores.problem(scores) or not math.isfinite(scores["micro"]["f1"]):
        return {}
    return scores


def _sentences(record: Mapping[str, Any], scores: Mapping[str, Any]) -> int | None:
    """Scored sentences, those of an annotation, or the training sentences."""
    counted = _mapping(record.get("counts")).get("sentences")
    trained = _mapping(record.get("sentences")).get("train")
    return next((n for n in (scores.get("sentences"), counted, trained) if isinstance(n, int)), None)


def command_of(path: Path, record: Mapping[str, Any]) -> str:
    """The command, by the settings that it alone has; without a record, by the folders that hold the run's."""
    config = _mapping(record.get("config"))
    for key, command in (("optimizer", "optimize"), ("tuning", "finetune"), ("input", "annotate"), ("metric", "run")):
        if key in config:
            return command
    return next((part for part in reversed(path.parts[:-1]) if part in _COMMANDS), "")


def _started(path: Path, record: Mapping[str, Any]) -> str:
    times = (record.get(key) for key in ("started", "ended"))
    return next((text for text in times if isinstance(text, str) and _UTC.fullmatch(text)), "") or _changed(path)


def _changed(path: Path) -> str:
    """When the folder was changed, in UTC. A folder named by its date was made then, in local time."""
    folder, _ = _folder_and_number(path)
    seconds = 0.0
    with suppress(OSError, OverflowError, ValueError):
        begin = _DATED.match(folder)
        seconds = time.mktime(time.strptime(begin[0], "%Y-%m-%d_%H-%M-%S")) if begin else path.stat().st_mtime
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(started: str) -> float:
    """Seconds since 1970 of a time in UTC; 0 for a text that is no time."""
    with suppress(OverflowError, ValueError):
        return timegm(time.strptime(started, "%Y-%m-%dT%H:%M:%SZ"))
    return 0.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """A text, or a number that stands for one, since Hydra reads a name of digits as a number."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
